"""How sparse each algorithm can be without losing quality, over all tables of densities."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import METHODS, Table

SHARES = (0.99, 0.95)  # of dense's quality


def sheet(tables: Sequence[tuple[str, Table, Sequence[dict[str, Any]]]]) -> Sheet:
    """Returns a row a table: for each algorithm the lowest densities near dense, as `SHARES`.

    Args:
        tables: of each its title, what it is, and its results.
    """
    page = Sheet(
        "Lowest density within 1 % / 5 % of dense",
        ["table", "metric", "dense", *METHODS],
        notes=(
            "Of each algorithm the lowest density whose mean over seeds is at least 99 % / 95 % of "
            "dense's, of those that were tried; - where none is, nothing where it was not run. "
            "narrow is a dense model with as many weights. Where the lowest of all do, dense "
            "overfits at its budget, and sparsity of any kind is a brake."
        ),
    )
    for title, table, results in tables:
        made = [result for result in results if "missing" not in result]
        metric = table.metrics[0]
        dense = [run["test"][metric] for run in made if run["config"]["algorithm"] == "dense"]
        means = _means(made, metric)
        if not dense or not means.keys() & set(METHODS):
            continue
        near = [_near(means.get(one, {}), float(np.mean(dense))) for one in METHODS]
        page.add([title, metric, figures.spread(dense), *near], [])
    return page


def _means(made: Sequence[dict[str, Any]], metric: str) -> dict[str, dict[float, float]]:
    """Returns by algorithm and density the mean of a metric over seeds."""
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
