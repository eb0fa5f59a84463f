"""Makes a table: runs what is missing of its grid, then writes and prints it.

    python -m pipelines.reproduce list
    python -m pipelines.reproduce table NAME [flags]

A table's folder, `--out`/NAME-PROTOCOL-BUDGET, holds runs/ (one folder a run), table.md,
table.json and table.png. Finished runs are never run again; an interrupted one goes on.
"""

import pathlib
import sys
import time

from absl import app, flags, logging

from data.errors import DataError
from pipelines import files, render
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
        DataError: the data cannot be had or is damaged.
    """
    if name not in TABLES:
        raise ValueError(f"There is no table {name!r}; there are {', '.join(TABLES)}.")
    table = TABLES[name]
    folder = out / f"{name}-{options.protocol}-{options.budget}"
    grid = table.grid(options)
    results = []
    for place, config in enumerate(grid, start=1):
        started = time.perf_counter()
        results.append(run(config, folder / "runs" / config.key, data_dir))
        took = time.perf_counter() - started
        _say(f"[{place}/{len(grid)}] {config.key}: done in {took:.0f} s")
    text = render.markdown(table, results)
    files.write_json(folder / "table.json", results)
    files.write_text(folder / "table.md", text)
    render.picture(table, results, folder / "table.png")
    _say(f"written: {folder / 'table.md'}, {folder / 'table.json'}, {folder / 'table.png'}")
    return text


def main(argv: list[str]) -> None:
    """Does what the command line says."""
    logging.set_verbosity(logging.WARNING)  # TensorFlow reports every checkpoint it writes
    match argv[1:]:
        case ["list"]:
            for table in TABLES.values():
                print(f"{table.name:24} {table.title}")
        case ["table", name]:
            try:
                print(make_table(name, _options(), pathlib.Path(_OUT.value), _DATA_DIR.value))
            except (ValueError, DataError) as error:
                sys.exit(f"error: {error}")
            except KeyboardInterrupt:
                sys.exit("interrupted; the same command goes on from here")
        case _:
            raise app.UsageError(f"Expected 'list' or 'table NAME'; received {argv[1:]}.")


def _options() -> Options:
    quirks = None if _QUIRKS.value is None else tuple(q for q in _QUIRKS.value if q)
    return Options(_BUDGET.value, _PROTOCOL.value, quirks, tuple(range(_SEEDS.value)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    app.run(main)
