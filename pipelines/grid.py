"""Runs what is missing of a grid, one run after the other or several at once."""

import functools
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from absl import logging

from data.errors import MissingDataError
from pipelines.algorithms import BASELINES
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.processes import FailedCallError, Processes
from pipelines.train import run


def run_grid(
    grid: Sequence[RunConfig],
    folder: pathlib.Path,
    data_dir: str | None,
    jobs: int = 1,
    note: Callable[[RunConfig], str] | None = None,
) -> list[dict[str, Any]]:
    """Returns the result of every run, in the order of the grid.

    A run whose data cannot be had gives {"config": ..., "missing": why}.

    Args:
        grid: the runs.
        folder: holds a folder for each run, named by its key; finished ones are not run again.
        data_dir: folder with the data sets, or None for the cache.
        jobs: how many run at once, each in a process of its own if more than one. Several share a
            GPU, where small models leave most of it idle; of several GPUs all have as many.
        note: called with each run that has ended; what it returns is printed with it.

    Raises:
        DataError: the data is damaged.
        FailedCallError: with several jobs, runs had no memory, or their own program failed, twice;
            all the others are finished.
        OSError: processes of runs were stopped or lost their GPU, twice without one that ended in
            between. Once, those that went with them are begun again, from where they were.
    """
    outcome = functools.partial(_outcome, folder=folder, data_dir=data_dir)
    if jobs == 1:
        return _collected(grid, [functools.partial(outcome, config) for config in grid], note)
    # Seed by seed: runs that differ in nothing else are one program, which the first compiles.
    order = sorted(range(len(grid)), key=lambda place: grid[place].seed)
    begun = [grid[place] for place in order]
    with Processes(outcome, begun, jobs) as processes:
        outcomes = [functools.partial(processes.result, place) for place in range(len(begun))]
        results = _collected(begun, outcomes, note)
    return [result for _, result in sorted(zip(order, results, strict=True), key=lambda p: p[0])]


def _collected(
    grid: Sequence[RunConfig],
    outcomes: Sequence[Callable[[], tuple[Any, float]]],
    note: Callable[[RunConfig], str] | None,
) -> list[dict[str, Any]]:
    """Returns the results; data that could not be had once is not asked for again."""
    results: list[dict[str, Any]] = []
    failed: list[str] = []
    missing: dict[tuple[str, str | None], str] = {}
    for place, (config, outcome) in enumerate(zip(grid, outcomes, strict=True), start=1):
        # A baseline needs a library too.
        needed = config.data, config.algorithm if config.algorithm in BASELINES else None
        if needed not in missing:
            try:
                result, seconds = outcome()
            except FailedCallError as error:
                say(f"left out: {config.key}: {error}")
                failed.append(config.key)
                continue
            if not isinstance(result, str):
                more = note(config) if note else ""
                say(f"[{place}/{len(grid)}] {config.key}: done in {seconds:.0f} s{more}")
                results.append(result)
                continue
            missing[needed] = result
            say(f"left out: {result}")
        results.append({"config": config.to_dict(), "missing": missing[needed]})
    if failed:
        raise FailedCallError(
            f"{', '.join(failed)} failed twice, for what is said above; all others are finished."
        )
    return results


def _outcome(
    config: RunConfig, folder: pathlib.Path, data_dir: str | None
) -> tuple[dict[str, Any] | str, float]:
    """Returns the result of a run, or why there is no data for it, and the seconds it took."""
    logging.set_verbosity(logging.WARNING)  # TensorFlow reports every checkpoint it writes
    started = time.perf_counter()
    try:
        result = run(config, folder / config.key, data_dir)
    except MissingDataError as error:
        result = str(error)
    return result, time.perf_counter() - started
