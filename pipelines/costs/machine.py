"""The machine for one process alone, of those that measure how long something takes."""

import os
import pathlib
import tempfile
from contextlib import AbstractContextManager

from pipelines import files


def alone() -> AbstractContextManager[None]:
    """Waits until no other process is inside, then keeps others out: not to be used inside itself.

    Of one user's processes that have the same folder for temporary files; see `files.alone`.
    """
    return files.alone(
        pathlib.Path(tempfile.gettempdir()) / f"tfdsl-alone-{os.getuid()}", wait=True
    )
