"""Days of the synthetic stream that several tests look at."""

import criteo_days
import pytest


@pytest.fixture
def first():
    return criteo_days.day(0)


@pytest.fixture
def tenth():
    return criteo_days.day(9)
