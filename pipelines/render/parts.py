"""Tables of one run and of what becomes of it when one thing is changed."""

import pathlib
import textwrap
from collections.abc import Iterator, Sequence, Set
from typing import Any, TypeAlias

import numpy as np
from matplotlib import pyplot as plt

from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import Table

PICTURE = "table.png"
# The runs of one row, which differ in their seeds alone.
_Row: TypeAlias = Sequence[dict[str, Any]]


def sheet(table: Table, results: Sequence[dict[str, Any]]) -> Sheet:
    """Returns the table: a row a change, mean and spread over its seeds.

    "+/-" is the difference to the run of the same seed in the first row of the same density, in the
    first metric, its mean and spread over the seeds that both have; of dense to the first row of
    all.
    """
    made = [result for result in results if "missing" not in result]
    first = table.metrics[0]
    head = ["changed", "seeds", *table.metrics, "+/-", f"validation {first}"]
    head += ["density", "explored", "last overlap"]
    page = Sheet(table.title, head, picture=PICTURE if made else None)
    if not made:
        page.notes = f"{results[0]['missing']}."
        return page
    rows = figures.group(made)
    for name, runs, first_row in zip(_names(rows), rows, _first_rows(rows), strict=True):
        base = {run["config"]["seed"]: run for run in first_row}
        cells = [name, str(len(runs))]
        cells += [figures.spread([run["test"][metric] for run in runs]) for metric in table.metrics]
        pairs = [(run, base[seed]) for run in runs if (seed := run["config"]["seed"]) in base]
        less = [run["test"][first] - other["test"][first] for run, other in pairs]
        cells.append("" if runs is first_row else _signed(less, len(runs)))
        cells.append(figures.spread([run["validation"][first] for run in runs]))
        cells.append(f"{np.mean([run['report']['density'] for run in runs]):.3f}")
        cells += [_last(runs, name) for name in ("exploration", "overlap")]
        page.add(cells, runs)
    config = made[0]["config"]
    page.notes = (
        "Test part, at the epoch that is best on the validation part. "
        f"{config['epochs']} epochs of batches of {config['batch_size']} ({made[0]['steps']} "
        f"steps), masks updated {_often(config['update_interval'])}. {table.notes} +/- is the "
        f"difference to the first row (of the same density) in {first}, seed by seed. "
        "Explored is the share of entries that were ever active, last overlap the share of those "
        "active at the last "
        f"evaluation but one that still are at the last.{figures.over_users(made, first)}\n\n"
        f"Made with {figures.made_with(made)}."
    )
    return page


def _signed(values: Sequence[float], runs: int) -> str:
    """Returns mean and spread, signed; of fewer seeds than there are runs it says of how many."""
    if not values:
        return ""
    signed = figures.spread(values, sign="+")
    return signed if len(values) == runs else f"{signed} (of {len(values)})"


def _first_rows(rows: Sequence[_Row]) -> list[_Row]:
    """Returns of each row the first of its density; of dense the first of all."""
    first_of = {1.0: rows[0]}
    return [first_of.setdefault(runs[0]["config"]["density"], runs) for runs in rows]


def _names(rows: Sequence[_Row]) -> list[str]:
    """Names each row by what it has otherwise than the first one, of its density if there are more.

    The first one is named by all that it was given.
    """
    configs = [runs[0]["config"] for runs in rows]
    first = [runs[0]["config"] for runs in _first_rows(rows)]
    densities = {config["density"] for config in configs} - {1.0}
    at = {density: f"at {density:g}: " for density in densities if len(densities) > 1}
    return [
        at.get(config["density"], "") + change(config, base)
        for config, base in zip(configs, first, strict=True)
    ]


def change(config: dict[str, Any], base: dict[str, Any]) -> str:
    """Names what one configuration has otherwise than another, but for the seed."""
    algorithm, given = config["algorithm"], config["algorithm_settings"]
    if algorithm == base["algorithm"]:
        named = [f"{name} = {value}" for name, value in _differences(config, base)]
        own = [algorithm, *(f"{name} = {value}" for name, value in given.items())]
        return ", ".join(named or own) if named or given else f"{algorithm}, as it is"
    # Of another algorithm all settings are named, whether the first has the same or not.
    still = {name: {"update_interval"} for name in ("static", "narrow")}
    still["dense"] = {"density", "update_interval"}
    others = {"algorithm", "algorithm_settings"} | still.get(algorithm, set())
    differences = dict(_differences(config, base, others)) | given
    return ", ".join([algorithm, *(f"{name} = {value}" for name, value in differences.items())])


def _differences(
    config: dict[str, Any], base: dict[str, Any], but: Set[str] = frozenset()
) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if name in {"seed", *but} or value == base.get(name):
            continue
        if isinstance(value, dict):
            yield from _differences(value, base[name])
        else:
            yield name, value


def picture(table: Table, results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws the first metric of every row, a point a seed, and the first rows' means as lines."""
    metric = table.metrics[0]
    rows = figures.group([result for result in results if "missing" not in result])
    figure, axes = plt.subplots(figsize=(7.2, 1.2 + 0.28 * len(rows)), layout="constrained")
    for place, runs in enumerate(rows):
        values = [run["test"][metric] for run in runs]
        label = "a seed" if place == 0 else None
        axes.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.5, label=label)
        label = "mean" if place == 0 else None
        axes.plot(np.mean(values), place, "|", color="black", markersize=14, label=label)
    for place, first_row in enumerate(_first_rows(rows) if rows else []):
        mean = np.mean([run["test"][metric] for run in first_row])
        axes.plot([mean, mean], [place - 0.5, place + 0.5], color="grey", linewidth=1)
    axes.set_yticks(range(len(rows)), _names(rows) if rows else [])
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)  # the first on top
    axes.set_xlabel(f"test {metric}")
    # Over the names too, and in lines: it is long.
    figure.suptitle(textwrap.fill(table.title, 70), fontsize="medium")
    figures.finish(figure, axes)
    figures.save(figure, path)


def _often(interval: int | None) -> str:
    return "as often as the algorithm has it" if interval is None else f"every {interval} steps"


def _last(runs: Sequence[dict[str, Any]], name: str) -> str:
    values = [run["masks"][-1][name] for run in runs if run.get("masks")]
    return f"{np.mean(values):.3f}" if values else ""
