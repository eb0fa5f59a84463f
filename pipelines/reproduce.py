"""Makes a table: runs what is missing of its grid, then writes and prints it.

    python -m pipelines.reproduce list
    python -m pipelines.reproduce table NAME [flags]
    python -m pipelines.reproduce report [flags]

A table's folder, `--out`/NAME-PROTOCOL-BUDGET, holds runs/ (one folder a run), table.md,
table.json and table.png. Finished runs are never run again; an interrupted one goes on. The report
of all tables in `--out` is its README.md and report.html.
"""

import dataclasses
import pathlib

from absl import app, flags

from pipelines import command_line, files
from pipelines.command_line import say
from pipelines.grid import finished, run_grid
from pipelines.render import report
from pipelines.tables import BUDGETS, TABLES, Options
from tfdsl import checks

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder with the data sets (one folder each); downloaded if not given."
)
_OUT = flags.DEFINE_string("out", "runs", "Where table folders are made.")
_BUDGET = flags.DEFINE_enum("budget", "short", list(BUDGETS), "See the README.")
_PROTOCOL = flags.DEFINE_enum("protocol", "clean", ["clean", "published"], "See the README.")
_QUIRKS = flags.DEFINE_list(
    "quirks", None, "Under --protocol=published: the quirks to keep (default: all; '' for none)."
)
_SEEDS = flags.DEFINE_integer(
    "seeds",
    None,
    "Seeds 0, 1, ... of every run (default: amgp-* and parts-* 3, else 1).",
    lower_bound=1,
)
_ALGORITHMS = flags.DEFINE_list(
    "algorithms", None, "Those of the table's to run now (default: all)."
)
_JOBS = flags.DEFINE_integer("jobs", 1, "Runs at once, a process each.", lower_bound=1)


def make_table(
    name: str, options: Options, out: pathlib.Path, data_dir: str | None, jobs: int = 1
) -> str:
    """Runs what is missing of a table and writes it.

    Args:
        name: a key of `TABLES`.
        options: budget, protocol, seeds.
        out: the folder that table folders are made in.
        data_dir: folder with the data sets, or None for the cache.
        jobs: how many runs at once.

    Returns:
        The table in Markdown.

    Raises:
        ValueError: unknown table, or it has no such budget, protocol or algorithm.
        DataError: the data is damaged. Where it cannot be had, rows say so.
    """
    checks.choice("table", name, TABLES)
    table = TABLES[name]
    checks.choice("budget", options.budget, table.budgets)
    folder = out / f"{name}-{options.protocol}-{options.budget}"
    chosen = table.grid(options)
    made = run_grid(chosen, folder / "runs", data_dir, jobs)
    of = {config.key: result for config, result in zip(chosen, made, strict=True)}
    # Rows that were made before stay in the table when only some are asked for.
    whole = table.grid(dataclasses.replace(options, algorithms=None))
    rows = [of.get(config.key) or finished(config, folder / "runs") for config in whole]
    results = [result for result in rows if result]
    files.write_json(folder / "table.json", results)
    text = report.write_table(table, results, folder)
    say(f"written: {folder}/table.md, table.json, table.png")
    return text


def main(arguments: list[str]) -> None:
    """Does what the command line says."""
    match arguments:
        case ["list"]:
            for table in TABLES.values():
                print(f"{table.name:24} {table.title}")
        case ["table", name]:
            checks.choice("table", name, TABLES)
            options, out = _options(TABLES[name].seeds), pathlib.Path(_OUT.value)
            print(make_table(name, options, out, _DATA_DIR.value, _JOBS.value))
        case ["report"]:
            for path in report.write(pathlib.Path(_OUT.value)):
                say(f"written: {path}")
        case _:
            given = " ".join(arguments) or "nothing"
            raise app.UsageError(f"Expected 'list', 'table NAME' or 'report'; received {given!r}.")


def _options(n_seeds: int) -> Options:
    quirks = command_line.quirks(_QUIRKS.value)
    algorithms = None if _ALGORITHMS.value is None else tuple(_ALGORITHMS.value)
    seeds = tuple(range(_SEEDS.value or n_seeds))
    return Options(_BUDGET.value, _PROTOCOL.value, quirks, seeds, algorithms)


if __name__ == "__main__":
    command_line.run(main, "./reproduce.sh -h")
