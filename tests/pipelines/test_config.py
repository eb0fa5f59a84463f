import dataclasses

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


def test_dense_trains_with_the_plain_optimizer():
    config = dataclasses.replace(CONFIG, algorithm="dense", density=1.0)
    assert type(config.optimizer(100)) is keras.optimizers.Adam


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "dls"}, "dls"),
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
