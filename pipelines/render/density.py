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
    validated = not any("test_selection" in result["config"]["quirks"] for result in results)
    columns = [("test", metric) for metric in table.metrics]
    head = ["algorithm", "density", "actual", *table.metrics]
    if validated:
        columns.append(("validation", table.metrics[0]))
        head.append(f"validation {table.metrics[0]}")
    head += ["best epoch", "parameters", "s"]
    page = Sheet(table.title, head, picture=PICTURE if made else None)
    for runs in figures.group(results):
        config = runs[0]["config"]
        cells = [config["algorithm"], f"{config['density']:g}"]
        if "missing" not in runs[0]:
            report = runs[0]["report"]
            cells.append(f"{report['density']:.3f}")
            cells += [figures.spread([run[part][name] for run in runs]) for part, name in columns]
            cells.append(" / ".join(str(run["best_epoch"]) for run in runs))
            cells.append(f"{report['parameters']:,}")
            cells.append(figures.spread([run["seconds"] for run in runs], digits=0))
        page.add(cells, runs)
    page.notes = _notes(table, made) if made else f"{results[0]['missing']}."
    return page


def _notes(table: Table, made: Sequence[dict[str, Any]]) -> str:
    config = made[0]["config"]
    there = {run["config"]["algorithm"] for run in made}
    seeds = {run["config"]["seed"] for run in made}
    some = ""
    if any(len(runs) < len(seeds) for runs in figures.group(made)):
        some = f" (in a row as many as best epochs; drawn are {sorted(_common(made))})"
    own = " (spectral: as often as it has it)" if "spectral" in there else ""
    baselines = " ".join(one.note for name, one in BASELINES.items() if name in there)
    chosen = "itself" if "test_selection" in config["quirks"] else "the validation part"
    return (
        f"Protocol: {config['protocol']} (quirks: {', '.join(config['quirks']) or 'none'}). Test "
        f"part, at the epoch that is best on {chosen}. {config['epochs']} epochs of "
        f"batches of {config['batch_size']} ({made[0]['steps']} steps), masks updated every "
        f"{config['update_interval']} steps{own}, seeds {sorted(seeds)}{some}. "
        f"{table.notes} Seconds are of training with its evaluations; several runs may have shared "
        f"a machine, so they compare nothing.{figures.over_users(made, table.metrics[0])} "
        f"{baselines}".rstrip()
        + f"\n\nMade with {figures.made_with(made)}."
    )


def _common(made: Sequence[dict[str, Any]]) -> set[int]:
    """Returns the seeds that every row has; all there are if there is none."""
    of_rows = [{run["config"]["seed"] for run in runs} for runs in figures.group(made)]
    return set.intersection(*of_rows) or set.union(*of_rows)


def picture(table: Table, results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws quality against density, a line an algorithm, the dense model as a level.

    Of seeds that all rows have: else lines of different seeds would be compared.
    """
    metric = table.metrics[0]
    made = [result for result in results if "missing" not in result]
    seeds = _common(made) if made else set()
    drawn = [run for run in made if run["config"]["seed"] in seeds]
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    lines: dict[str, list[tuple[float, float]]] = {}
    for runs in figures.group(drawn):
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
    figures.finish(figure, axes)
    figures.save(figure, path)
