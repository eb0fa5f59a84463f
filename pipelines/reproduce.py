"""Makes a table: runs what is missing of its grid, then writes and prints it.

    python -m pipelines.reproduce list
    python -m pipelines.reproduce table NAME [flags]

A table's folder, `--out`/NAME-PROTOCOL-BUDGET, holds runs/ (one folder a run), table.md,
table.json and table.png. Finished runs are never run again; an interrupted one goes on.
"""

import pathlib
import time
from typing import Any

from absl import app, flags

from data.errors import MissingDataError
from pipelines import checks, command_line, files, render
from pipelines.command_line import say
from pipelines.tables import TABLES, Options
from pipelines.train import run

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder with the data sets (one folder each); downloaded if not given."
)
_OUT = flags.DEFINE_string("out", "runs", "Where table folders are made.")
_BUDGET = flags.DEFINE_enum("budget", "short", ["short", "full"], "short fits two cores.")
_PROTOCOL = flags.DEFINE_enum("protocol", "clean", ["clean", "published"], "See the README.")
_QUIRKS = flags.DEFINE_list(
    "quirks", None, "Under --protocol=published: the quirks to keep (default: all; '' for none)."
)
_SEEDS = flags.DEFINE_integer("seeds", 1, "Seeds 0, 1, ... of every run.", lower_bound=1)


def make_table(name: str, options: Options, out: pathlib.Path, data_dir: str | None) -> str:
    """Runs what is missing of a table and writes it.

    Args:
        name: a key of `TABLES`.
        options: budget, protocol, seeds.
        out: the folder that table folders are made in.
        data_dir: folder with the data sets, or None for the cache.

    Returns:
        The table in Markdown.

    Raises:
        ValueError: unknown table.
        DataError: the data is damaged. Where it cannot be had, rows say so.
    """
    checks.one_of("table", name, TABLES)
    table = TABLES[name]
    folder = out / f"{name}-{options.protocol}-{options.budget}"
    grid = table.grid(options)
    results: list[dict[str, Any]] = []
    missing: dict[str, MissingDataError] = {}
    for place, config in enumerate(grid, start=1):
        started = time.perf_counter()
        if config.data not in missing:
            try:
                results.append(run(config, folder / "runs" / config.key, data_dir))
            except MissingDataError as error:
                missing[config.data] = error
                say(f"left out: {error}")
        if config.data in missing:
            results.append({"config": config.to_dict(), "missing": str(missing[config.data])})
            continue
        took = time.perf_counter() - started
        say(f"[{place}/{len(grid)}] {config.key}: done in {took:.0f} s")
    text = render.markdown(table, results)
    files.write_json(folder / "table.json", results)
    files.write_text(folder / "table.md", text)
    render.picture(table, results, folder / "table.png")
    say(f"written: {folder}/table.md, table.json, table.png")
    return text


def main(arguments: list[str]) -> None:
    """Does what the command line says."""
    match arguments:
        case ["list"]:
            for table in TABLES.values():
                print(f"{table.name:24} {table.title}")
        case ["table", name]:
            print(make_table(name, _options(), pathlib.Path(_OUT.value), _DATA_DIR.value))
        case _:
            given = " ".join(arguments) or "nothing"
            raise app.UsageError(f"Expected 'list' or 'table NAME'; received {given!r}.")


def _options() -> Options:
    quirks = command_line.quirks(_QUIRKS.value)
    return Options(_BUDGET.value, _PROTOCOL.value, quirks, tuple(range(_SEEDS.value)))


if __name__ == "__main__":
    command_line.run(main, "./reproduce.sh -h")
