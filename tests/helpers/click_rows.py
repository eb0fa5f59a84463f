"""Rows of clicks whose label is the row's number, and a look at what batches hold."""

import itertools

import numpy as np

from pipelines import clicks

D, C = 3, 2


def rows(n, first=0):
    """`n` rows with other numbers, ids and labels in each; the label is the row's number."""
    numbers = np.arange(first, first + n)
    return clicks.Clicks(
        np.float32(numbers[:, None] * 0.5 + np.arange(D)),
        np.int32(numbers[:, None] * 10 + np.arange(C)),
        np.float32(numbers),
    )


def stream_of(dataset):
    """Returns the row numbers of all batches, one after the other."""
    return list(itertools.chain.from_iterable(taken(dataset)))


def taken(dataset):
    """Returns each batch's row numbers, after a look at whether all of each row is there."""
    numbers = []
    for (dense, categorical), labels in dataset:
        assert labels.shape == (len(labels), 1)
        number = labels.numpy()[:, 0].astype(int)
        expected = rows(max(number) + 1)
        np.testing.assert_array_equal(dense, expected.dense[number])
        np.testing.assert_array_equal(categorical, expected.categorical[number])
        numbers.append(number.tolist())
    return numbers
