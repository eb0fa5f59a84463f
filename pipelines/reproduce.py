"""Makes a table: runs what is missing of its grid, then writes and prints it.

    python -m pipelines.reproduce list
    python -m pipelines.reproduce table NAME [flags]
    python -m pipelines.reproduce all [flags]
    python -m pipelines.reproduce report [flags]

A table's folder, `--out`/NAME-PROTOCOL-BUDGET, holds runs/ (one folder a run), table.md,
table.json and table.png. Finished runs are never run again; an interrupted one goes on. The report
of all tables in `--out` is its README.md and report.html.
"""

import os
import pathlib
from collections.abc import Sequence

import tensorflow as tf
from absl import app, flags

from pipelines import command_line, environment
from pipelines.command_line import say
from pipelines.finished import Known, known_in
from pipelines.make import make_table
from pipelines.make_all import DEVICES, at_once, make_all, plan, plan_table, total
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
    "Seeds 0, 1, ... of every run (default: the table's own, 1, 3 or 5).",
    lower_bound=1,
)
_ALGORITHMS = flags.DEFINE_list(
    "algorithms", None, "Those of the table's to run now (default: all)."
)
_DENSITIES = flags.DEFINE_list(
    "densities", None, "Of the table's rows, those to run now, beside dense (default: all)."
)
_ROWS = ("algorithms", "densities")
_JOBS = flags.DEFINE_integer(
    "jobs", None, "Runs at once, a process each (1; all: 8 on each GPU, else 2).", lower_bound=1
)
_DEVICE = flags.DEFINE_enum("device", None, DEVICES, "With all: what to run on (a GPU, if any).")
_COSTS = flags.DEFINE_bool(
    "costs", False, "Also measure step time, memory, FLOPs and bytes, a minute a row (all: always)."
)
_KNOWN = flags.DEFINE_string(
    "known", None, "Folder with tables made elsewhere; their runs are taken, not made again."
)
_FINISHED = flags.DEFINE_bool(
    "finished", False, "Write the table of what is finished; run nothing."
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "List the runs and how long each takes.")


def main(arguments: list[str]) -> None:
    """Does what the command line says."""
    match arguments:
        case ["list"]:
            for table in TABLES.values():
                print(f"{table.name:24} {table.title}")
        case ["table", name]:
            checks.choice("table", name, TABLES)
            if _COSTS.value and TABLES[name].kind != "density":
                raise ValueError(
                    f"--costs is of tables of densities; {name} is none. (amgp-* have theirs.)"
                )
            options, out = _options(TABLES[name].seeds), pathlib.Path(_OUT.value)
            jobs, device, known = _JOBS.value or 1, _device(), _known()
            if _DRY_RUN.value:
                planned = plan_table(TABLES[name], options, out, device, known)
                print("\n".join(planned.lines(jobs)))
                return
            more = {"costs": _COSTS.value, "known": known, "run": not _FINISHED.value}
            print(make_table(name, options, out, _DATA_DIR.value, jobs, **more))
        case ["all"]:
            _refuse("all", ("protocol", "quirks", *_ROWS, "costs", "finished"))
            _all(pathlib.Path(_OUT.value))
        case ["report"]:
            _refuse("report", ("budget", "protocol", "quirks", "seeds", *_ROWS, "jobs"))
            _refuse("report", ("device", "costs", "dry_run", "data_dir", "known", "finished"))
            for path in report.write(pathlib.Path(_OUT.value)):
                say(f"written: {path}")
        case _:
            given = " ".join(arguments) or "nothing"
            raise app.UsageError(
                f"Expected 'list', 'table NAME', 'all' or 'report'; received {given!r}."
            )


def _refuse(command: str, names: Sequence[str]) -> None:
    """Raises ValueError where a flag is given that a command would ignore."""
    given = [f"--{name}" for name in names if flags.FLAGS[name].present]
    if given:
        raise ValueError(f"`{command}` has no {', '.join(given)}: it is of `table NAME`.")


def _all(out: pathlib.Path) -> None:
    device = _device()
    jobs = _JOBS.value or (8 * len(environment.gpus()) if device == "gpu" else 2)
    known = _known()
    planned = plan(_BUDGET.value, out, device, _SEEDS.value, known)
    if _DRY_RUN.value:
        print("\n".join(line for one in planned for line in one.lines(at_once(one.table, jobs))))
        print(f"{total(planned, jobs)}; then what each row costs, about a minute a row")
        return
    for path in make_all(planned, out, _DATA_DIR.value, jobs, known):
        say(f"written: {path}")


def _known() -> Known | None:
    return None if _KNOWN.value is None else known_in(pathlib.Path(_KNOWN.value))


def _device() -> str:
    """Returns the device asked for, or there is, and hides GPUs that are not asked for."""
    found = tf.config.list_physical_devices("GPU")
    device = _DEVICE.value or ("gpu" if found else "cpu")
    if device == "gpu" and not found:
        raise ValueError("TensorFlow finds no GPU here; use --device=cpu, or leave it out.")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # of the processes that runs are in, too
        tf.config.set_visible_devices([], "GPU")
    return device


def _options(n_seeds: int) -> Options:
    quirks = command_line.quirks(_QUIRKS.value)
    algorithms = None if _ALGORITHMS.value is None else tuple(_ALGORITHMS.value)
    densities = None if _DENSITIES.value is None else tuple(map(_density, _DENSITIES.value))
    seeds = tuple(range(_SEEDS.value or n_seeds))
    return Options(_BUDGET.value, _PROTOCOL.value, quirks, seeds, algorithms, densities)


def _density(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`densities` must be numbers; received {text!r}.") from None


if __name__ == "__main__":
    command_line.run(main, "./reproduce.sh -h")
