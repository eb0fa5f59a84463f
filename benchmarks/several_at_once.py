"""The same runs of a table one after the other, and several at once on one GPU (or CPU).

    python -m benchmarks.several_at_once --tables=multvae-ml1m,lightgcn-gowalla --out=FILE

Of each table the first --runs runs, in new folders, as `./reproduce.sh table` makes them: a process
each when several are made at once. --jobs is what a table has room for unless it is given.
"""

import json
import pathlib
import tempfile
import time
from typing import Any

from absl import flags

from benchmarks import own_process
from pipelines import command_line, environment, files, sharing
from pipelines.config import RunConfig
from pipelines.grid import run_grid
from pipelines.tables import TABLES, Options
from tfdsl import checks

_TABLES = flags.DEFINE_list("tables", ["multvae-synthetic"], "Which tables.")
_ALGORITHMS = flags.DEFINE_list("algorithms", ["dsl"], "Which of their rows.")
_RUNS = flags.DEFINE_integer("runs", 6, "How many of those.", lower_bound=2)
_JOBS = flags.DEFINE_integer("jobs", None, "How many at once.", lower_bound=2)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the data sets.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the figures.")
_WORKER = flags.DEFINE_string("worker", None, "Of this program's own processes: table and jobs.")


def _grid(name: str) -> list[RunConfig]:
    table = TABLES[name]
    chosen = tuple(_ALGORITHMS.value)
    options = Options(protocol=table.protocol, quirks=table.quirks, algorithms=chosen)
    return list(table.grid(options))[: _RUNS.value]


def _work(name: str, jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder, sharing.shared(jobs):
        started = time.perf_counter()
        made = run_grid(_grid(name), pathlib.Path(folder), _DATA_DIR.value, jobs)
        seconds = time.perf_counter() - started
    training = [run["seconds"] for run in made]
    print(json.dumps({"jobs": jobs, "seconds": seconds, "training_seconds": training}))


def _measured(name: str, jobs: int) -> dict[str, Any]:
    """Returns what a process of its own has measured."""
    words = [f"--worker={name}/{jobs}", f"--runs={_RUNS.value}"]
    words += [f"--algorithms={','.join(_ALGORITHMS.value)}"]
    words += [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    return own_process.ask("benchmarks.several_at_once", words)


def main(arguments: list[str]) -> None:
    """Measures the tables, prints a line each, and writes the figures."""
    if _WORKER.value:
        name, jobs = _WORKER.value.split("/")
        _work(name, int(jobs))
        return
    figures = []
    for name in _TABLES.value:
        checks.choice("tables", name, TABLES)
        alone, many = (_measured(name, n) for n in (1, _JOBS.value or TABLES[name].at_once))
        ratio = many["seconds"] / alone["seconds"]
        n_runs = len(alone["training_seconds"])
        figures.append({"table": name, "runs": n_runs, "alone": alone, "at_once": many})
        print(
            f"{name}: {n_runs} runs, {alone['seconds']:.0f} s one by one, "
            f"{many['seconds']:.0f} s with {many['jobs']} at once: {ratio:.3f}",
            flush=True,
        )
        if _OUT.value:
            made = {"environment": environment.describe(), "tables": figures}
            files.write_json(pathlib.Path(_OUT.value), made)


if __name__ == "__main__":
    command_line.run(main, "python -m benchmarks.several_at_once --help")
