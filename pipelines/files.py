"""Files that are whole or not there: written beside their place, then renamed into it."""

import json
import os
import pathlib
from typing import Any


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


def read_json(path: pathlib.Path) -> Any:
    """Reads a JSON file; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
