import numpy as np
import pytest

from pipelines.config import RunConfig
from pipelines.fold_in import BY_SEED
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


def test_data_that_is_not_there_is_said():
    with pytest.raises(ValueError, match=f"`data` must be one of .*synthetic{BY_SEED}"):
        split(f"movies{BY_SEED}", 0)
