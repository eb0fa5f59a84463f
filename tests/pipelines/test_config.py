import dataclasses

import keras
import numpy as np
import pytest
from scipy import sparse

import tfdsl
from pipelines.algorithms import DYNAMIC, MASKS, NEURONS, REVISIONS
from pipelines.config import SETTINGS, RunConfig
from pipelines.tasks import TASKS

CONFIG = RunConfig(data="synthetic", model="multvae", algorithm="dsl", density=0.1)
PAIRS = sparse.csr_array(np.eye(3, 4, dtype="f4"))
PACKED = {"storage": "packed"}


def test_every_field_changes_the_key():
    other = {"data": "ml-1m", "density": 0.2, "algorithm": "set", "protocol": "published"}
    other |= {"optimizer_state": "keep", "distribution": "erk", "final_learning_rate": 1e-4}
    other |= {"settings": {"anneal_steps": 7}, "algorithm_settings": {"grow": "random"}}
    keys = {CONFIG.key}
    for field in dataclasses.fields(CONFIG):
        if field.name in ("quirks", "model"):  # no other will do alone
            continue
        value = getattr(CONFIG, field.name)
        changed = other[field.name] if field.name in other else value * 2 + 1
        keys.add(dataclasses.replace(CONFIG, **{field.name: changed}).key)
    assert len(keys) == len(dataclasses.fields(CONFIG)) - 1


def test_what_an_algorithm_had_by_itself_before_is_another_run():
    settings = [{}, {"init": "spectral"}, {"first_values": "rescale"}, {"init": "magnitude"}]
    found = [
        REVISIONS["spectral"](RunConfig("x", model, "spectral", 0.2, algorithm_settings=given))
        for model in ("multvae", "neumf")
        for given in settings
    ]
    assert found == [2, 2, 1, 1, *[1] * 4]


@pytest.mark.parametrize("name", MASKS)
def test_every_algorithm_can_be_made(name):
    optimizer = dataclasses.replace(CONFIG, algorithm=name).optimizer(1000, PAIRS)
    assert isinstance(optimizer, tfdsl.SparseOptimizer)
    assert optimizer.algorithm.density.final == 0.1


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("quirks", [(), ("bernoulli",)])
def test_what_is_recorded_is_what_is_run(name, quirks):
    given = {"algorithm": name, "optimizer_state": "mask", "distribution": "erk", "seed": 7}
    config = dataclasses.replace(CONFIG, protocol="published", quirks=quirks, **given)
    made = config.optimizer(1000, PAIRS).algorithm
    assert (made.optimizer_state, made.distribution, made.seed) == ("mask", "erk", 7)
    if name == "spectral":
        assert (made.init.interactions is PAIRS, made.init.seed) == (True, 7)
    else:
        assert made.init == ("bernoulli" if quirks else "exact")


def test_every_model_has_settings_and_a_task():
    assert set(SETTINGS) == set(TASKS)


def test_settings_that_are_not_given_are_filled_in():
    config = RunConfig("gowalla", "lightgcn", "dsl", 0.1, settings={"width": 32})
    assert config.settings == SETTINGS["lightgcn"] | {"width": 32}
    assert config == dataclasses.replace(config, settings=SETTINGS["lightgcn"] | {"width": 32})


def test_settings_of_the_algorithm_are_run():
    given = {"drop": "taylor", "grow": "random", "update_ratio": 0.2, "update_share": 0.75}
    made = dataclasses.replace(CONFIG, algorithm_settings=given).optimizer(1000).algorithm
    assert (made.drop, made.grow, made.updates.end) == ("taylor", "random", 750)
    assert made.ratio.get_config() == {"initial": 0.2, "final": 0.005, "end": 1000, "begin": 0}


@pytest.mark.parametrize(
    ("annealing", "halfway"), [("constant", 0.3), ("linear", 0.1525), ("cosine", 0.1525)]
)
@pytest.mark.parametrize("algorithm", DYNAMIC)
def test_the_update_ratio_goes_as_the_setting_says(algorithm, annealing, halfway):
    given = {"update_ratio": 0.3, "annealing": annealing}
    config = dataclasses.replace(CONFIG, algorithm=algorithm, algorithm_settings=given)
    ratio = config.optimizer(1000, PAIRS).algorithm.ratio
    assert [float(ratio(step)) for step in (0, 500)] == pytest.approx([0.3, halfway])
    assert (float(ratio(250)) == pytest.approx(0.22625)) == (annealing == "linear")


