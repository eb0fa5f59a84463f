"""Tables of runs by epochs: quality against density, a row an algorithm and density."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from pipelines.algorithms import BASELINES
from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import Table

PICTURE = "table.png"


def sheet(table: Table, results: Sequence[dict[str, Any]]) -> Sheet:
    """Returns the table: a row a configuration, mean (and spread) over its seeds."""
    made = [result for result in results if "missing" not in result]
    head = ["algorithm", "density", "actual", *table.metrics, "best epoch", "parameters", "s"]
    page = Sheet(table.title, head, picture=PICTURE if made else None)
    for runs in figures.group(results):
        config = runs[0]["config"]
        cells = [config["algorithm"], f"{config['density']:g}"]
        if "missing" not in runs[0]:
            report = runs[0]["report"]
            cells.append(f"{report['density']:.3f}")
            cells += [
                figures.spread([run["test"][metric] for run in runs]) for metric in table.metrics
            ]
            cells.append(" / ".join(str(run["best_epoch"]) for run in runs))
            cells.append(f"{report['parameters']:,}")
            cells.append(figures.spread([run["seconds"] for run in runs], digits=0))
        page.add(cells, runs)
    page.notes = _notes(table, made) if made else f"{results[0]['missing']}."
    return page


def _notes(table: Table, made: Sequence[dict[str, Any]]) -> str:
    config = made[0]["config"]
    there = {run["config"]["algorithm"] for run in made}
    baselines = " ".join(one.note for name, one in BASELINES.items() if name in there)
    chosen = "itself" if "test_selection" in config["quirks"] else "the validation part"
    return (
        f"Protocol: {config['protocol']} (quirks: {', '.join(config['quirks']) or 'none'}). Test "
        f"part, at the epoch that is best on {chosen}. {config['epochs']} epochs of "
        f"batches of {config['batch_size']} ({made[0]['steps']} steps), masks updated every "
        f"{config['update_interval']} steps, seeds {sorted({r['config']['seed'] for r in made})}. "
        f"{table.notes} Seconds are of training with its evaluations. {baselines}".rstrip()
        + f"\n\nMade with {figures.made_with(made)}."
    )


def picture(table: Table, results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws quality against density, a line an algorithm, the dense model as a level."""
    metric = table.metrics[0]
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    lines: dict[str, list[tuple[float, float]]] = {}
    for runs in figures.group([result for result in results if "missing" not in result]):
        mean = float(np.mean([run["test"][metric] for run in runs]))
        config = runs[0]["config"]
        lines.setdefault(config["algorithm"], []).append((config["density"], mean))
    for _, value in lines.pop("dense", []):
        axes.axhline(value, color="black", linewidth=1, label="dense")
    for algorithm, points in lines.items():
        density, value = zip(*sorted(points), strict=True)
        axes.plot(density, value, figures.STYLES[algorithm], label=algorithm)
    ticks = sorted({density for points in lines.values() for density, _ in points})
    axes.set(xscale="log", xlabel="density", ylabel=f"test {metric}", title=table.title)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figures.finish(axes)
    figures.save(figure, path)
