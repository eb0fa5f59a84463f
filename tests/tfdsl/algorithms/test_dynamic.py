import numpy as np
import pytest
import tensorflow as tf

from tfdsl import DSL, SET, RigL, schedules
from tfdsl.algorithms import DynamicSparse, WeightState

HALF = schedules.Linear(0.5, 0.5, end=1)  # a schedule is taken as it is; no annealing
ACTIVE = [0, 1, 2, 3]
WEIGHT = [0.5, -0.1, 0.3, -0.4, 0.0, 0.0, 0.0, 0.0]
GRADIENT = [0.0, 0.9, 0.0, 0.0, 0.2, -0.8, 0.1, 0.3]


def state(weight=WEIGHT, active=ACTIVE, gradient=None, momentum=None, ever=None):
    size = len(weight)
    mask = np.isin(np.arange(size), active)
    return WeightState(
        weight=tf.constant(weight, tf.float32),
        mask=tf.constant(mask),
        ever_active=tf.constant(mask if ever is None else np.isin(np.arange(size), ever)),
        gradient=None if gradient is None else tf.constant(gradient, tf.float32),
        momentum=None if momentum is None else tf.constant(momentum, tf.float32),
    )


def after(algorithm, *states, step=1):
    masks = algorithm.next_masks(states, tf.constant(step, tf.int64))
    made = [sorted(np.flatnonzero(mask).tolist()) for mask in masks]
    return made[0] if len(made) == 1 else made


# ---- one update, by hand --------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [DSL, RigL])
def test_gradient_growth_drops_the_smallest_weights_and_grows_the_steepest(algorithm):
    # Half of 4 go: 1 and 2. Of all inactive then, 5 and 7 are steepest.
    gradient = [0.9, 0.0, 0.0, 0.7, 0.2, -0.8, 0.1, 0.3]
    algorithm = algorithm(0.5, update_ratio=HALF, total_steps=1000, distribution="uniform")
    assert after(algorithm, state(gradient=gradient)) == [0, 3, 5, 7]


@pytest.mark.parametrize("algorithm", [DSL, RigL])
def test_a_dropped_weight_may_grow_at_once(algorithm):
    # 1 goes with 2, but its gradient is the steepest.
    algorithm = algorithm(0.5, update_ratio=HALF, total_steps=1000, distribution="uniform")
    assert after(algorithm, state(gradient=GRADIENT)) == [0, 1, 3, 5]


def test_random_growth_drops_the_smallest_weights_and_grows_any():
    algorithm = SET(0.5, update_ratio=0.5)
    update = tf.function(algorithm.next_masks, jit_compile=True, autograph=False)
    grown = np.zeros(8, int)
    for step in range(1, 121):
        (mask,) = update([state()], tf.constant(step, tf.int64))
        assert tf.math.count_nonzero(mask) == 4
        grown += mask.numpy()
    assert grown[0] == grown[3] == 120
    # 240 grown over the six others: 40 each, standard deviation about 5.
    assert grown[[1, 2, 4, 5, 6, 7]].min() > 20
    assert grown[[1, 2, 4, 5, 6, 7]].max() < 60


@pytest.mark.parametrize(("share", "moving"), [(0.1, 1), (0.25, 1), (0.26, 2), (0.75, 3), (1.0, 4)])
def test_the_number_that_moves_is_rounded_up(share, moving):
    kept = {1: [0, 2, 3], 2: [0, 3], 3: [0], 4: []}[moving]
    gradient = [0.0, 0.0, 0.0, 0.0, 4.0, 3.0, 2.0, 1.0]
    algorithm = SET(0.5, update_ratio=share, grow="gradient")
    assert after(algorithm, state(gradient=gradient)) == kept + [4, 5, 6, 7][:moving]


def test_a_ratio_of_zero_moves_nothing():
    algorithm = SET(0.5, update_ratio=schedules.Linear(0.5, 0.0, end=5), grow="gradient")
    assert after(algorithm, state(gradient=GRADIENT), step=5) == ACTIVE


def test_growth_by_an_update_is_the_same_for_the_same_seed_and_step():
    zeros = state(gradient=[0.0] * 8)
    assert after(DSL(0.5, total_steps=9), zeros) == after(DSL(0.5, total_steps=9), zeros)
    by_seed = {tuple(after(DSL(0.5, total_steps=9, seed=i), zeros)) for i in range(8)}
    by_step = {tuple(after(DSL(0.5, total_steps=9), zeros, step=i)) for i in range(1, 9)}
    assert len(by_seed) > 1
    assert len(by_step) > 1


