import numpy as np
import pytest

from data import synthetic
from pipelines import citeulike, movielens
from pipelines.config import RunConfig
from pipelines.fold_in import BY_SEED
from pipelines.id_pairs import Pairs
from pipelines.tasks import mult_vae
from pipelines.tasks.mult_vae import MultVAETask


def split(data, seed):
    return MultVAETask(RunConfig(data, "multvae", "dense", 1.0, seed=seed), None).split


def rows(matrix):
    return {tuple(matrix[[row]].indices.tolist()) for row in range(matrix.shape[0])}


def test_all_seeds_hold_the_same_users_out_unless_the_data_says_by_seed():
    assert split("synthetic", 0) is split("synthetic", 1)
    one, other = (split(f"synthetic{BY_SEED}", seed) for seed in (0, 1))
    assert one is split(f"synthetic{BY_SEED}", 0)
    assert one.train.shape[0] == other.train.shape[0]
    for part in ("validation", "test"):
        found, others = (getattr(of, part).fold_in for of in (one, other))
        assert found.shape[0] == others.shape[0] > 100
        assert len(rows(found) & rows(others)) < found.shape[0] / 2
    assert not np.array_equal(one.train.indices, other.train.indices)


@pytest.mark.parametrize("data", ["ml-1m", "citeulike-t"])
def test_all_data_sets_can_be_split_by_the_seed(data, monkeypatch):
    pairs = synthetic.interactions(n_users=1_100, n_items=40, n_groups=4, mean_items=10)
    monkeypatch.setattr(movielens, "load_ml1m", lambda _: pairs)
    monkeypatch.setattr(citeulike, "read", lambda _: Pairs(*pairs, pairs[0], 1_100))
    mult_vae._load.cache_clear()
    one, other = (split(f"{data}{BY_SEED}", seed).test.fold_in for seed in (0, 1))
    same, as_well = (split(data, seed).test.fold_in for seed in (0, 1))
    mult_vae._load.cache_clear()  # they are not what the names say
    assert (same != as_well).nnz == 0
    assert one.shape[0] == other.shape[0] == 500
    assert not np.array_equal(one.indices, other.indices)
    assert not np.array_equal(one.indices, same.indices)


def test_data_that_is_not_there_is_said():
    with pytest.raises(ValueError, match=f"`data` must be one of .*synthetic{BY_SEED}"):
        split(f"movies{BY_SEED}", 0)
