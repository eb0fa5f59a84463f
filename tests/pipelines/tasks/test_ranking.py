import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from pipelines.config import RunConfig
from pipelines.tasks.ranking import RankingTask


def interactions(n):
    users, items = np.divmod(np.arange(n), 50)
    return sparse.csr_array((np.ones(n, np.float32), (users, items)), shape=(n // 50 + 1, 60))


@pytest.mark.parametrize(
    ("n", "per_epoch", "at_once"),
    [(8, 1, 1), (9, 2, 2), (800, 100, 100), (801, 102, 51), (151 * 8, 152, 76), (7768, 980, 98)],
)
def test_an_epoch_has_every_pair_in_a_whole_number_of_executions(n, per_epoch, at_once):
    config = RunConfig("synthetic", "neumf", "dense", 1.0, batch_size=8)
    task = RankingTask(config, interactions(n))
    assert (task.steps_per_epoch, task.steps_at_once) == (per_epoch, at_once)


def test_device_and_host_are_fed_the_same_steps():
    config = RunConfig("synthetic", "neumf", "dense", 1.0, batch_size=8, epochs=3)
    fed = {}
    for sampling in ("device", "host"):
        own = dataclasses.replace(config, settings={"sampling": sampling})
        task = RankingTask(own, interactions(901))
        fed[sampling] = list(task.batches(1))
        assert len(fed[sampling]) == 2 * task.elements_per_epoch
    numbers = np.concatenate(fed["device"])
    np.testing.assert_array_equal(numbers, np.arange(114, 3 * 114))
    assert {len(element) for element in fed["device"]} == {57}
    draw = tf.function(task.sampler)
    for number, ((users, _), _) in zip(numbers, fed["host"], strict=True):
        np.testing.assert_array_equal(users, draw(tf.constant(number))[0][0])


def test_an_unknown_sampling_is_refused():
    config = RunConfig("synthetic", "neumf", "dense", 1.0, settings={"sampling": "gpu"})
    with pytest.raises(ValueError, match="`sampling` must be one of host, device; received 'gpu'"):
        RankingTask(config, interactions(100))


def test_fewer_interactions_than_a_batch_are_refused():
    config = RunConfig("synthetic", "neumf", "dense", 1.0, batch_size=8)
    with pytest.raises(ValueError, match="7 interactions do not fill a batch of 8"):
        RankingTask(config, interactions(7))
