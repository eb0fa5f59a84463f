import numpy as np
import tensorflow as tf

from tfdsl.models import philox
from tfdsl.seeds import Seed

ONES = tf.ones((100, 200))


def test_dropout_keeps_the_given_share_and_scales_it_up():
    dropped = philox.drop(ONES, 0.25, philox.fold(Seed(1), 0, 7)).numpy()
    np.testing.assert_allclose(np.unique(dropped), [0.0, 4.0 / 3.0], rtol=1e-6)
    assert abs((dropped > 0).mean() - 0.75) < 0.02


def test_draws_are_a_function_of_seed_place_and_step():
    def draw(seed, *parts):
        return philox.normal(ONES, philox.fold(Seed(seed), *parts)).numpy()

    first = draw(1, 0, 7)
    np.testing.assert_array_equal(draw(1, 0, 7), first)
    for other in ((2, 0, 7), (1, 1, 7), (1, 0, 8)):
        assert abs(np.corrcoef(draw(*other).ravel(), first.ravel())[0, 1]) < 0.05
    assert abs(first.mean()) < 0.05
    assert abs(first.std() - 1) < 0.05
