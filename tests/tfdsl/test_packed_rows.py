"""Values and columns, and bits, instead of whole rows."""

import numpy as np
import pytest
import tensorflow as tf

from tfdsl import packed_rows, row_blocks


@pytest.mark.parametrize("xla", [False, True], ids=["eager", "xla"])
def test_what_is_packed_comes_back(xla):
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(30, 11)).astype("f4")
    mask = draw.random(rows.shape) < 0.3
    mask[0], mask[1] = False, True

    def there_and_back(rows, mask):
        columns = packed_rows.columns_of(mask, 11)
        values = packed_rows.taken(rows, columns)
        return packed_rows.spread(values, columns, 11), packed_rows.mask_from(columns, 11)

    run = tf.function(there_and_back, jit_compile=True) if xla else there_and_back
    whole, found = run(tf.constant(rows), tf.constant(mask))
    np.testing.assert_array_equal(whole, np.where(mask, rows, 0))
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(
        packed_rows.taken(tf.constant(mask), tf.constant([[0, 11]] * 30)),
        np.stack([mask[:, 0], np.zeros(30, bool)], axis=1),
    )


def test_many_rows_are_worked_on_in_blocks(monkeypatch):
    mask = np.random.default_rng(0).random((50, 9)) < 0.3
    whole = packed_rows.columns_of(tf.constant(mask), 8).numpy()
    monkeypatch.setattr(row_blocks, "MOST_ROWS", 16)
    np.testing.assert_array_equal(packed_rows.columns_of(tf.constant(mask), 8), whole)
    for row, columns in zip(mask, whole, strict=True):
        expected = np.flatnonzero(row)
        np.testing.assert_array_equal(columns[: len(expected)], expected)
        assert (columns[len(expected) :] == 9).all()


def test_bits_say_which_entries_were_ever_active():
    mask = np.random.default_rng(0).random((7, 19)) < 0.3
    bits = tf.zeros([7, 3], tf.uint8)
    bits = packed_rows.with_bits(packed_rows.with_bits(bits, mask[:, ::-1]), tf.constant(mask))
    np.testing.assert_array_equal(packed_rows.bits_of(bits, 19), mask | mask[:, ::-1])
