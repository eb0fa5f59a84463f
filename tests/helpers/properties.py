"""Checks of many drawn cases: the same ones every time, so that a failure is there again."""

import pytest
from hypothesis import HealthCheck, given, seed, settings


def hold(check, examples, part=None, **drawn):
    """Calls `check` with so many draws of its arguments; another `part` has other draws."""
    if part is not None:
        check = seed(part)(check)
    chosen = settings(
        max_examples=examples,
        deadline=None,
        derandomize=part is None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    chosen(given(**drawn)(check))()


def examples(few, many):
    """Parametrizes a test by how many cases: few for every change, many with --all."""
    many = pytest.param(many, marks=pytest.mark.slow)
    return pytest.mark.parametrize("examples", [few, many])
