"""What is timed on a machine is timed one after the other, by whatever processes there are."""

import contextlib
import fcntl
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Waits until none of the user's processes on this machine has its turn, and has it.

    Whoever dies in its turn has had it.
    """
    path = pathlib.Path(tempfile.gettempdir()) / f"tfdsl-turn-{os.getuid()}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
