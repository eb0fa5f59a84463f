import numpy as np
import pytest
import tensorflow as tf

from tfdsl.export import packing, stored

DRAW = np.random.default_rng(0)
FORMS = ("whole", "rows", "bitmap")


def made(shape, density=0.2, form="rows", values="float32", is_table=False):
    weight = DRAW.normal(size=shape).astype("f4")
    mask = DRAW.random(shape) < density
    packed = packing.pack(weight, mask, form, values, is_table)
    return stored.store(packed, "weight"), packed.unpack()[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(7, 300), (1, 1), (3, 4, 5), (11,), (257, 255)])
def test_the_whole_weight_is_what_was_packed(shape, form):
    for density in (0.2, 0.0, 1.0):
        weight, expected = made(shape, density, form)
        np.testing.assert_array_equal(tf.function(weight.value)(), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("values", packing.VALUES)
@pytest.mark.parametrize("width", [1, 3, 64, 700])
def test_rows_of_a_table_are_looked_up(form, values, width):
    table, expected = made((90, width), 0.2, form, values, is_table=True)
    look_up = tf.function(table.rows)
    for ids in ([[0, 89, 89], [5, 4, 0]], [], [7]):
        ids = np.array(ids, "int32")
        np.testing.assert_array_equal(look_up(ids), expected[ids])


@pytest.mark.parametrize("ids", [[90], [-1], [0, 1000]])
@pytest.mark.parametrize("form", ["whole", "rows"])
def test_an_id_that_is_not_there_is_refused(ids, form):
    table, _ = made((90, 8), 0.2, form, is_table=True)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(table.rows)(tf.constant(ids, tf.int64))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("density", [0.0, 0.004, 0.3])
def test_products_are_those_of_the_whole_weight(form, density):
    kernel, expected = made((120, 70), density, form)
    product = tf.function(kernel.product, reduce_retracing=True)
    for shape in ((1, 120), (15, 120), (16, 120), (0, 120), (2, 5, 120)):
        x = DRAW.normal(size=shape).astype("f4")
        np.testing.assert_allclose(product(x), x @ expected, atol=1e-5)
        assert product(x).shape == (*shape[:-1], 70)


def test_a_product_has_the_dtype_of_its_input():
    kernel, expected = made((40, 30))
    x = DRAW.normal(size=(3, 40)).astype("f2")
    assert tf.function(kernel.product)(x).dtype == tf.float16
    np.testing.assert_allclose(tf.function(kernel.product)(x), x @ expected, atol=0.05)


def test_a_pattern_gives_its_rows_and_columns():
    pattern = packing.pack_pattern(np.array([0, 2, 2, 5]), np.array([7, 7, 3, 1, 2]), 300)
    found = stored.StoredRows(pattern, "graph").coordinates()
    np.testing.assert_array_equal(found, [[0, 7], [0, 7], [2, 3], [2, 1], [2, 2]])
