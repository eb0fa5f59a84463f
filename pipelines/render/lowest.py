"""How sparse each algorithm can be without losing quality, over all tables of densities."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.algorithms import BASELINES
from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import METHODS, Table

SHARES = (0.99, 0.95)  # of dense's quality


def sheet(tables: Sequence[tuple[str, Table, Sequence[dict[str, Any]]]]) -> Sheet:
    """Returns a row a table: for each algorithm the lowest densities near dense, as `SHARES`.

    Args:
        tables: of each its title, what it is, and its results.
    """
    of_each = [(*one, _means(one[2], one[1].metrics[0])) for one in tables]
    there = {algorithm for *_, means in of_each for algorithm in means}
    columns = [one for one in (*METHODS, *BASELINES) if one in there]
    page = Sheet(
        "Lowest density within 1 % / 5 % of dense",
        ["table", "metric", "dense", *columns],
        notes=(
            "Of each algorithm the lowest density whose mean over seeds is at least 99 % / 95 % of "
            "dense's, of those that were tried; - where none is, nothing where it was not run. "
            "narrow is a dense model with as many weights. Where the lowest of all do, dense "
            "overfits at its budget, and sparsity of any kind is a brake."
        ),
    )
    for title, table, results, means in of_each:
        metric = table.metrics[0]
        dense = [
            run["test"][metric]
            for run in results
            if "missing" not in run and run["config"]["algorithm"] == "dense"
        ]
        if not dense or not means.keys() & set(columns):
            continue
        near = [_near(means.get(one, {}), float(np.mean(dense))) for one in columns]
        page.add([title, metric, figures.spread(dense), *near], [])
    return page


def _means(results: Sequence[dict[str, Any]], metric: str) -> dict[str, dict[float, float]]:
    """Returns by algorithm and density the mean of a metric over seeds."""
    made = [run for run in results if "missing" not in run]
    means: dict[str, dict[float, float]] = {}
    for runs in figures.group(made):
        config = runs[0]["config"]
        mean = float(np.mean([run["test"][metric] for run in runs]))
        means.setdefault(config["algorithm"], {})[config["density"]] = mean
    return means


def _near(means: dict[float, float], dense: float) -> str:
    """Returns the lowest density within each share of dense."""
    if not means:
        return ""
    cells = []
    for share in SHARES:
        enough = [density for density, mean in means.items() if mean >= share * dense]
        cells.append(f"{min(enough):g}" if enough else "-")
    return " / ".join(cells)
