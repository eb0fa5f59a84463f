"""One table: what is missing of its runs, then the table itself."""

import dataclasses
import pathlib
from collections.abc import Callable

from pipelines import environment, files
from pipelines.algorithms import BASELINES
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.costs.measure import costs_of, measure_grid
from pipelines.grid import finished, run_grid
from pipelines.render import report
from pipelines.tables import TABLES, Options
from tfdsl import checks


def folder_of(name: str, options: Options, out: pathlib.Path) -> pathlib.Path:
    """Returns the folder of a table inside `out`."""
    return out / f"{name}-{options.protocol}-{options.budget}"


def make_table(
    name: str,
    options: Options,
    out: pathlib.Path,
    data_dir: str | None,
    jobs: int = 1,
    note: Callable[[RunConfig], str] | None = None,
    costs: bool = False,
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

    Returns:
        The table in Markdown.

    Raises:
        ValueError: unknown table, or it has no such budget, protocol or algorithm.
        DataError: the data is damaged. Where it cannot be had, rows say so.
    """
    checks.choice("table", name, TABLES)
    table = TABLES[name]
    checks.choice("budget", options.budget, table.budgets)
    folder = folder_of(name, options, out)
    chosen = table.grid(options)
    runs = folder / "runs"
    made = run_grid(chosen, runs, data_dir, jobs, note)
    of = {config.key: result for config, result in zip(chosen, made, strict=True)}
    if costs and table.kind == "density":
        first = table.grid(dataclasses.replace(options, seeds=options.seeds[:1]))
        ours = [config for config in first if config.algorithm not in BASELINES]
        here = [config for config in ours if "missing" not in of[config.key]]
        # One after the other where all share the processor's cores with what is measured.
        measure_grid(here, runs, data_dir, jobs if environment.gpus() else 1)
    # Rows that were made before stay in the table when only some are asked for.
    whole = table.grid(dataclasses.replace(options, algorithms=None))
    results = []
    for config in whole:
        result = of.get(config.key) or finished(config, runs)
        if result:
            measured = costs_of(config, runs)
            results.append(result | ({"costs": measured} if measured else {}))
    files.write_lines(folder / "table.json", results)
    text = report.write_table(table, results, folder)
    say(f"written: {folder}/table.md, table.json and pictures")
    return text
