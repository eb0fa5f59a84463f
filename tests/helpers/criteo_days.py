"""Whole days of the synthetic click stream, drawn once for all tests that look at them."""

import functools

from data import criteo_like

N_ROWS = 80_000  # of the sample that the figures of the categories are from


@functools.cache
def day(number, seed=0):
    """A day of `N_ROWS` rows; not to be changed."""
    return criteo_like.day(number, N_ROWS, seed)