# ---- criteria -------------------------------------------------------------------------------

# By hand: |w| keeps 0 and 3; |w * g| keeps 1 and 2.
KEPT = {"magnitude": {0, 3}, "taylor": {1, 2}}
GROWS = [0.1, 0.6, 0.5, 0.1, 0.7, 0.2, 0.9, 0.3]  # 4 and 6 are the highest inactive in any case


@pytest.mark.parametrize("drop", ["magnitude", "taylor"])
@pytest.mark.parametrize("grow", ["gradient", "accumulated_gradient", "momentum"])
def test_every_drop_criterion_works_with_every_scored_growth(drop, grow):
    algorithm = DynamicSparse(0.5, update_ratio=0.5, drop=drop, grow=grow)
    now = state([0.5, -0.2, 0.3, -0.4, 0, 0, 0, 0], gradient=GROWS, momentum=GROWS)
    assert set(after(algorithm, now)) == KEPT[drop] | {4, 6}


@pytest.mark.parametrize("drop", ["magnitude", "taylor"])
@pytest.mark.parametrize("grow", ["random", "random_unfired"])
def test_every_drop_criterion_works_with_random_growth(drop, grow):
    algorithm = DynamicSparse(0.5, update_ratio=0.5, drop=drop, grow=grow)
    now = state([0.5, -0.2, 0.3, -0.4, 0, 0, 0, 0], gradient=GROWS)
    made = set(after(algorithm, now))
    assert len(made) == 4
    assert KEPT[drop] <= made


def test_momentum_growth_looks_at_the_momentum_not_the_gradient():
    algorithm = DynamicSparse(0.5, update_ratio=0.5, grow="momentum")
    now = state(gradient=GRADIENT, momentum=[0, 0, 0, 0, 0, 0, -5.0, 4.0])
    assert after(algorithm, now) == [0, 3, 6, 7]


def test_unfired_growth_takes_entries_that_were_never_active():
    algorithm = SET(0.5, update_ratio=0.5, grow="random_unfired")
    for step in range(1, 6):
        assert after(algorithm, state(ever=[0, 1, 2, 3, 4, 6]), step=step) == [0, 3, 5, 7]


def test_unfired_growth_takes_others_once_all_have_been_active():
    algorithm = SET(0.5, update_ratio=0.5, grow="random_unfired")
    mask = after(algorithm, state(ever=[0, 1, 2, 3, 4, 6, 7]))
    assert len(mask) == 4
    assert {0, 3, 5} <= set(mask)


@pytest.mark.parametrize(
    ("drop", "grow", "signals"),
    [
        ("magnitude", "random", set()),
        ("magnitude", "random_unfired", set()),
        ("magnitude", "gradient", {"gradient"}),
        ("magnitude", "momentum", {"momentum"}),
        ("magnitude", "accumulated_gradient", {"accumulated_gradient"}),
        ("taylor", "random", {"gradient"}),
        ("taylor", "momentum", {"gradient", "momentum"}),
        ("taylor", "accumulated_gradient", {"accumulated_gradient"}),
    ],
)
def test_an_algorithm_asks_only_for_the_signals_it_uses(drop, grow, signals):
    assert DynamicSparse(0.5, drop=drop, grow=grow).signals == signals


# ---- the budget -----------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", ["uniform", "global"])
def test_the_budget_is_exact_after_thousands_of_updates(distribution):
    algorithm = DSL(0.3, update_ratio=HALF, total_steps=2000, distribution=distribution)
    shapes = [(6, 5), (13,)]
    rng = np.random.default_rng(0)
    kinds = [
        [tf.zeros(shape) for shape in shapes],
        [tf.ones(shape) for shape in shapes],
        [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes],
        [
            tf.constant(
                np.eye(*shape[:1], shape[-1])[: shape[0]].reshape(shape)
                if len(shape) == 2
                else np.zeros(shape),
                tf.float32,
            )
            for shape in shapes
        ],
    ]

    @tf.function(jit_compile=True, autograph=False)
    def update(masks, gradients, step):
        # Weights in which every third is zero, also on the mask.
        states = [
            WeightState(tf.where(m, tf.cast(step % 3, tf.float32) * g, 0.0), m, m, g, None)
            for m, g in zip(masks, gradients, strict=True)
        ]
        new = algorithm.next_masks(states, step)
        return new, tf.stack([tf.math.count_nonzero(m) for m in new])

    masks = algorithm.initial_masks([tf.zeros(shape) for shape in shapes])
    counts = []
    for step in range(1, 2001):
        masks, count = update(masks, kinds[step % 4], tf.constant(step, tf.int64))
        counts.append(count)
    counts = np.array(counts)
    if distribution == "global":
        assert (counts.sum(axis=1) == 13).all()
    else:
        assert (counts == [9, 4]).all()