def test_first_masks_and_storage_are_as_the_settings_say():
    given = {"init": "spectral", "granularity": "row", "candidates": 4, "storage": "packed"}
    config = RunConfig("gowalla", "lightgcn", "dsl", 0.1, algorithm_settings=given)
    made = config.optimizer(1000, PAIRS).algorithm
    assert made.init.interactions is PAIRS
    assert (made.granularity, made.candidates) == ("row", 4)
    tables = {"storage": "packed", "density": 0.1, "candidates": 4, "users": None}
    assert config.tables == tables
    assert dataclasses.replace(config, algorithm="spectral").tables == tables | {"users": 0.9}
    assert RunConfig("gowalla", "lightgcn", "dsl", 0.1).tables == {}
    with pytest.raises(ValueError, match="grown among `candidates`; received 0, for all"):
        dataclasses.replace(config, algorithm_settings=given | {"candidates": 0})
    with pytest.raises(ValueError, match="which lightgcn and neumf have; received it for multvae"):
        dataclasses.replace(CONFIG, algorithm_settings={"storage": "packed"})
    with pytest.raises(ValueError, match="which dlrm's clicks are not"):
        RunConfig("criteo", "dlrm", "spectral", 0.1)


@pytest.mark.parametrize(
    ("given", "share"), [({}, 0.9), ({"users": 0.6}, 0.6), ({"users": 0}, None)]
)
def test_users_have_the_share_that_the_settings_say(given, share):
    config = RunConfig("gowalla", "lightgcn", "spectral", 0.1, algorithm_settings=given)
    assert config.optimizer(1000, PAIRS).algorithm.init.users == share
    packed = dataclasses.replace(config, algorithm_settings=given | PACKED)
    assert packed.tables["users"] == share


@pytest.mark.parametrize("model", ["neumf", "multvae"])
def test_a_share_of_users_is_refused_where_no_table_can_have_it(model):
    with pytest.raises(ValueError, match="`users` is of a table of users and items together"):
        RunConfig("ml-1m", model, "spectral", 0.1, algorithm_settings={"users": 0.8})


def test_updates_are_the_algorithms_own_where_no_interval_is_given():
    config = RunConfig("gowalla", "lightgcn", "spectral", 0.1, update_interval=None)
    assert config.optimizer(1000, PAIRS).algorithm.updates.interval == 50
    assert config.key != dataclasses.replace(config, update_interval=50).key
    with pytest.raises(ValueError, match=r"`update_interval`.*received None"):
        RunConfig("gowalla", "lightgcn", "dsl", 0.1, update_interval=None)


def test_spectral_factors_are_kept_where_runs_share_them(tmp_path, monkeypatch):
    config = RunConfig("gowalla", "lightgcn", "spectral", 0.1, update_interval=None)
    monkeypatch.delenv("TFDSL_FACTORS", raising=False)
    assert config.optimizer(1000, PAIRS).algorithm.init.cache is None
    monkeypatch.setenv("TFDSL_FACTORS", str(tmp_path))
    assert config.optimizer(1000, PAIRS).algorithm.init.cache == str(tmp_path)


def test_candidates_can_be_all_and_first_masks_of_another_rotation_can_stay():
    given = {"granularity": "entry", "candidates": 0}
    config = RunConfig("gowalla", "lightgcn", "spectral", 0.1, algorithm_settings=given)
    made = config.optimizer(1000, PAIRS).algorithm
    assert (made.granularity, made.candidates, made.init.rotation) == ("entry", None, "varimax")
    given = {"init": "spectral", "rotation": "none", "users": 0.7, "granularity": "row"}
    config = dataclasses.replace(config, algorithm="static", algorithm_settings=given)
    made = config.optimizer(1000, PAIRS).algorithm
    assert (made.init.rotation, made.init.users, made.updates) == ("none", 0.7, None)
    assert made.granularity == "row"


@pytest.mark.parametrize(
    ("algorithm", "given", "message"),
    [
        (
            "static",
            {"grow": "random"},
            "one of init, first_values, rotation, users, granularity; .*'grow'",
        ),
        ("gradual", {"init": "exact"}, "are of dsl, .* spectral, static; .* 'gradual'"),
        ("dsl", {"users": 0.5}, "rotation, users are of spectral first masks.* 'dsl'"),
        ("spectral", {"init": "exact", "users": 0.5}, "of spectral first masks.* 'spectral'"),
        ("spectral", {"users": 1.5}, "`users` must be a number in .0, 1.; received 1.5"),
        ("dsl", {"first_values": "scores"}, "first_values=scores are those of init=spectral"),
        ("static", {"first_values": "scores", "init": "exact"}, "are those of init=spectral"),
        ("spectral", {"rotation": "quartimax"}, "`rotation` must be one of varimax, none"),
        ("dsl", {"growth": 1}, "`algorithm_settings` must be one of drop, .* received 'growth'"),
        ("dsl", {"grow": "best"}, "`grow` must be one of gradient, .* received 'best'"),
        ("dsl", {"annealing": "sine"}, "`annealing` must be one of constant.* received 'sine'"),
        ("dsl", {"update_share": 0}, "`update_share` .* received 0"),
    ],
)
def test_wrong_settings_of_the_algorithm_are_refused(algorithm, given, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, algorithm=algorithm, algorithm_settings=given)


