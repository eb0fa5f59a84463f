import numpy as np
import pytest
import tensorflow as tf

from tfdsl import gradients

RNG = np.random.default_rng(0)
MODES = {"eager": lambda f: f, "xla": lambda f: tf.function(f, jit_compile=True)}


def summed(rows, at, n, mode="xla"):
    rows, at = tf.constant(rows, tf.float32), tf.constant(at, tf.int32)
    return MODES[mode](lambda rows, at: gradients.sum_rows(rows, at, n))(rows, at).numpy()


@pytest.mark.parametrize("mode", MODES)
def test_rows_are_summed_and_in_any_order_to_the_same_bits(mode):
    rows = (RNG.standard_normal((3000, 8)) * 10.0 ** RNG.uniform(-9, 0, (3000, 8))).astype("f4")
    at = RNG.zipf(1.5, 3000) % 50
    found = summed(rows, at, 60, mode)
    expected = np.zeros((60, 8))
    np.add.at(expected, at, rows.astype("f8"))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12 * np.abs(rows).max())
    order = RNG.permutation(3000)
    np.testing.assert_array_equal(summed(rows[order], at[order], 60, mode), found)
    np.testing.assert_array_equal(found[50:], 0)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1.0, 2.0**-120, 3e37])
def test_sums_of_one_value_are_exact_and_do_not_overflow(value):
    rows = np.full((7, 2), value, np.float32)
    rows[0, 0] *= -1
    expected = np.float32(value) * np.array([[0, 2], [0, 0], [5, 5]], np.float32)
    found = summed(rows, [0, 0, 2, 2, 2, 2, 2], 3)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2.0**-120)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_finite_does_not_become_a_number(value, mode):
    rows = np.ones((5, 3), np.float32)
    rows[3, 1] = value
    assert np.isnan(summed(rows, [0, 1, 1, 0, 2], 4, mode)).all()


def test_no_row_gives_zeros():
    np.testing.assert_array_equal(summed(np.zeros((0, 3)), [], 4), np.zeros((4, 3)))


@pytest.mark.parametrize("mode", MODES)
def test_taken_rows_have_the_gradient_of_a_gather(mode):
    table = tf.Variable(RNG.standard_normal((20, 4)), dtype=tf.float32)
    at, weights = tf.constant(RNG.integers(0, 20, (6, 5))), RNG.standard_normal((6, 5, 4))

    def gradient(take):
        @MODES[mode]
        def compute():
            with tf.GradientTape() as tape:
                rows = take(tf.convert_to_tensor(table), at)
                loss = tf.reduce_sum(tf.cast(weights, tf.float32) * tf.square(rows))
            return tf.convert_to_tensor(tape.gradient(loss, table))

        return compute()

    np.testing.assert_array_equal(gradients.take_rows(table, at), tf.gather(table, at))
    np.testing.assert_allclose(gradient(gradients.take_rows), gradient(tf.gather), atol=1e-5)


@pytest.mark.parametrize("devices", [[], ["a GPU"]], ids=["cpu", "gpu"])
@pytest.mark.parametrize("mode", MODES)
def test_one_entry_that_is_not_finite_is_found_in_any_gradient(mode, devices, monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices)
    monkeypatch.setattr(gradients, "_SMALL", 50)
    shapes = [(3, 4), (), (7,), (2, 3, 4), (20, 10)]
    check = MODES[mode](gradients.all_finite)

    def found(values):
        tensors = [tf.constant(v, tf.float16 if v.ndim == 3 else tf.float32) for v in values]
        rows = tf.IndexedSlices(tensors[0], tf.constant([5, 1, 5]), tf.constant([9, 4]))
        return bool(check([rows, *tensors[1:]]))

    values = [RNG.standard_normal(shape) for shape in shapes]
    assert found(values)
    for place, wrong in enumerate([np.nan, np.inf, -np.inf, np.nan, np.inf]):
        broken = [np.copy(v) for v in values]
        broken[place][tuple(-1 for _ in shapes[place])] = wrong
        assert not found(broken)
