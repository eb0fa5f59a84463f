import dataclasses
import importlib
import re

import keras
import pytest

import tfdsl
from pipelines.config import ALGORITHMS, RunConfig

CONFIG = RunConfig(data="synthetic", model="multvae", algorithm="dsl", density=0.1)


def test_every_field_changes_the_key():
    other = {"data": "ml-1m", "density": 0.2, "algorithm": "set", "protocol": "published"}
    other |= {"optimizer_state": "keep", "distribution": "erk", "model": "neumf"}
    keys = {CONFIG.key}
    for field in dataclasses.fields(CONFIG):
        if field.name == "quirks":
            continue
        value = getattr(CONFIG, field.name)
        changed = other.get(field.name, value * 2 + 1 if not isinstance(value, str) else None)
        keys.add(dataclasses.replace(CONFIG, **{field.name: changed}).key)
    assert len(keys) == len(dataclasses.fields(CONFIG))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_can_be_made(name):
    optimizer = dataclasses.replace(CONFIG, algorithm=name).optimizer(total_steps=1000)
    assert isinstance(optimizer, tfdsl.SparseOptimizer)
    assert optimizer.algorithm.density.final == 0.1


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("quirks", [(), ("bernoulli",)])
def test_what_is_recorded_is_what_is_run(name, quirks):
    given = {"algorithm": name, "optimizer_state": "mask", "distribution": "erk", "seed": 7}
    config = dataclasses.replace(CONFIG, protocol="published", quirks=quirks, **given)
    made = config.optimizer(total_steps=1000).algorithm
    assert (made.optimizer_state, made.distribution, made.seed) == ("mask", "erk", 7)
    assert made.init == ("bernoulli" if quirks else "exact")


def test_known_models_and_data_are_where_the_docstring_says():
    places = dict(
        re.findall(r"(\w+): [^`\n]*, a key of `(pipelines\.\w+\.\w+)`", RunConfig.__doc__)
    )
    assert set(places) == {"data", "model"}
    for field, place in places.items():
        module, name = place.rsplit(".", 1)
        assert getattr(CONFIG, field) in getattr(importlib.import_module(module), name)


def test_dense_trains_with_the_plain_optimizer():
    config = dataclasses.replace(CONFIG, algorithm="dense", density=1.0)
    assert type(config.optimizer(100)) is keras.optimizers.Adam


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "`epochs`.*at least 1; received 0"),
        ({"epochs": 2.0}, "`epochs`.*whole number.*received 2.0"),
        ({"batch_size": -1}, "`batch_size`.*received -1"),
        ({"update_interval": 0}, "`update_interval`.*received 0"),
        ({"anneal_steps": 0}, "`anneal_steps`.*received 0"),
        ({"evaluate_every": 0}, "`evaluate_every`.*received 0"),
        ({"seed": -1}, "`seed`.*at least 0; received -1"),
        ({"seed": 2**32}, r"`seed` must be below 2\*\*32; received 4294967296"),
        ({"learning_rate": 0.0}, "`learning_rate`.*above 0.*received 0.0"),
        ({"learning_rate": float("inf")}, "`learning_rate`.*finite; received inf"),
        ({"density": 0.0}, "`density`.*above 0 and at most 1; received 0.0"),
        ({"density": 1.5}, "`density`.*received 1.5"),
        ({"density": float("nan")}, "`density`.*received nan"),
        ({"density": True}, "`density`.*received True"),
        ({"optimizer_state": "forget"}, "`optimizer_state`.*keep, mask, reset; received 'forget'"),
        ({"distribution": "even"}, "`distribution`.*erk.*received 'even'"),
        ({"algorithm": "dls"}, "`algorithm`.*dense, dsl.*received 'dls'"),
        ({"algorithm": "dense"}, "0.1"),
        ({"density": 1.0}, "1.0"),
        ({"protocol": "dirty"}, "dirty"),
        ({"quirks": ("bernoulli",)}, "clean protocol has no quirks"),
        ({"protocol": "published", "quirks": ("bernouli",)}, "bernouli"),
        ({"protocol": "published", "quirks": ("warm_moments",)}, "'reset'"),
    ],
)
def test_a_wrong_configuration_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change)
