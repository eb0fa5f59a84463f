import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl import schedules


def due(schedule, steps):
    return [step for step in range(steps) if bool(schedule(tf.constant(step, tf.int64)))]


def values(schedule, steps):
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


# ---- when -----------------------------------------------------------------------------------


def test_updates_are_due_every_interval_but_not_before_the_first_step():
    assert due(schedules.UpdateSchedule(3), 11) == [3, 6, 9]


def test_updates_at_interval_one_are_due_at_every_step_from_the_first():
    assert due(schedules.UpdateSchedule(1), 4) == [1, 2, 3]


def test_updates_count_from_begin():
    assert due(schedules.UpdateSchedule(3, begin=2), 11) == [2, 5, 8]


def test_updates_end_after_the_end_step():
    assert due(schedules.UpdateSchedule(3, end=6), 11) == [3, 6]
    assert due(schedules.UpdateSchedule(3, end=5), 11) == [3]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"interval": 0}, "received 0"),
        ({"interval": -3}, "received -3"),
        ({"interval": 2.5}, "received 2.5"),
        ({"interval": True}, "received True"),
        ({"interval": 1, "begin": -1}, "received -1"),
        ({"interval": 1, "end": 0}, "received 0"),
        ({"interval": 1, "begin": 9, "end": 8}, "begin=9, end=8"),
    ],
)
def test_a_bad_update_schedule_is_refused_with_its_value(arguments, received):
    with pytest.raises(ValueError, match=received):
        schedules.UpdateSchedule(**arguments)


# ---- how much -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (schedules.Linear(1.0, 0.2, end=8), [1.0, 0.8, 0.6, 0.4, 0.2, 0.2]),
        (schedules.Cubic(1.0, 0.2, end=8), [1.0, 0.5375, 0.3, 0.2125, 0.2, 0.2]),
        (
            schedules.Cosine(0.5, 0.1, end=8),
            [0.5, 0.3 + 0.2 * 0.5**0.5, 0.3, 0.3 - 0.2 * 0.5**0.5, 0.1, 0.1],
        ),
        (schedules.Polynomial(1.0, 0.0, end=8, power=2.0), [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]),
        (schedules.Constant(0.3), [0.3] * 6),
    ],
    ids=lambda x: type(x).__name__,
)
def test_values_at_both_ends_and_between(schedule, expected):
    assert values(schedule, [0, 2, 4, 6, 8, 100]) == pytest.approx(expected)
    assert schedule.final == pytest.approx(expected[-1])


def test_a_ramp_stays_at_its_initial_value_until_it_begins():
    ramp = schedules.Linear(1.0, 0.0, begin=10, end=20)
    assert values(ramp, [0, 10, 15, 20]) == pytest.approx([1.0, 1.0, 0.5, 0.0])


def test_polynomial_of_power_three_is_cubic():
    steps = range(12)
    polynomial = schedules.Polynomial(0.9, 0.1, end=10, begin=1)
    assert values(polynomial, steps) == values(schedules.Cubic(0.9, 0.1, end=10, begin=1), steps)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"end": 0}, "received 0"),
        ({"end": 5, "begin": 5}, "begin=5, end=5"),
        ({"end": 5, "begin": -1}, "received -1"),
    ],
)
def test_a_bad_ramp_is_refused_with_its_value(arguments, received):
    with pytest.raises(ValueError, match=received):
        schedules.Linear(1.0, 0.0, **arguments)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.UpdateSchedule(7, begin=3, end=50),
        schedules.Linear(1.0, 0.2, end=8, begin=2),
        schedules.Cosine(1.0, 0.2, end=8, begin=2),
        schedules.Cubic(1.0, 0.2, end=8, begin=2),
        schedules.Polynomial(1.0, 0.2, end=8, begin=2, power=1.5),
        schedules.Constant(0.3),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_schedule_survives_its_configuration(schedule):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    assert values(again, range(10)) == values(schedule, range(10))


# ---- what is taken for a schedule -----------------------------------------------------------


def test_a_number_is_a_constant_schedule():
    assert schedules.get("density", 0.25).final == 0.25


def test_a_schedule_is_taken_as_it_is():
    ramp = schedules.Linear(1.0, 0.0, end=5)
    assert schedules.get("density", ramp) is ramp


@pytest.mark.parametrize("value", [0, 0.0, -0.1, 1.01, float("nan"), True, None, "0.2", [0.2]])
def test_anything_but_a_share_or_a_schedule_is_refused_with_its_value(value):
    with pytest.raises(ValueError) as error:
        schedules.get("density", value)
    assert "`density`" in str(error.value)
    assert f"received {value!r}" in str(error.value)


def test_a_number_is_written_as_a_number_and_a_constant_as_a_schedule():
    constant = schedules.Constant(0.2)
    assert schedules.to_config(0.2, constant) == 0.2
    assert schedules.from_config(0.2) == 0.2
    again = schedules.from_config(schedules.to_config(constant, constant))
    assert isinstance(again, schedules.Constant)
    assert again.value == 0.2


# ---- tfmot ----------------------------------------------------------------------------------

_COMPARE = """
import numpy as np, tensorflow as tf
import tensorflow_model_optimization.sparsity.keras as tfmot
from tfdsl import schedules

for theirs in [
    tfmot.PolynomialDecay(0.2, 0.8, begin_step=4, end_step=30, power=2, frequency=3),
    tfmot.ConstantSparsity(0.75, begin_step=5, end_step=-1, frequency=7),
]:
    assert schedules.is_tfmot(theirs)
    density, updates = schedules.from_tfmot(theirs)
    for step in range(1, 40):
        step = tf.constant(step, tf.int64)
        prune, sparsity = theirs(step)
        assert bool(prune) == bool(updates(step)), step
        np.testing.assert_allclose(1.0 - density(step).numpy(), sparsity.numpy(), rtol=1e-5)
    print("equal")
"""


def test_tfmot_schedules_are_followed_step_by_step():
    run = subprocess.run(
        [sys.executable, "-c", _COMPARE], capture_output=True, text=True, timeout=180
    )
    assert run.stdout.split() == ["equal", "equal"], run.stderr[-2000:]


class _Tfmot:
    """Stands for a class of tfmot, which this process must not import."""

    def __init__(self, **config):
        self.config = config

    def get_config(self):
        return {"class_name": type(self).__name__, "config": self.config}


def _tfmot(name, **config):
    module = "tensorflow_model_optimization.python.core.sparsity.keras.pruning_schedule"
    return type(name, (_Tfmot,), {"__module__": module})(**config)


def test_a_tfmot_schedule_is_read_without_tfmot():
    constant = _tfmot(
        "ConstantSparsity", target_sparsity=0.75, begin_step=5, end_step=-1, frequency=7
    )
    density, updates = schedules.from_tfmot(constant)
    assert density.final == 0.25
    assert due(updates, 20) == [5, 12, 19]
    assert np.isclose(schedules.get("density", constant).final, 0.25)


def test_an_unknown_tfmot_schedule_is_refused_by_name():
    unknown = _tfmot("OwnSchedule", begin_step=0, end_step=9, frequency=1)
    with pytest.raises(ValueError, match="received OwnSchedule"):
        schedules.from_tfmot(unknown)
