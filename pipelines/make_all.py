"""All tables, one after the other, and their report; what is left to run, and about how long."""

import dataclasses
import pathlib
import time
from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from data.errors import DataError
from pipelines import environment, sharing
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.finished import Finished, Known
from pipelines.fold_in import BY_SEED
from pipelines.make import folder_of, make_table
from pipelines.processes import FailedCallError
from pipelines.render import report
from pipelines.tables import TABLES, Options, Table

DEVICES = ("gpu", "cpu")
RESULTS = pathlib.Path(__file__).resolve().parents[1] / "results"
_Kind = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Planned:
    """A table that is to be made.

    Attributes:
        table: which.
        options: of its own, with its number of seeds.
        missing: the runs that are not finished, with the seconds each is thought to take, or None
            where nothing like it was run.
        n_finished: how many are.
        n_shared: how many of its runs are to be made for tables before it.
    """

    table: Table
    options: Options
    missing: list[tuple[RunConfig, float | None]]
    n_finished: int
    n_shared: int = 0

    def lines(self, jobs: int) -> list[str]:
        """Returns what is to be run, a line each.

        Args:
            jobs: how many at once.
        """
        title = f"{self.table.name}: {len(self.missing)} to run, {self.n_finished} finished"
        if self.n_shared:
            title += f", {self.n_shared} more with tables before it"
        if self.missing:
            title += f", {_about(_total([s for _, s in self.missing]), jobs)} with {jobs} at once"
        return [title, *(f"  {config.key}: {_about(s, 1)}" for config, s in self.missing)]


class TimeLeft:
    """Says after each run about how long the others will take, by how long those before took."""

    def __init__(self, plan: Sequence[Planned], jobs: int) -> None:
        missing = [(one, run) for one in plan for run in one.missing]
        known = [seconds for _, (_, seconds) in missing if seconds is not None]
        usual = float(np.mean(known)) if known else 1.0
        self._expected = {
            config.key: (usual if seconds is None else seconds) / at_once(one.table, jobs)
            for one, (config, seconds) in missing
        }
        self._done, self._started = 0.0, time.perf_counter()

    def __call__(self, config: RunConfig) -> str:
        """Returns the words for a run that has ended, or none for one that had before."""
        expected = self._expected.pop(config.key, None)
        if expected is None:
            return ""
        self._done += expected
        rate = (time.perf_counter() - self._started) / max(self._done, 1e-9)
        return f"; {_minutes(rate * sum(self._expected.values()))} left for all"

    def leave_out(self, table: Planned) -> None:
        """Expects no more runs of a table: what is left of it has no data here."""
        for config, _ in table.missing:
            self._expected.pop(config.key, None)


def plan(
    budget: str, out: pathlib.Path, device: str, seeds: int | None, known: Known | None = None
) -> list[Planned]:
    """Returns the tables to be made: those that have the budget, and on a CPU that suit one.

    Args:
        budget: of all of them.
        out: the folder with the tables' folders.
        device: "gpu" or "cpu".
        seeds: how many; None for each table's own number.
        known: results of runs that are not to be made; see `finished.known_in`.

    Raises:
        ValueError: no table has the budget.
    """
    took = _seconds([RESULTS, out], device)
    planned: list[Planned] = []
    before: set[str] = set()
    for table in TABLES.values():
        suits = device == "gpu" or (table.suits_cpu and budget == "short")
        if not suits or budget not in table.budgets:
            continue
        own = Options(budget, table.protocol, table.quirks, tuple(range(seeds or table.seeds)))
        planned.append(_planned(table, own, out, took, known, before))
        before.update(config.key for config, _ in planned[-1].missing)
    if not planned:
        raise ValueError(
            f"No table for a {device} has the budget {budget!r}; ./reproduce.sh table NAME makes "
            "any on any device."
        )
    return planned


def plan_table(
    table: Table, options: Options, out: pathlib.Path, device: str, known: Known | None = None
) -> Planned:
    """Returns what is left to run of one table; see `plan`."""
    return _planned(table, options, out, _seconds([RESULTS, out], device), known)


