import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfdsl.export import packing

FORMS = ("whole", "rows", "bitmap")


def table(n_rows, width, density, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(n_rows, width)).astype("f4"), draw.random((n_rows, width)) < density


@hypothesis.given(
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=40),
    st.sampled_from(FORMS),
    st.booleans(),
    st.floats(0, 1),
    st.integers(0, 9),
)
@hypothesis.settings(max_examples=100, deadline=None)
def test_what_is_packed_comes_back(shape, form, is_table, density, seed):
    draw = np.random.default_rng(seed)
    weight = draw.integers(-2, 3, shape).astype("f4")  # some active entries are zero
    mask = draw.random(shape) < density
    packed = packing.pack(weight, mask, form, is_table=is_table)
    value, found = packed.unpack()
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(value, np.where(mask, weight, 0))
    assert value.dtype == np.float32


@pytest.mark.parametrize(
    ("density", "values", "most"),
    [
        (0.1, "float32", 0.14),
        (0.1, "bfloat16", 0.09),
        (0.2, "float32", 0.26),
    ],
)
def test_a_table_at_gowallas_size_takes_little_more_than_its_values(density, values, most):
    weight, mask = table(70839, 64, density)
    packed = packing.pack(weight, mask, "rows", values, is_table=True)
    assert packed.bytes <= most * weight.nbytes
    assert packed.arrays["columns"].dtype == np.uint8
    assert packed.arrays["offsets"].dtype == np.uint8


def test_rows_of_very_different_lengths_are_packed_and_come_back():
    mask = np.zeros((1000, 700), bool)
    mask[::100], mask[1::3, 5] = True, True
    weight = np.arange(mask.size, dtype="f4").reshape(mask.shape) + 1
    packed = packing.pack(weight, mask, "rows", is_table=True)
    assert packed.arrays["columns"].dtype == np.uint16
    np.testing.assert_array_equal(packed.unpack()[0], weight * mask)


def test_columns_of_a_wide_kernel_take_8_bits_but_of_a_wide_table_16():
    weight, mask = table(10, 1000, 0.1)
    assert packing.pack(weight, mask, "rows").arrays["columns"].dtype == np.uint8
    assert packing.pack(weight, mask, "rows", is_table=True).arrays["columns"].dtype == np.uint16


@pytest.mark.parametrize("values", ["bfloat16", "float16"])
def test_short_values_are_the_nearest_there_are(values):
    import tensorflow as tf

    weight, mask = table(20, 30, 0.5)
    nearest = tf.cast(tf.cast(weight * mask, values), tf.float32).numpy()
    np.testing.assert_array_equal(packing.pack(weight, mask, "rows", values).unpack()[0], nearest)


def test_a_value_too_large_for_float16_is_refused():
    with pytest.raises(ValueError, match=r"70000 is too large for float16. Use values='bfloat16'"):
        packing.pack(np.array([[1.0, -7e4]], "f4"), values="float16")


def test_other_dtypes_keep_their_own_values():
    weight = np.array([[1, 2]], "int64")
    assert packing.pack(weight, values="bfloat16").arrays["values"].dtype == np.int64


def test_arrays_that_do_not_belong_together_are_refused():
    weight, mask = table(10, 30, 0.3)
    for form in FORMS:
        packed = packing.pack(weight, mask, form)
        packed.arrays["values"] = packed.arrays["values"].reshape(-1)[:-1]
        with pytest.raises(ValueError, match=r"has .* values for .* places"):
            packed.unpack()


def test_a_pattern_comes_back_with_columns_in_their_order_and_twice():
    packed = packing.pack_pattern(np.array([0, 2, 2, 5]), np.array([7, 7, 3, 1, 2]), 300)
    starts, columns = packed.pattern()
    np.testing.assert_array_equal(starts, [0, 2, 2, 5])
    np.testing.assert_array_equal(columns, [7, 7, 3, 1, 2])
    assert packed.arrays["columns"].dtype == np.uint16
