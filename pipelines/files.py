"""Files that are whole or not there: written beside their place, then renamed into it."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from data.errors import DataError

_DIGEST = "sha256"


@contextlib.contextmanager
def alone(folder: pathlib.Path, wait: bool = False) -> Iterator[None]:
    """Keeps other processes that ask for the same out of a folder, which is made if need be.

    Whoever holds it and dies lets go of it, with the processes that it forked.

    Args:
        folder: the folder.
        wait: whether to wait for another process that has it; one that has it itself waits forever.

    Raises:
        ValueError: another process has it, and it is not waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise ValueError(
                f"Another process is at work in {folder}; wait for its end, or use another folder."
            ) from None
        yield
    finally:
        os.close(handle)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes JSON with `write_text`."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_lines(path: pathlib.Path, rows: Iterable[Any]) -> None:
    """Writes a JSON array with `write_text`, a row a line: what differs is then seen row by row."""
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
    write_text(path, f"[\n{lines}\n]\n" if lines else "[]\n")


def write_record(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes JSON with the SHA-256 of its content, for `read_record` to know it by."""
    write_json(path, content | {_DIGEST: _digest(content)})


def read_record(path: pathlib.Path) -> dict[str, Any] | None:
    """Reads what `write_record` wrote; None where there is no file.

    Raises:
        DataError: it is anything else than what was written.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content.pop(_DIGEST)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        known, content = None, None
    if known is None or known != _digest(content):
        raise DataError(
            f"{path} is damaged or was changed; remove its folder, and it is made again"
        )
    return content


def _digest(content: Any) -> str:
    plain = json.loads(json.dumps(content))  # as it will be read
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
