import numpy as np
import pytest
import tensorflow as tf

from pipelines.shuffling import shuffled
from tfdsl import masks


@pytest.mark.parametrize("n", [1, 2, 3, 10, 97, 100, 5000])
def test_every_place_comes_once(n):
    permuted = shuffled(tf.range(n), n, masks.fold_seed(3)).numpy()
    np.testing.assert_array_equal(np.sort(permuted), np.arange(n))


def test_seeds_give_other_permutations_the_same_everywhere():
    seeds = tf.constant([1, 2], tf.uint32)[:, None] * tf.ones([1, 300], tf.uint32)
    places = tf.broadcast_to(tf.range(300), [2, 300])
    one, other = shuffled(places, 300, seeds).numpy()
    assert (one != other).mean() > 0.9
    compiled = tf.function(lambda p, s: shuffled(p, 300, s), jit_compile=True)
    np.testing.assert_array_equal(compiled(places, seeds), [one, other])


def test_every_place_goes_everywhere_and_neighbours_part():
    seeds = masks.fold_seed(tf.range(3000)[:, None] * tf.ones([1, 12], tf.int32))
    permuted = shuffled(tf.broadcast_to(tf.range(12), [3000, 12]), 12, seeds).numpy()
    counts = np.zeros((12, 12))
    np.add.at(counts, (np.arange(12), permuted), 1)
    assert abs(counts - 250).max() < 6 * np.sqrt(250)
    apart = np.mean(abs(permuted[:, 0] - permuted[:, 1]) == 1)
    assert abs(apart - 22 / 132) < 5 * np.sqrt(1 / 6 * 5 / 6 / 3000)
