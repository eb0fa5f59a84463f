import pytest
import tensorflow as tf

import tfdsl
from pipelines import protocols
from pipelines.config import SETTINGS
from pipelines.protocols import PublishedDSL
from tfdsl.algorithms import WeightState


def state(gradient):
    weight = tf.constant([4.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    return WeightState(weight, weight > 0, weight > 0, tf.constant(gradient))


def active_after(algorithm, gradient):
    (mask,) = algorithm.next_masks([state(gradient)], tf.constant(1, tf.int64))
    return int(tf.reduce_sum(tf.cast(mask, tf.int32)))


ARGUMENTS = {"density": 0.5, "total_steps": 1000, "update_interval": 1}


@pytest.mark.parametrize(
    ("protocol", "given", "active", "optimizer_state"),
    [
        ("clean", None, (), "reset"),
        ("published", None, protocols.of_model("multvae"), "keep"),
        ("published", ("bernoulli",), ("bernoulli",), "reset"),
        ("published", (), (), "reset"),
    ],
)
def test_quirks_that_are_on(protocol, given, active, optimizer_state):
    assert protocols.active(protocol, given, "multvae") == active
    assert protocols.optimizer_state(active) == optimizer_state


def test_every_quirk_is_of_some_model_and_shared_ones_of_all():
    of = [set(protocols.of_model(model)) for model in SETTINGS]
    assert set.union(*of) == set(protocols.QUIRKS)
    assert set.intersection(*of) == {"bernoulli", "warm_moments", "shrinking_budget"}


def test_without_ties_the_published_rule_is_dsl():
    gradient = [0.0, 0.0, 0.1, 0.2, 0.9, 0.8, 0.3, 0.4]
    ours, theirs = (a(**ARGUMENTS) for a in (tfdsl.DSL, PublishedDSL))
    step = tf.constant(1, tf.int64)
    (first,), (second,) = (a.next_masks([state(gradient)], step) for a in (ours, theirs))
    assert first.numpy().tolist() == second.numpy().tolist()


def test_ties_at_zero_shrink_the_published_budget_and_not_ours():
    sizes = [active_after(PublishedDSL(**ARGUMENTS, seed=seed), [0.0] * 8) for seed in range(20)]
    assert min(sizes) < 4
    assert max(sizes) <= 4
    assert {active_after(tfdsl.DSL(**ARGUMENTS, seed=seed), [0.0] * 8) for seed in range(20)} == {4}
