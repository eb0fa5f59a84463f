import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl import SET, GradualMagnitude, OneShotMagnitude, distributions, schedules
from tfdsl.algorithms import WeightState


def due(algorithm, steps):
    return [step for step in range(steps) if bool(algorithm.updates(tf.constant(step, tf.int64)))]


def after(algorithm, weight, mask, step):
    states = [WeightState(tf.constant(weight, tf.float32), tf.constant(mask))]
    (made,) = algorithm.next_masks(states, tf.constant(step, tf.int64))
    return np.flatnonzero(made).tolist()


def n_initial(algorithm, size):
    (mask,) = algorithm.initial_masks([tf.random.normal([size])])
    return int(tf.math.count_nonzero(mask))


def test_one_shot_prunes_at_its_step_and_no_other():
    assert due(OneShotMagnitude(0.25, prune_step=5), 20) == [5]


def test_one_shot_begins_dense():
    assert n_initial(OneShotMagnitude(0.25, prune_step=5), 8) == 8


def test_one_shot_keeps_the_largest_weights():
    weight = [0.1, -0.9, 0.2, 0.8, -0.3, 0.4, 0.0, 0.5]
    algorithm = OneShotMagnitude(0.25, prune_step=5)
    assert after(algorithm, weight, [True] * 8, 5) == [1, 3]


def test_gradual_pruning_follows_the_cubic_to_the_final_density():
    # Ends at 30, three quarters of 40. 16 weights: 0.25 + 0.75 * (2/3)^3 = 0.472 -> 8 after the
    # first pruning, 0.25 + 0.75 * (1/3)^3 = 0.278 -> 4 after the second, 4 after the third.
    algorithm = GradualMagnitude(0.25, total_steps=40, update_interval=10)
    assert due(algorithm, 60) == [10, 20, 30]
    weight = np.arange(1.0, 17.0)
    counts = [len(after(algorithm, weight, [True] * 16, step)) for step in (10, 20, 30)]
    assert counts == [8, 4, 4]


def test_gradual_pruning_begins_dense():
    assert n_initial(GradualMagnitude(0.25, total_steps=400), 16) == 16


def test_gradual_pruning_reaches_the_final_density_at_its_last_update():
    # The last update before the end, 25, is at 21.
    algorithm = GradualMagnitude(0.25, update_interval=10, begin=1, end=25)
    assert due(algorithm, 60) == [1, 11, 21]
    assert len(after(algorithm, np.arange(1.0, 17.0), [True] * 16, 21)) == 4


def test_what_is_pruned_stays_pruned():
    algorithm = GradualMagnitude(0.5, total_steps=40, update_interval=10)
    mask = [True, True, True, False, False, True]
    assert after(algorithm, [0.1, 0.2, 0.3, 9.0, 9.0, 0.4], mask, 30) == [1, 2, 5]


def test_a_global_budget_prunes_the_smallest_weights_of_all_tensors():
    algorithm = OneShotMagnitude(0.5, prune_step=1, distribution="global")
    states = [WeightState(tf.constant(w), tf.ones([2], tf.bool)) for w in ([0.1, 0.2], [3.0, 4.0])]
    small, large = algorithm.next_masks(states, tf.constant(1, tf.int64))
    assert not tf.reduce_any(small)
    assert tf.reduce_all(large)


def test_a_schedule_says_how_the_density_goes():
    algorithm = GradualMagnitude(schedules.Linear(0.5, 0.25, end=20), update_interval=10)
    assert n_initial(algorithm, 16) == 8
    weight = np.arange(1.0, 17.0)
    assert after(algorithm, weight, [True] * 16, 10) == list(range(10, 16))


def test_a_schedule_that_starts_sparse_starts_with_the_largest_weights():
    algorithm = GradualMagnitude(schedules.Linear(0.5, 0.25, end=20))
    (mask,) = algorithm.initial_masks([tf.constant([0.1, 0.9, -0.8, 0.2])])
    assert np.flatnonzero(mask).tolist() == [1, 2]


