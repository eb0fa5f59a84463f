"""A table's results as Markdown and as a picture."""

import collections
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from pipelines.tables.base import Table

_STYLES = {
    "dsl": "o-",
    "rigl": "v-",
    "set": "s--",
    "static": "^:",
    "gradual": "D-.",
    "oneshot": "x-.",
}


def group(results: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Returns the results in rows: runs that differ in their seed only stand together."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        key = repr(sorted((k, v) for k, v in result["config"].items() if k != "seed"))
        rows.setdefault(key, []).append(result)
    return list(rows.values())


def markdown(table: Table, results: Sequence[dict[str, Any]]) -> str:
    """Returns the table in Markdown: a row a configuration, mean (and spread) over its seeds."""
    first = results[0]
    head = ["algorithm", "density", "actual", *table.metrics, "best epoch", "active weights", "s"]
    lines = [f"# {table.title}", "", _row(head), _row(["---"] * len(head))]
    for runs in group(results):
        config, report = runs[0]["config"], runs[0]["report"]
        cells = [config["algorithm"], f"{config['density']:g}", f"{report['density']:.3f}"]
        cells += [_spread([run["test"][metric] for run in runs]) for metric in table.metrics]
        cells += [" / ".join(str(run["best_epoch"]) for run in runs), f"{report['active']:,}"]
        cells.append(_spread([run["seconds"] for run in runs], digits=0))
        lines.append(_row(cells))
    config = first["config"]
    quirks = ", ".join(config["quirks"]) or "none"
    lines += [
        "",
        f"Protocol: {config['protocol']} (quirks: {quirks}). Test users, at the epoch that is best "
        f"on the validation users. {config['epochs']} epochs of batches of {config['batch_size']} "
        f"({first['steps']} steps), masks updated every {config['update_interval']} steps, seeds "
        f"{sorted({r['config']['seed'] for r in results})}. recall@k divides by all held-out "
        "items, truncated_recall@k by at most k of them. Seconds are of training with its "
        "evaluations.",
        "",
        f"Made with {made_with(results)}.",
        "",
    ]
    return "\n".join(lines)


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


def picture(table: Table, results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws quality against density, a line an algorithm, the dense model as a level."""
    metric = table.metrics[0]
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    lines: dict[str, list[tuple[float, float]]] = {}
    for runs in group(results):
        mean = float(np.mean([run["test"][metric] for run in runs]))
        config = runs[0]["config"]
        lines.setdefault(config["algorithm"], []).append((config["density"], mean))
    for _, value in lines.pop("dense", []):
        axes.axhline(value, color="black", linewidth=1, label="dense")
    for algorithm, points in lines.items():
        density, value = zip(*sorted(points), strict=True)
        axes.plot(density, value, _STYLES.get(algorithm, "o-"), label=algorithm)
    ticks = sorted({density for points in lines.values() for density, _ in points})
    axes.set(xscale="log", xlabel="density", ylabel=f"test {metric}", title=table.title)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=150)
    plt.close(figure)
    part.replace(path)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread(values: Sequence[float], digits: int = 4) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
