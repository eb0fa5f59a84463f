"""A table's results as Markdown and as a picture."""

import collections
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from pipelines.tables.base import Table

NO_DATA = "data not available here"
_STYLES = {
    "dsl": "o-",
    "rigl": "v-",
    "set": "s--",
    "static": "^:",
    "gradual": "D-.",
    "oneshot": "x-.",
    "narrow": "*--",
}


def group(results: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Returns the results in rows: runs that differ in their seed only stand together."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        rest = {name: value for name, value in result["config"].items() if name != "seed"}
        key = json.dumps(rest, sort_keys=True)  # files have settings in another order
        rows.setdefault(key, []).append(result)
    return list(rows.values())


def markdown(table: Table, results: Sequence[dict[str, Any]]) -> str:
    """Returns the table in Markdown: a row a configuration, mean (and spread) over its seeds."""
    made = [result for result in results if "missing" not in result]
    head = ["algorithm", "density", "actual", *table.metrics, "best epoch", "parameters", "s"]
    lines = [f"# {table.title}", "", _row(head), _row(["---"] * len(head))]
    for runs in group(results):
        config = runs[0]["config"]
        cells = [config["algorithm"], f"{config['density']:g}"]
        if "missing" in runs[0]:
            lines.append(_row([*cells, NO_DATA, *[""] * (len(head) - 3)]))
            continue
        report = runs[0]["report"]
        cells.append(f"{report['density']:.3f}")
        cells += [_spread([run["test"][metric] for run in runs]) for metric in table.metrics]
        cells += [" / ".join(str(run["best_epoch"]) for run in runs), f"{report['parameters']:,}"]
        cells.append(_spread([run["seconds"] for run in runs], digits=0))
        lines.append(_row(cells))
    if not made:
        return "\n".join([*lines, "", f"{results[0]['missing']}.", ""])
    config = made[0]["config"]
    chosen = "itself" if "test_selection" in config["quirks"] else "the validation part"
    lines += [
        "",
        f"Protocol: {config['protocol']} (quirks: {', '.join(config['quirks']) or 'none'}). Test "
        f"part, at the epoch that is best on {chosen}. {config['epochs']} epochs of "
        f"batches of {config['batch_size']} ({made[0]['steps']} steps), masks updated every "
        f"{config['update_interval']} steps, seeds {sorted({r['config']['seed'] for r in made})}. "
        f"{table.notes} Seconds are of training with its evaluations.",
        "",
        f"Made with {made_with(made)}.",
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
    for runs in group([result for result in results if "missing" not in result]):
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
    if lines or axes.lines:
        axes.legend()
    else:
        axes.text(0.5, 0.5, NO_DATA, ha="center", transform=axes.transAxes)
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=150)
    plt.close(figure)
    part.replace(path)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread(values: Sequence[float], digits: int = 4) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
