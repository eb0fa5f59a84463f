"""One table: what is missing of its runs, then the table itself."""

import dataclasses
import pathlib
import re
from collections.abc import Callable

from pipelines import environment, files, sharing
from pipelines.algorithms import BASELINES
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.costs.measure import measure_grid
from pipelines.finished import Finished, Known
from pipelines.grid import run_grid
from pipelines.render import report
from pipelines.tables import TABLES, Options
from tfdsl import checks


def folder_of(name: str, options: Options, out: pathlib.Path) -> pathlib.Path:
    """Returns the folder of a table inside `out`.

    Quirks that are not the table's own are a part of its name: those tables are others.
    """
    table = TABLES[name]
    usual = table.quirks if table.protocol == options.protocol else None
    folder = f"{name}-{options.protocol}-{options.budget}"
    if options.protocol == "published" and options.quirks != usual:
        every = options.quirks is None
        folder += "-all_quirks" if every else f"-{'_'.join(options.quirks) or 'no_quirks'}"
    return out / folder


def make_table(
    name: str,
    options: Options,
    out: pathlib.Path,
    data_dir: str | None,
    jobs: int = 1,
    *,
    note: Callable[[RunConfig], str] | None = None,
    costs: bool = False,
    known: Known | None = None,
    run: bool = True,
) -> str:
    """Runs what is missing of a table and writes it.

    Args:
        name: a key of `TABLES`.
        options: budget, protocol, seeds.
        out: the folder that table folders are made in.
        data_dir: folder with the data sets, or None for the cache.
        jobs: how many runs at once.
        note: says what is printed with a run that has ended; see `run_grid`.
        costs: whether what runs cost is measured too, of each configuration once.
        known: results of runs that are not to be made, by their keys; see `finished.known_in`.
        run: False for a table of what is finished, and nothing more.

    Returns:
        The table in Markdown.

    Raises:
        ValueError: unknown table, it has no such budget, protocol or algorithm, or nothing of it is
            finished and nothing is to be run.
        DataError: the data is damaged. Where it cannot be had, rows say so.
        OSError: see `run_grid` and `measure_grid`.
    """
    checks.choice("table", name, TABLES)
    table = TABLES[name]
    checks.choice("budget", options.budget, table.budgets)
    folder = folder_of(name, options, out)
    finished = Finished(folder, known)
    runs = finished.runs
    chosen = table.grid(options)
    missing = [config for config in chosen if run and finished.result(config) is None]
    with sharing.shared(jobs):
        made = run_grid(missing, runs, data_dir, jobs, note)
        of = {config.key: result for config, result in zip(missing, made, strict=True)}
        if run and costs and table.kind == "density":
            first = table.grid(dataclasses.replace(options, seeds=options.seeds[:1]))
            here = [
                config
                for config in first
                if config.algorithm not in BASELINES
                and "missing" not in of.get(config.key, {})
                and finished.costs(config) is None
            ]
            # One after the other where all share the processor's cores with what is measured.
            measure_grid(here, runs, data_dir, jobs if environment.gpus() else 1)
    # What was made before stays in the table when only some rows or seeds are asked for.
    seeds = tuple(sorted({*options.seeds, *finished.seeds, *_seeds_in(runs)}))
    whole = table.grid(dataclasses.replace(options, algorithms=None, densities=None, seeds=seeds))
    for config in whole:
        finished.take(config)
    every = [finished.result(config) or of.get(config.key) for config in whole]
    results = [result for result in every if result]
    if not results:
        raise ValueError(f"Nothing of {name} is finished in {runs}.")
    files.write_lines(folder / "table.json", results)
    text = report.Made.of(folder, table, results).write()
    say(f"written: {folder}/table.md, table.json and pictures")
    return text


def _seeds_in(runs: pathlib.Path) -> set[int]:
    """Returns the seeds of which there is a run in a table's folder, finished or not."""
    names = (path.name for path in runs.iterdir()) if runs.exists() else ()
    return {int(found[1]) for name in names if (found := re.search(r"-s(\d+)-[0-9a-f]+$", name))}
