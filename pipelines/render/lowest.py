"""How sparse each algorithm can be without losing quality, over all tables of densities."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.algorithms import BASELINES
from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import METHODS, Table

SHARES = (0.99, 0.95)  # of dense's quality


def sheet(tables: Sequence[tuple[Table, Sequence[dict[str, Any]]]]) -> Sheet:
    """Returns a row a table: for each algorithm the lowest densities near dense, as `SHARES`.

    Args:
        tables: of each what it is, and its results.
    """
    of_each = [(*one, _shares(one[1], one[0].metrics[0])) for one in tables]
    there = {algorithm for *_, shares in of_each for algorithm in shares}
    columns = [one for one in (*METHODS, *BASELINES) if one in there]
    page = Sheet(
        "Lowest density within 1 % / 5 % of dense",
        ["table", "metric", "dense", *columns],
        notes=(
            "Of each algorithm the lowest density whose mean over seeds is at least 99 % / 95 % of "
            "dense's over the same seeds, of those that were tried; - where none is, nothing where "
            "it was not run. narrow is a dense model with as many weights. Where the lowest of all "
            "do, dense overfits at its budget, and sparsity of any kind is a brake."
        ),
    )
    for table, results, shares in of_each:
        metric = table.metrics[0]
        dense = [run["test"][metric] for run in _of_dense(results)]
        if not dense or not shares.keys() & set(columns):
            continue
        near = [_near(shares.get(one, {})) for one in columns]
        page.add([table.title, metric, figures.spread(dense), *near], [])
    return page


def _of_dense(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    made = [run for run in results if "missing" not in run]
    return [run for run in made if run["config"]["algorithm"] == "dense"]


def _shares(results: Sequence[dict[str, Any]], metric: str) -> dict[str, dict[float, float]]:
    """Returns by algorithm and density the mean of a metric as a share of dense's, seed by seed.

    Seeds that dense has not are left out.
    """
    dense = {run["config"]["seed"]: run["test"][metric] for run in _of_dense(results)}
    shares: dict[str, dict[float, float]] = {}
    for runs in figures.group([run for run in results if "missing" not in run]):
        both = [
            (run["test"][metric], dense[run["config"]["seed"]])
            for run in runs
            if run["config"]["seed"] in dense
        ]
        if both:
            own, of_dense = np.mean(both, axis=0)
            config = runs[0]["config"]
            shares.setdefault(config["algorithm"], {})[config["density"]] = float(own / of_dense)
    return shares


def _near(shares: dict[float, float]) -> str:
    """Returns the lowest density within each share of dense."""
    if not shares:
        return ""
    cells = []
    for least in SHARES:
        enough = [density for density, share in shares.items() if share >= least]
        cells.append(f"{min(enough):g}" if enough else "-")
    return " / ".join(cells)