def test_a_global_budget_moves_to_where_the_gradients_are():
    algorithm = DSL(0.5, update_ratio=HALF, total_steps=9, distribution="global")
    quiet = state([0.1, 0.1, 0.0, 0.0], [0, 1], gradient=[0.0] * 4)
    steep = state([0.9, 0.9, 0.0, 0.0], [0, 1], gradient=[0.0, 0.0, 0.5, 0.5])
    assert after(algorithm, quiet, steep) == [[], [0, 1, 2, 3]]


def test_a_uniform_budget_stays_in_each_tensor():
    algorithm = DSL(0.5, update_ratio=HALF, total_steps=9)
    quiet = state([0.1, 0.2, 0.0, 0.0], [0, 1], gradient=[0.0] * 4)
    steep = state([0.9, 0.8, 0.0, 0.0], [0, 1], gradient=[0.0, 0.0, 0.5, 0.5])
    assert [len(mask) for mask in after(algorithm, quiet, steep)] == [2, 2]


def test_a_mask_that_came_with_another_budget_keeps_it():
    assert len(after(DSL(0.1, total_steps=9), state(gradient=GRADIENT))) == 4


def test_the_masks_are_the_same_bits_in_a_graph_and_under_xla():
    algorithm = RigL(0.5, total_steps=1000)
    now = state(gradient=[0.0, 0.9, 0.0, 0.0, 0.2, 0.2, 0.2, 0.2])
    for step in (1, 2):
        step = tf.constant(step, tf.int64)
        eager = algorithm.next_masks([now], step)[0]
        for xla in (False, True):
            compiled = tf.function(algorithm.next_masks, jit_compile=xla, autograph=False)
            np.testing.assert_array_equal(compiled([now], step)[0], eager)


# ---- density schedules ----------------------------------------------------------------------


def test_a_falling_density_shrinks_the_budget():
    # At step 5 half-way from 1 to 0.25: 0.625 of 8.
    algorithm = DSL(schedules.Linear(1.0, 0.25, end=10), total_steps=10, update_interval=1)
    dense = state(gradient=GRADIENT, active=range(8))
    assert len(after(algorithm, dense, step=5)) == 5
    assert len(after(algorithm, dense, step=10)) == 2


def test_a_rising_density_grows_the_budget():
    algorithm = DSL(schedules.Linear(0.25, 0.75, end=10), total_steps=10, update_interval=1)
    sparse = state(gradient=GRADIENT, active=[0, 1])
    assert len(after(algorithm, sparse, step=5)) == 4
    assert len(after(algorithm, sparse, step=10)) == 6


def test_weights_of_several_densities_rise_together():
    algorithm = SET(schedules.Linear(0.1, 0.4, end=10), update_interval=1, distribution="erk")
    weights = [tf.ones([20, 30]), tf.ones([30, 2])]
    ends = algorithm.densities([(20, 30), (30, 2)])
    assert ends == [pytest.approx(0.34, abs=0.01), 1.0]
    for step, share in ((0, 0.25), (10, 1.0)):
        counts = [
            int(tf.math.count_nonzero(mask)) for mask in algorithm.initial_masks(weights, step)
        ]
        assert counts == [round(600 * ends[0] * share), round(60 * share)]


def test_masks_begin_at_the_schedules_first_density():
    algorithm = DSL(schedules.Linear(0.5, 0.25, end=10), total_steps=10, update_interval=1)
    (mask,) = algorithm.initial_masks([tf.ones([16])])
    assert tf.math.count_nonzero(mask) == 8
