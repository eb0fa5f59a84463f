"""Where the real data sets are, for tests that need them."""

import os
import pathlib

import pytest

_REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = pathlib.Path(os.environ.get("TFDSL_TEST_DATA") or _REPOSITORY.parent / "shared/data")


def needs(name):
    """Skips a test where the data set is not there: none may be part of the project."""
    return pytest.mark.skipif(
        not (FOLDER / name).is_dir(),
        reason=f"{name} is not there: set TFDSL_TEST_DATA to a folder with the data sets' folders",
    )