def _planned(
    table: Table,
    options: Options,
    out: pathlib.Path,
    took: dict[_Kind, list[float]],
    known: Known | None,
    before: Set[str] = frozenset(),
) -> Planned:
    finished = Finished(folder_of(table.name, options, out), known)
    grid = table.grid(options)
    unfinished = [config for config in grid if not _is_finished(config, finished)]
    missing = [config for config in unfinished if config.key not in before]
    costs = [(config, _expected(config, took)) for config in missing]
    shared = len(unfinished) - len(missing)
    return Planned(table, options, costs, len(grid) - len(unfinished), shared)


def _is_finished(config: RunConfig, finished: Finished) -> bool:
    try:
        return finished.result(config) is not None
    except DataError as error:  # which making its table ends with
        say(str(error))
        return False


def total(planned: Sequence[Planned], jobs: int) -> str:
    """Returns how much is to be run in all, in a line."""
    runs = [seconds for one in planned for _, seconds in one.missing]
    by_table = [(_total([s for _, s in one.missing]), one) for one in planned if one.missing]
    each = [None if s is None else s / at_once(one.table, jobs) for s, one in by_table]
    n_finished = sum(one.n_finished for one in planned)
    time_ = f", {_about(sum(filter(None, each)), 1)}" if any(each) else ""
    unknown = " and tables of unknown time" if None in each else ""
    return f"in all: {len(runs)} to run, {n_finished} finished{time_}{unknown}"


@sharing.shared_factors()  # several tables are of the same data
def make_all(
    planned: Sequence[Planned],
    out: pathlib.Path,
    data_dir: str | None,
    jobs: int,
    known: Known | None = None,
) -> list[pathlib.Path]:
    """Makes the tables, then the report; returns the report's files.

    Raises:
        DataError, FailedCallError: the data of a table is damaged, or a run of it failed; all the
            others were made before.
        OSError: processes of runs were stopped again and again.
    """
    left = TimeLeft(planned, jobs)
    failed: list[tuple[str, DataError | FailedCallError]] = []
    for place, one in enumerate(planned, start=1):
        say(f"table {place} of {len(planned)}: {one.table.name}")
        more = {"note": left, "costs": True, "known": known}
        try:
            jobs_here = at_once(one.table, jobs)
            make_table(one.table.name, one.options, out, data_dir, jobs_here, **more)
        except (DataError, FailedCallError) as error:
            say(f"left out: {error}")
            failed.append((one.table.name, error))
        left.leave_out(one)
    written = report.write(out)
    if failed:
        names = "; ".join(f"{name} ({error})" for name, error in failed)
        raise type(failed[0][1])(f"not made: {names}")
    return written


def at_once(table: Table, jobs: int) -> int:
    """Returns how many runs of a table `all` makes at once: no more than its GPUs have room for."""
    return min(jobs, table.at_once * max(len(environment.gpus()), 1))


def _seconds(folders: Sequence[pathlib.Path], device: str) -> dict[_Kind, list[float]]:
    """Returns how long runs on such a device have taken, by their kind, as by their model alone."""
    took: dict[_Kind, list[float]] = {}
    for folder in folders:
        for made in report.tables_in(folder):
            for run in made.results:
                if "missing" in run or bool(run["environment"]["gpus"]) != (device == "gpu"):
                    continue
                for kind in _kinds(run["config"]):
                    took.setdefault(kind, []).append(run["seconds"])
    return took


def _kinds(config: dict[str, Any]) -> tuple[_Kind, _Kind]:
    """Returns what a run has in common with others that take as long, and with the nearly so."""
    common = tuple(str(config[name]) for name in ("model", "epochs", "batch_size"))
    common += (config["data"].removesuffix(BY_SEED),)  # as large, whoever is held out
    common += (str(config["settings"].get("rows_per_day")),)
    return (*common, config["algorithm"]), common


def _expected(config: RunConfig, took: dict[_Kind, list[float]]) -> float | None:
    for kind in _kinds(config.to_dict()):
        if kind in took:
            return float(np.mean(took[kind]))
    return None


def _total(seconds: Sequence[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return sum(known) * len(seconds) / len(known) if known else None


def _about(seconds: float | None, jobs: int) -> str:
    if seconds is None:
        return "time unknown"
    return f"about {seconds:.0f} s" if jobs == 1 and seconds < 100 else _minutes(seconds / jobs)


def _minutes(seconds: float) -> str:
    return f"about {max(round(seconds / 60), 1)} min"