# Halves, and numbers that 1 / 9, 1 / 19 and the like, as XLA divides, do not quite give.
@pytest.mark.parametrize(("density", "size"), [(0.1, 35), (0.05, 90), (0.3, 35), (0.25, 250)])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_the_end_there_are_as_many_as_the_density_says(density, size, jit_compile):
    weight = np.arange(1.0, size + 1.0, dtype="f4")
    for algorithm in (
        OneShotMagnitude(density, prune_step=2),
        GradualMagnitude(density, update_interval=1, total_steps=49),
        SET(schedules.Linear(1.0, density, end=49), update_interval=1, total_steps=49),
    ):
        state = WeightState(tf.constant(weight), tf.ones([size], tf.bool))
        update = tf.function(algorithm.next_masks, jit_compile=jit_compile, autograph=False)
        end = getattr(algorithm, "prune_step", algorithm.density.end)
        (mask,) = update([state], tf.constant(end, tf.int64))
        assert int(tf.math.count_nonzero(mask)) == int(distributions.budget(size, density))


def test_a_run_too_short_for_a_single_pruning_is_refused():
    with pytest.raises(ValueError, match="update_interval"):
        GradualMagnitude(0.25, total_steps=100, update_interval=100)


@pytest.mark.parametrize(
    "algorithm",
    [
        OneShotMagnitude(0.25, prune_step=5, distribution="erk", seed=3),
        GradualMagnitude(0.25, total_steps=400, update_interval=7, begin=20),
        GradualMagnitude(0.25, end=300, optimizer_state="mask"),
        GradualMagnitude(schedules.Linear(0.5, 0.25, end=20)),
        GradualMagnitude(schedules.Constant(0.25), begin=5),
    ],
    ids=["one shot", "gradual", "gradual with end", "schedule", "constant schedule"],
)
def test_an_algorithm_survives_its_configuration(algorithm):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(algorithm))
    assert type(again) is type(algorithm)
    assert again.get_config() == algorithm.get_config()
    assert due(again, 60) == due(algorithm, 60)
    for step in (5, 10, 300):
        step = tf.constant(step, tf.int64)
        assert float(again.density(step)) == float(algorithm.density(step))


@pytest.mark.parametrize(
    ("make", "received"),
    [
        (lambda: OneShotMagnitude(0.0, prune_step=5), r"received 0\.0"),
        (
            lambda: OneShotMagnitude(schedules.Linear(1.0, 0.5, end=5), prune_step=5),
            r"must be a number in \(0, 1\]; received Linear\(initial=1\.0",
        ),
        (lambda: OneShotMagnitude(0.5, prune_step=0), "received 0"),
        (lambda: GradualMagnitude(1.5, total_steps=100), r"received 1\.5"),
        (lambda: GradualMagnitude(0.5, total_steps=-4), "received -4"),
        (lambda: GradualMagnitude(0.5, total_steps=100, update_interval=0), "received 0"),
        (lambda: GradualMagnitude(0.5, begin=50, end=40), "begin=50, end=40"),
        (lambda: GradualMagnitude(0.5), "received None"),
        (
            lambda: GradualMagnitude(0.5, total_steps=100, end=900),
            r"ends at step 900, .* last time at step 100; .*total_steps=100",
        ),
        (
            lambda: GradualMagnitude(
                schedules.Linear(1.0, 0.1, end=25), update_interval=50, total_steps=30
            ),
            r"ends at step 25, .* last time at step 0; received Linear\(",
        ),
        (lambda: GradualMagnitude(lambda step: 0.5), r"has `final` and `get_config`"),
        (lambda: GradualMagnitude(0.5, total_steps=0, end=9), "received 0"),
        (
            lambda: GradualMagnitude(schedules.Linear(0.2, 0.5, end=9)),
            r"cannot rise; received Linear\(initial=0\.2, final=0\.5, end=9, begin=0\)",
        ),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(make, received):
    with pytest.raises(ValueError, match=received):
        make()