def test_the_learning_rate_falls_along_a_cosine():
    config = dataclasses.replace(CONFIG, learning_rate=0.1, final_learning_rate=0.01)
    rate = config.optimizer(total_steps=100).inner_optimizer._learning_rate
    assert [float(rate(step)) for step in (0, 50, 100)] == pytest.approx([0.1, 0.055, 0.01])


@pytest.mark.parametrize("name", NEURONS)
def test_what_is_recorded_of_neurons_is_what_is_run(name):
    settings = {"importance": "taylor", "grow": "fresh", "cycles": 2, "final_share": 0.3}
    config = RunConfig("ml-100k", "dlrm", name, 0.25, seed=7, settings=settings)
    made = config.optimizer(total_steps=1000)
    assert type(made.inner_optimizer) is keras.optimizers.SGD
    algorithm = made.algorithm
    assert (algorithm.keep, algorithm.importance, algorithm.seed) == (0.25, "taylor", 7)
    if name == "prune_once":
        assert algorithm.prune_step == 500
    else:
        assert (algorithm.grow, algorithm.cycles, algorithm.final_share) == ("fresh", 2, 0.3)
        assert (algorithm.total_steps, algorithm.optimizer_state) == (1000, "reset")


def test_a_model_that_says_so_is_trained_with_another_optimizer():
    config = RunConfig("ml-100k", "dlrm", "dense", 1.0, learning_rate=0.1)
    assert type(config.optimizer(100)) is keras.optimizers.SGD
    config = dataclasses.replace(config, settings={"optimizer": "adam"})
    assert type(config.optimizer(100)) is keras.optimizers.Adam


@pytest.mark.parametrize(("algorithm", "density"), [("dense", 1.0), ("narrow", 0.2)])
def test_dense_trains_with_the_plain_optimizer(algorithm, density):
    config = dataclasses.replace(CONFIG, algorithm=algorithm, density=density)
    assert type(config.optimizer(100)) is keras.optimizers.Adam


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "`epochs`.*at least 1; received 0"),
        ({"epochs": 2.0}, "`epochs`.*whole number.*received 2.0"),
        ({"batch_size": -1}, "`batch_size`.*received -1"),
        ({"update_interval": 0}, "`update_interval`.*received 0"),
        ({"settings": {"width": 3}}, "`settings`.*anneal_steps; received 'width'"),
        ({"model": "multivae"}, "`model`.*multvae, lightgcn, neumf, dlrm; received 'multivae'"),
        ({"final_learning_rate": 0.5}, "`final_learning_rate`.*in .0, 0.001.; received 0.5"),
        ({"evaluate_every": 0}, "`evaluate_every`.*received 0"),
        ({"seed": -1}, "`seed`.*from 0 to 2147483647; received -1"),
        ({"seed": 2**31}, "`seed`.*from 0 to 2147483647; received 2147483648"),
        ({"learning_rate": 0.0}, "`learning_rate`.*in .0, inf.; received 0.0"),
        ({"learning_rate": float("inf")}, "`learning_rate`.*in .0, inf.; received inf"),
        ({"density": 0.0}, "`density`.*in .0, 1.; received 0.0"),
        ({"density": 1.5}, "`density`.*received 1.5"),
        ({"density": float("nan")}, "`density`.*received nan"),
        ({"density": True}, "`density`.*received True"),
        ({"optimizer_state": "forget"}, "`optimizer_state`.*keep, mask, reset; received 'forget'"),
        ({"distribution": "even"}, "`distribution`.*erk.*received 'even'"),
        ({"algorithm": "dls"}, "`algorithm`.*dense, narrow, dsl.*received 'dls'"),
        ({"algorithm": "dense"}, "0.1"),
        ({"density": 1.0}, "1.0"),
        ({"protocol": "dirty"}, "dirty"),
        ({"quirks": ("bernoulli",)}, "clean protocol has no quirks"),
        ({"protocol": "published", "quirks": ("bernouli",)}, "bernouli"),
        ({"protocol": "published", "quirks": ("last_batch",)}, "of multvae are .*last_batch"),
        ({"protocol": "published", "quirks": ("warm_moments",)}, "'reset'"),
        ({"algorithm": "amgp"}, "'amgp' prunes neurons, which only dlrm can; multvae.*narrow, dsl"),
        ({"model": "dlrm", "settings": {}, "protocol": "published"}, "no published code for dlrm"),
        ({"model": "dlrm", "settings": {"optimizer": "sdg"}}, "adam, sgd; received 'sdg'"),
    ],
)
def test_a_wrong_configuration_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change)
