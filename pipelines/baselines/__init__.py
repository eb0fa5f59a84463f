"""Pruning by other libraries, on the same data and judged the same way.

What a library needs (Keras 2, versions of its own) stays in a process of its own, a run each.
"""

import pathlib
import subprocess
import sys
from typing import Any

from data.errors import MissingDataError
from pipelines import files
from pipelines.algorithms import BASELINES
from pipelines.config import RunConfig

NO_LIBRARY, NO_DATA = 3, 4  # exit statuses


def run(config: RunConfig, folder: pathlib.Path, data_dir: str | None) -> dict[str, Any]:
    """Runs a baseline's configuration in a process and returns its result, as `train.run` does.

    One that was interrupted begins anew.

    Args:
        config: of an algorithm of `pipelines.algorithms.BASELINES`.
        folder: the run's own folder; its process writes result.json there, and log.txt is what it
            says.
        data_dir: folder with the data sets, or None for the cache.

    Raises:
        MissingDataError: the library or the data cannot be had.
        ChildProcessError: the process failed.
    """
    baseline = BASELINES[config.algorithm]
    files.write_record(folder / "config.json", config.to_dict())
    words = [f"--run_dir={folder}", *([f"--data_dir={data_dir}"] if data_dir else [])]
    command = [sys.executable, "-m", baseline.program, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    files.write_text(folder / "log.txt", done.stderr)
    said = done.stderr.strip().splitlines() or ["nothing"]
    if done.returncode == NO_LIBRARY:
        raise MissingDataError(f"{baseline.library} is not installed; pip install tfdsl[baselines]")
    if done.returncode == NO_DATA:
        raise MissingDataError(said[-1])
    result = files.read_record(folder / "result.json")
    if done.returncode or result is None:
        raise ChildProcessError(
            f"{baseline.program} ended with status {done.returncode}, see {folder}/log.txt: "
            f"{said[-1]}"
        )
    return result
