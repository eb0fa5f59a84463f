"""The machine for one process alone, of those that measure how long something takes."""

import contextlib
import fcntl
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Waits until no other process is inside, then keeps others out: not to be used inside itself.

    Of one user's processes that have the same folder for temporary files. Whoever dies inside lets
    others in, when the processes that it forked have ended too.
    """
    path = pathlib.Path(tempfile.gettempdir()) / f"tfdsl-alone-{os.getuid()}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
