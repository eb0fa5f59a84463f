import keras
import pytest
import tensorflow as tf

from tfdsl import DSL, SET, RigL, schedules

HALF = schedules.Linear(0.5, 0.5, end=1)  # a schedule is taken as it is; no annealing


def ratio(algorithm, *steps):
    return [float(algorithm.ratio(tf.constant(step, tf.int64))) for step in steps]


# ---- published defaults ---------------------------------------------------------------------


def test_dsl_anneals_half_to_half_a_percent_and_never_stops():
    dsl = DSL(0.2, total_steps=1000)
    assert ratio(dsl, 0, 500, 1000, 2000) == pytest.approx([0.5, 0.2525, 0.005, 0.005])
    assert dsl.updates.end is None
    assert bool(dsl.updates(tf.constant(100_000)))
    assert (dsl.drop, dsl.grow, dsl.distribution) == ("magnitude", "gradient", "uniform")
    assert (dsl.optimizer_state, dsl.init) == ("keep", "exact")


def test_rigl_anneals_to_zero_and_stops_at_three_quarters():
    rigl = RigL(0.2, total_steps=1000)
    assert ratio(rigl, 0, 375, 750) == pytest.approx([0.3, 0.15, 0.0])
    assert rigl.updates.end == 750
    assert rigl.updates.interval == 100
    assert (rigl.drop, rigl.grow, rigl.distribution) == ("magnitude", "gradient", "erk")
    assert rigl.optimizer_state == "mask"


def test_set_moves_a_constant_share_at_random():
    evolving = SET(0.2)
    assert ratio(evolving, 1, 10_000) == [0.3, 0.3]
    assert (evolving.drop, evolving.grow, evolving.updates.end) == ("magnitude", "random", None)


def test_a_constant_ratio_schedule_is_taken_as_it_is():
    dsl = DSL(0.2, total_steps=1000, update_ratio=schedules.Constant(0.3))
    assert ratio(dsl, 1000) == [0.3]


# ---- configuration and bad arguments --------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm",
    [
        DSL(0.2, total_steps=1000, update_interval=7, update_ratio=0.4, seed=3),
        DSL(0.2, total_steps=1000, update_ratio=HALF, update_end=900, init="bernoulli"),
        RigL(0.2, total_steps=1000, drop="taylor"),
        RigL(0.2, total_steps=1000, update_end=600, optimizer_state="reset"),
        SET(0.2, grow="random_unfired", distribution="global"),
        SET(schedules.Cubic(1.0, 0.2, end=50), update_ratio=0.1),
    ],
    ids=lambda x: type(x).__name__,
)
def test_an_algorithm_survives_its_configuration(algorithm):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(algorithm))
    assert type(again) is type(algorithm)
    assert again.get_config() == algorithm.get_config()
    assert ratio(again, 1, 300, 800) == ratio(algorithm, 1, 300, 800)
    assert again.updates.get_config() == algorithm.updates.get_config()


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"update_interval": 0}, "received 0"),
        ({"update_interval": 1.5}, "received 1.5"),
        ({"total_steps": 0}, "received 0"),
        ({"total_steps": "many"}, "received 'many'"),
        ({"update_ratio": 0.0}, "received 0.0"),
        ({"update_ratio": 1.5}, "received 1.5"),
        ({"update_ratio": schedules.Linear(3.0, 0.5, end=9)}, r"goes to 3\.0"),
        ({"update_ratio": schedules.Linear(0.5, -0.1, end=9)}, r"goes to -0\.1"),
        ({"drop": ["magnitude"]}, r"received \['magnitude'\]"),
        ({"update_end": -5}, "received -5"),
        ({"drop": "gradient"}, "received 'gradient'"),
        ({"grow": "everything"}, "received 'everything'"),
        ({"update_end": 99}, "update_interval=100, update_end=99 "),
    ],
)
@pytest.mark.parametrize("algorithm", [SET, RigL, DSL])
def test_a_bad_argument_is_refused_with_its_value(algorithm, arguments, received):
    with pytest.raises(ValueError, match=received):
        algorithm(0.5, **({"total_steps": 1000} | arguments))


def test_a_run_too_short_for_a_single_update_is_refused():
    RigL(0.5, total_steps=12, update_interval=9)
    with pytest.raises(ValueError, match=r"update_interval=10, update_end=9 \(total_steps=12\)"):
        RigL(0.5, total_steps=12, update_interval=10)


def test_a_density_that_would_not_arrive_is_refused():
    rising = schedules.Linear(0.1, 0.5, end=100)
    DSL(rising, total_steps=100, update_interval=10)
    SET(rising)  # nobody knows how long
    with pytest.raises(ValueError, match=r"ends at step 100, .* last time at step 70"):
        RigL(rising, total_steps=100, update_interval=10)


class Half:
    """A schedule of one's own, in the least that it takes."""

    final = 0.5

    def __init__(self, first=0.5):
        self.first = first

    def __call__(self, step):
        return self.first

    def get_config(self):
        return {"first": self.first}


def test_a_schedule_of_ones_own_may_return_a_python_number():
    algorithm = SET(Half(), update_ratio=Half(), update_interval=1)
    (mask,) = algorithm.initial_masks([tf.ones([8])])
    assert tf.math.count_nonzero(mask) == 4


@pytest.mark.parametrize("first", [float("nan"), -3.0, 1.2])
def test_a_schedule_of_ones_own_that_begins_nowhere_is_refused(first):
    with pytest.raises(ValueError, match="`density` must be a number"):
        SET(Half(first))
    with pytest.raises(ValueError, match="`update_ratio` must stay in"):
        SET(0.5, update_ratio=Half(first))


@pytest.mark.parametrize("algorithm", [DSL, RigL])
def test_annealing_without_the_length_of_the_run_is_refused(algorithm):
    with pytest.raises(ValueError, match=r"`total_steps`.*received None"):
        algorithm(0.5)


def test_growth_by_a_momentum_that_is_masked_is_refused():
    with pytest.raises(ValueError, match="optimizer_state='reset' or 'keep'"):
        SET(0.5, grow="momentum", optimizer_state="mask")
