"""Where the weights go: how far masks move over training, and whose weights are active."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from pipelines.algorithms import MASKS
from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import Table

PICTURE = "masks.png"
_SHOWN = 0.2  # density that is drawn, or the nearest there is


def sheet(table: Table, results: Sequence[dict[str, Any]]) -> Sheet | None:
    """Returns a row a configuration that has masks; None where one was not watched in any seed."""
    watched = _watched(results)
    made = [run for run in results if "missing" not in run]
    masked = [run for run in made if run["config"]["algorithm"] in MASKS]
    rows = figures.group(watched)
    if not watched or len(rows) < len(figures.group(masked)):
        return None
    places = list(rows[0][0]["masks"][-1]["density"])
    ends = [f"{place}: {end} popular" for place in places for end in ("least", "most")]
    page = Sheet(
        f"{table.title}: where the weights go",
        ["algorithm", "density", "explored", "overlap", "last overlap", *ends],
        picture=PICTURE,
        notes=(
            "Explored is the share of entries that were ever active; overlap the share of those "
            "active at one evaluation that still are at the next, its mean and the last. "
            "Then, at the end, the density of the tenth of users or items with the fewest "
            "interactions in training, and of that with the most. Drawn at density "
            f"{_density(rows):g}. Seeds {sorted({run['config']['seed'] for run in watched})}."
            f"\n\nMade with {figures.made_with(watched)}."
        ),
    )
    for runs in rows:
        config = runs[0]["config"]
        overlaps = [np.mean([look["overlap"] for look in run["masks"]]) for run in runs]
        last = [run["masks"][-1] for run in runs]
        values = [[one["exploration"] for one in last], overlaps, [one["overlap"] for one in last]]
        values += [
            [one["density"][place][at] for one in last] for place in places for at in (0, -1)
        ]
        spreads = [figures.spread(one, digits=3) for one in values]
        page.add([config["algorithm"], f"{config['density']:g}", *spreads], runs)
    return page


def picture(table: Table, results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws exploration and overlap over training, and density by popularity at its end."""
    rows = figures.group(_watched(results))
    rows = [runs for runs in rows if runs[0]["config"]["density"] == _density(rows)]
    places = list(rows[0][0]["masks"][-1]["density"])
    figure, panels = plt.subplots(
        1, 2 + len(places), figsize=(3.6 * (2 + len(places)), 3.6), layout="constrained"
    )
    for runs in rows:
        algorithm = runs[0]["config"]["algorithm"]
        look = {"label": algorithm, "markersize": 4}
        steps = [one["step"] for one in runs[0]["masks"]]
        for axes, name in zip(panels, ("exploration", "overlap"), strict=False):
            over_time = [[one[name] for one in run["masks"]] for run in runs]
            axes.plot(steps, np.mean(over_time, axis=0), figures.STYLES[algorithm], **look)
        for axes, place in zip(panels[2:], places, strict=True):
            shares = np.mean([run["masks"][-1]["density"][place] for run in runs], axis=0)
            tenths = np.arange(1, len(shares) + 1)
            axes.plot(tenths, shares, figures.STYLES[algorithm], **look)
    _name(panels[0], "share of entries ever active", "step")
    _name(panels[1], "still active since the evaluation before", "step")
    for axes, place in zip(panels[2:], places, strict=True):
        _name(axes, f"density, {place}", "tenth by popularity, least first")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(f"{table.title}, density {_density(rows):g}")
    figures.save(figure, path)


def _watched(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [run for run in results if run.get("masks")]


def _density(rows: Sequence[Sequence[dict[str, Any]]]) -> float:
    there = [float(runs[0]["config"]["density"]) for runs in rows]
    return min(there, key=lambda density: abs(density - _SHOWN))


def _name(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(below)
    axes.grid(alpha=0.3)
