import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl import DSL, SET, RigL, StaticSparse, distributions, schedules
from tfdsl.algorithms import Algorithm, WeightState


def counts(made):
    return [int(tf.math.count_nonzero(mask)) for mask in made]


def initial(algorithm, *shapes):
    return algorithm.initial_masks([tf.random.normal(shape, seed=1) for shape in shapes])


def test_static_masks_never_change():
    assert StaticSparse(0.5).updates is None
    assert StaticSparse(0.5).signals == frozenset()


@pytest.mark.parametrize("algorithm", [StaticSparse, SET, lambda d: DSL(d, total_steps=9)])
@pytest.mark.parametrize("density", [0.01, 0.25, 1 / 3, 0.5, 0.99, 1.0])
def test_initial_masks_have_exactly_the_budget(algorithm, density):
    shapes = [(7, 5), (11,), (4, 3, 2)]
    expected = [distributions.budget(size, density) for size in (35, 11, 24)]
    assert counts(initial(algorithm(density), *shapes)) == expected


def test_initial_masks_round_halves_as_the_budget_does():
    sizes = [(n,) for n in range(5, 100, 10)]
    for density in (0.1, 0.3):
        expected = [distributions.budget(size, density) for (size,) in sizes]
        assert counts(initial(StaticSparse(density), *sizes)) == expected


def test_initial_masks_are_never_empty():
    assert counts(initial(StaticSparse(0.001), (3, 3), (2,))) == [1, 1]


def test_initial_masks_have_the_weights_shapes():
    masks = initial(StaticSparse(0.5), (3, 4), (5,), (2, 2, 2))
    assert [tuple(mask.shape) for mask in masks] == [(3, 4), (5,), (2, 2, 2)]
    assert all(mask.dtype == tf.bool for mask in masks)


def test_initial_masks_depend_on_the_seed_and_the_tensors_place():
    first, second = initial(StaticSparse(0.5), (8, 8), (8, 8))
    again, _ = initial(StaticSparse(0.5), (8, 8), (8, 8))
    other, _ = initial(StaticSparse(0.5, seed=1), (8, 8), (8, 8))
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != second.numpy()).any()
    assert (first.numpy() != other.numpy()).any()


def test_magnitude_masks_keep_the_largest_initial_weights():
    weight = tf.constant([[0.1, -0.9], [0.5, -0.2]])
    (mask,) = StaticSparse(0.5, init="magnitude").initial_masks([weight])
    np.testing.assert_array_equal(mask, [[False, True], [True, False]])


def test_bernoulli_masks_have_a_binomial_count():
    made = [
        counts(initial(StaticSparse(0.2, init="bernoulli", seed=i), (50, 40)))[0] for i in range(20)
    ]
    deviation = (2000 * 0.2 * 0.8) ** 0.5  # 17.9
    assert abs(np.mean(made) - 400) < 4 * deviation / 20**0.5
    assert 0.4 * deviation < np.std(made) < 2 * deviation


def test_erk_gives_each_tensor_its_own_density():
    masks = initial(StaticSparse(0.2, distribution="erk"), (10, 10), (100, 100))
    assert counts(masks) == [100, 1920]


def test_a_global_budget_is_exact_over_all_tensors_together():
    masks = initial(StaticSparse(0.2, distribution="global"), (10, 10), (20, 20))
    assert sum(counts(masks)) == 100


def test_a_global_magnitude_mask_takes_the_largest_weights_of_all():
    weights = [tf.constant([0.1, 0.2]), tf.constant([3.0, 4.0])]
    small, large = StaticSparse(0.5, distribution="global", init="magnitude").initial_masks(weights)
    assert counts([small, large]) == [0, 2]


def test_density_one_is_dense():
    assert counts(initial(StaticSparse(1.0), (4, 4))) == [16]


def test_an_algorithm_survives_its_configuration():
    algorithm = StaticSparse(
        0.25,
        distribution="erk",
        granularity="row",
        init="bernoulli",
        first_values="rescale",
        optimizer_state="reset",
        seed=7,
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(algorithm))
    assert type(again) is StaticSparse
    assert again.get_config() == algorithm.get_config()
    assert again.get_config() == {
        "density": 0.25,
        "distribution": "erk",
        "granularity": "row",
        "init": "bernoulli",
        "first_values": "rescale",
        "optimizer_state": "reset",
        "seed": 7,
    }


@pytest.mark.parametrize("density", [0.0, -0.1, 1.5, float("nan"), "0.2", None])
@pytest.mark.parametrize("algorithm", [StaticSparse, SET, RigL])
def test_a_density_outside_its_range_is_refused_with_its_value(algorithm, density):
    with pytest.raises(ValueError) as error:
        algorithm(density)
    assert f"received {density!r}" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"distribution": "even"}, "received 'even'"),
        ({"init": "ones"}, "received 'ones'"),
        ({"optimizer_state": "drop"}, "received 'drop'"),
        ({"seed": -1}, "received -1"),
        ({"seed": 0.5}, "received 0.5"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(arguments, received):
    with pytest.raises(ValueError, match=received):
        StaticSparse(0.5, **arguments)


def test_a_density_schedule_must_end_inside_the_range():
    with pytest.raises(ValueError, match=r"received 0\.0"):
        StaticSparse(schedules.Linear(1.0, 0.0, end=5))


def test_masks_that_never_change_take_no_schedule():
    with pytest.raises(ValueError, match=r"constant schedule; received Linear"):
        StaticSparse(schedules.Linear(0.8, 0.1, end=4))
    assert StaticSparse(schedules.Constant(0.8)).density.final == 0.8


def test_an_own_algorithm_overrides_only_update():
    class KeepFirst(Algorithm):
        def update(self, state, budget, step, seed):
            return tf.range(tf.size(state.mask)) < budget

    state = WeightState(tf.zeros([4, 2]), tf.ones([4, 2], tf.bool))
    (mask,) = KeepFirst(0.5).next_masks([state], tf.constant(1, tf.int64))
    np.testing.assert_array_equal(mask, [[True, True], [True, True], [False] * 2, [False] * 2])
