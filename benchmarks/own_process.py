"""A benchmark that measures each thing in a process of its own, by calling itself."""

import concurrent.futures
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def ask(module: str, words: Sequence[str]) -> Any:
    """Runs a module with flags and returns the JSON of the last line that it prints.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    command = [sys.executable, "-m", module, *words]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(process.stderr[-2000:])
    return json.loads(process.stdout.splitlines()[-1])


def ask_all(module: str, many: Sequence[Sequence[str]], at_once: int) -> list[Any]:
    """Returns as `ask` does, of several lists of flags, in their order.

    Args:
        module: as for `ask`.
        many: flags of each process.
        at_once: how many there are at a time.

    Raises:
        RuntimeError: one failed; with the end of what it said.
    """
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(lambda words: ask(module, words), many))
