"""A benchmark that measures each thing in a process of its own, by calling itself."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def ask(module: str, words: Sequence[str]) -> dict[str, Any]:
    """Runs a module with flags and returns the JSON of the last line that it prints.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    command = [sys.executable, "-m", module, *words]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(process.stderr[-2000:])
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found
