import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl.algorithms import AlternateGrowthPruning, StructuredPruning

SEED = tf.constant(7, tf.uint32)


@pytest.mark.parametrize(
    ("arguments", "prune", "grow"),
    [
        # 90 steps of cycles: 30 each, of which the last 21 are pruned.
        ({"total_steps": 100}, (9, 39, 69), (30, 60, 90)),
        ({"total_steps": 20, "cycles": 1, "pruned_share": 0.5, "final_share": 0.0}, (10,), (20,)),
        ({"total_steps": 12, "cycles": 2, "pruned_share": 0.5, "final_share": 0.5}, (2, 5), (3, 6)),
    ],
)
def test_cycles_share_the_steps_before_the_last_stretch(arguments, prune, grow):
    updates = AlternateGrowthPruning(0.5, **arguments).updates
    assert (updates.prune, updates.grow) == (prune, grow)
    steps = range(1, arguments["total_steps"] + 1)
    assert [s for s in steps if bool(updates(tf.constant(s)))] == sorted(prune + grow)
    assert [s for s in steps if bool(updates.prunes(tf.constant(s)))] == list(prune)


@pytest.mark.parametrize("algorithm", ["alternate", "once"])
def test_pruned_steps_are_those_between_a_switch_and_the_next(algorithm):
    if algorithm == "once":
        updates = StructuredPruning(0.5, prune_step=5).updates
        pruned = range(6, 200)
    else:
        updates = AlternateGrowthPruning(0.5, total_steps=100).updates
        pruned = [*range(10, 31), *range(40, 61), *range(70, 91)]
    for n in (0, 1, 5, 9, 10, 20, 30, 31, 65, 90, 100, 150):
        assert updates.pruned_steps(n) == len([step for step in pruned if step <= n]), n


@pytest.mark.parametrize(
    ("keep", "n", "kept"),
    [(0.5, 8, 4), (0.5, 7, 4), (0.1, 30, 3), (0.01, 5, 1), (1e-9, 5, 1), (1.0, 6, 6)],
)
def test_the_count_of_neurons_is_rounded_up(keep, n, kept):
    assert StructuredPruning(keep, prune_step=1).n_kept(n) == kept


def test_those_of_large_incoming_and_outgoing_weights_stay_in_their_order():
    incoming = tf.constant([[3.0, 1.0, 0.0, 2.0], [4.0, 0.0, 9.0, 0.0]])  # norms 5, 1, 9, 2
    outgoing = tf.constant([[1.0, 0.0], [0.0, 6.0], [0.5, 0.0], [0.0, 1.0]])  # 1, 6, 0.5, 1
    algorithm = StructuredPruning(0.5, prune_step=1)  # importance 5, 6, 4.5, 2
    np.testing.assert_array_equal(algorithm.order(incoming, outgoing, None, SEED), [0, 1, 2, 3])
    turned = tf.reverse(incoming, [1]), tf.reverse(outgoing, [0])
    np.testing.assert_array_equal(algorithm.order(*turned, None, SEED), [2, 3, 0, 1])


def test_taylor_keeps_those_whose_loss_is_first_order_in_the_output():
    outgoing = tf.constant([[1.0, -1.0], [2.0, 2.0], [0.1, 0.0]])
    gradient = tf.constant([[5.0, 5.0], [-1.0, -1.0], [10.0, 0.0]])  # sums 0, -4, 1
    algorithm = StructuredPruning(0.6, prune_step=1, importance="taylor")
    order = algorithm.order(tf.zeros([4, 3]), outgoing, gradient, SEED)
    np.testing.assert_array_equal(order, [1, 2, 0])


def test_equal_importance_is_settled_by_the_seed():
    zeros = tf.zeros([3, 40]), tf.zeros([40, 3]), None
    algorithm = StructuredPruning(0.5, prune_step=1)
    orders = [tuple(algorithm.order(*zeros, tf.constant(s, tf.uint32)).numpy()) for s in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(40))


@pytest.mark.parametrize(
    "algorithm",
    [
        StructuredPruning(0.25, prune_step=3, importance="taylor", seed=4),
        AlternateGrowthPruning(
            0.3, total_steps=99, cycles=2, pruned_share=0.4, final_share=0.2, grow="fresh",
            optimizer_state="reset", importance="taylor", seed=5,
        ),
    ],
)  # fmt: skip
def test_it_is_saved_and_made_again(algorithm):
    config = keras.saving.serialize_keras_object(algorithm)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(algorithm)
    assert again.get_config() == algorithm.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AlternateGrowthPruning(0.0, total_steps=99), "`keep`.*received 0.0"),
        (lambda: AlternateGrowthPruning(1.5, total_steps=99), r"in \(0, 1\]; received 1.5"),
        (lambda: AlternateGrowthPruning(total_steps=99, pruned_share="x"), "share`.*received 'x'"),
        (lambda: AlternateGrowthPruning(total_steps=99, final_share=None), "received None"),
        (lambda: AlternateGrowthPruning(total_steps=0), "`total_steps`.*received 0"),
        (lambda: AlternateGrowthPruning(total_steps=99, cycles=0), "`cycles`.*received 0"),
        (lambda: AlternateGrowthPruning(total_steps=99, pruned_share=1.0), "`pruned_share`.*1.0"),
        (lambda: AlternateGrowthPruning(total_steps=99, final_share=1.0), "`final_share`.*1.0"),
        (lambda: AlternateGrowthPruning(total_steps=99, grow="anew"), "`grow`.*received 'anew'"),
        (lambda: AlternateGrowthPruning(total_steps=99, importance="l1"), "`importance`.*'l1'"),
        (lambda: AlternateGrowthPruning(total_steps=99, optimizer_state="mask"), "`optimizer_st"),
        (lambda: AlternateGrowthPruning(total_steps=4), "total_steps=4 is too short for cycles=3"),
        (lambda: StructuredPruning(0.5, prune_step=-1), "`prune_step`.*received -1"),
        (lambda: StructuredPruning(0.5, prune_step=0, importance="taylor"), "needs the gradients"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
