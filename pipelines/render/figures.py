"""What tables and pictures share: which runs are a row, means and spreads, who made them."""

import collections
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.fold_in import BY_SEED
from pipelines.render.sheet import NO_DATA

# Of the algorithms that tables of masks have: each looks the same in every picture.
STYLES = {
    "spectral": "C0h-",
    "dsl": "C1o-",
    "rigl": "C2v-",
    "set": "C3s--",
    "static": "C4^:",
    "gradual": "C5D-.",
    "oneshot": "C6x-.",
    "tfmot": "C7P:",
    "narrow": "C8*--",
}


def group(results: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Returns the results in rows: runs that differ in their seed only stand together."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        rest = {name: value for name, value in result["config"].items() if name != "seed"}
        key = json.dumps(rest, sort_keys=True)  # files have settings in another order
        rows.setdefault(key, []).append(result)
    return list(rows.values())


def made_with(results: Sequence[dict[str, Any]]) -> str:
    """Returns every machine and commit that runs are from, with the number of runs if several."""
    places: dict[str, collections.Counter[str]] = {}
    for made in (result["environment"] for result in results):
        place = (
            f"TensorFlow {made['packages']['tensorflow']}, Keras {made['packages']['keras']}, "
            f"Python {made['python']}, on {', '.join(made['gpus']) or made['processor']} "
            f"({made['cores']} cores)"
        )
        commit, *modified = made["commit"].split("-")
        short = "-".join([commit[:10], *modified])
        places.setdefault(place, collections.Counter())[short] += 1
    one = sum(len(commits) for commits in places.values()) == 1
    return "; ".join(
        f"{place}, commit "
        + ", ".join(commit if one else f"{commit} ({n})" for commit, n in commits.items())
        for place, commits in places.items()
    )


def spread(values: Sequence[float], digits: int = 4, sign: str = "-") -> str:
    """Returns the mean and, of several values, their standard deviation.

    With sign="+" a mean that is not negative has a plus.
    """
    mean = f"{np.mean(values):{sign}.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def over_users(results: Sequence[dict[str, Any]], metric: str) -> str:
    """Returns what the spread over seeds leaves out, in words: "" of runs that do not know it."""
    errors = [run["test"].get(f"{metric}_se", np.nan) for run in results]
    errors = [error for error in errors if np.isfinite(error)]
    if not errors:
        return ""
    by_seed = all(run["config"]["data"].endswith(BY_SEED) for run in results)
    spread = (
        "the spread over seeds has it too: each holds out other users"
        if by_seed
        else "the spread over seeds leaves it out: all are judged on the same users"
    )
    return (
        f" As a mean over users a run's {metric} has a standard error of {np.median(errors):.4f} "
        f"(the median of {len(errors)} runs); {spread}."
    )


def finish(figure: Figure, axes: Axes) -> None:
    """Adds a grid, and a legend beside what is drawn; or says that there is no data."""
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right center")
    else:
        axes.text(0.5, 0.5, NO_DATA, ha="center", transform=axes.transAxes)


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a picture whole or not at all, and closes it."""
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=150)
    plt.close(figure)
    part.replace(path)
