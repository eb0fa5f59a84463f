"""Tables of runs in two stages: quality and cost beside dense, and how later days go."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

from pipelines import render
from pipelines.tables.base import Table

_STYLES = {"amgp": "o-", "prune_once": "s--", "narrow": "^:", "dsl": "v-."}
_Runs = list[dict[str, Any]]
_Value = Callable[[dict[str, Any]], float]
_CONFIDENCE = 0.95


def markdown(table: Table, results: Sequence[dict[str, Any]]) -> str:
    """Returns the table in Markdown: a row a configuration, mean and spread over its seeds."""
    made = [result for result in results if "missing" not in result]
    costs = ("theoretical FLOPs", "realised FLOPs", "step time", "later days' FLOPs")
    head = ["algorithm", "keep", *table.metrics, "logloss on later days", *costs, "parameters"]
    lines = [f"# {table.title}", "", render.row(head), render.row(["---"] * len(head))]
    rows = render.group(results)
    dense = _dense(made)
    for runs in rows:
        config = runs[0]["config"]
        cells = [config["algorithm"], f"{config['density']:g}"]
        if "missing" in runs[0]:
            lines.append(render.row([*cells, render.NO_DATA, *[""] * (len(head) - 3)]))
            continue
        cells += [render.spread([run["test"][metric] for run in runs]) for metric in table.metrics]
        cells.append(render.spread([_later(run) for run in runs]))
        values = [_flops("theoretical", "offline"), _flops("realised", "offline"), _step_time]
        cells += [_ratio(runs, dense, of) for of in [*values, _flops("realised", "recurring")]]
        cells.append(f"{runs[0]['report']['parameters']:,}")
        lines.append(render.row(cells))
    if not made:
        return "\n".join([*lines, "", f"{results[0]['missing']}.", ""])
    config, n = made[0]["config"], made[0]["config"]["settings"]["offline_days"]
    days = [day["day"] for day in made[0]["days"]]
    lines += [
        "",
        f"Offline: {config['epochs']} pass(es) over days 0 to {n - 1}, {made[0]['steps']} steps of "
        f"{config['batch_size']}, {config['settings']['optimizer']} at {_rate(config)}; "
        f"{', '.join(table.metrics)} are those of the test half of day {n} then, at the last step. "
        f"Later days, {days[0]} to {days[-1]}, are predicted whole, each before it is "
        "trained on, once; their mean stands here. FLOPs are of matrix products in training, as "
        "shares of dense: theoretical and realised ones of the offline stage, then realised ones "
        "of the later days. Step time is of the offline stage, as a share of the dense run's of "
        "the same seed; runs that shared a machine disturbed each other. "
        f"Seeds {sorted({r['config']['seed'] for r in made})}. {table.notes}",
        "",
        *_claims(rows, dense),
        f"Made with {render.made_with(made)}.",
        "",
    ]
    return "\n".join(lines)


def picture(table: Table, results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws the log loss of later days, and how far each method is from dense."""
    made = [result for result in results if "missing" not in result]
    dense = _dense(made)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2), layout="constrained")
    for runs in render.group(made):
        config = runs[0]["config"]
        is_dense = config["algorithm"] == "dense"
        name = "dense" if is_dense else f"{config['algorithm']}, keep {config['density']:g}"
        style = "k-" if is_dense else _STYLES.get(config["algorithm"], "o-")
        days = [day["day"] for day in runs[0]["days"]]
        losses = np.array([[day["logloss"] for day in run["days"]] for run in runs])
        left.plot(days, losses.mean(axis=0), style, label=name, markersize=4)
        pairs = [(run, dense.get(run["config"]["seed"])) for run in runs]
        if not is_dense and all(other for _, other in pairs):
            away = losses - [[day["logloss"] for day in other["days"]] for _, other in pairs]
            error = np.std(away, axis=0, ddof=1) if len(runs) > 1 else None
            right.errorbar(
                days, away.mean(axis=0), error, fmt=style, label=name, markersize=4, capsize=2
            )
    right.axhline(0.0, color="black", linewidth=1)
    left.set(xlabel="day, before it is trained on", ylabel="logloss")
    right.set(xlabel="day, before it is trained on", ylabel="logloss less dense's, same seed")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        render.finish(axes)
    figure.suptitle(table.title)
    render.save(figure, path)


def _rate(config: dict[str, Any]) -> str:
    rate, final = config["learning_rate"], config["final_learning_rate"]
    return f"{rate:g}" if final is None else f"{rate:g}, along a cosine to {final:g}"


def _claims(rows: Sequence[_Runs], dense: dict[int, dict[str, Any]]) -> list[str]:
    """Returns what the figures say of AMGP's three claims, or nothing where they cannot."""
    by = {(r[0]["config"]["algorithm"], r[0]["config"]["density"]): r for r in rows}
    lines = []
    for (algorithm, keep), runs in by.items():
        if algorithm != "amgp" or not dense or "missing" in runs[0]:
            continue
        once = {run["config"]["seed"]: run for run in by.get(("prune_once", keep), [])}
        flops = _ratio(runs, dense, _flops("realised", "offline"))
        lines += [
            f"- Keep {keep:g}: (a) training takes {flops} of dense's FLOPs and "
            f"{_ratio(runs, dense, _step_time)} of its time a step; (b) logloss at the end of the "
            f"offline stage, less dense's: {_difference(runs, dense, _test)}; (c) on later days, "
            f"less that of the model pruned once: {_difference(runs, once, _later)}; less "
            f"dense's: {_difference(runs, dense, _later)}."
        ]
    if not lines:
        return []
    return [
        "AMGP's claims, by differences of runs of one seed; what is 0 within the "
        f"{100 * _CONFIDENCE:.0f} % interval of Student's t is called seed noise.",
        "",
        *lines,
        "",
    ]


def _difference(runs: _Runs, others: dict[int, dict[str, Any]], value: _Value) -> str:
    """Returns the mean difference of runs of one seed, its interval, and what that means."""
    pairs = [(run, others.get(run["config"]["seed"])) for run in runs]
    away = [value(run) - value(other) for run, other in pairs if other and "missing" not in other]
    if not away:
        return "not run"
    mean = float(np.mean(away))
    if len(away) == 1:
        return f"{mean:+.4f} (one seed, so nothing follows)"
    error = float(np.std(away, ddof=1)) / len(away) ** 0.5
    wide = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(away) - 1)) * error
    verdict = "seed noise" if abs(mean) <= wide else "worse" if mean > 0 else "better"
    return f"{mean:+.4f} ± {wide:.4f} ({verdict})"


def _dense(made: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Returns the dense runs by seed."""
    return {r["config"]["seed"]: r for r in made if r["config"]["algorithm"] == "dense"}


def _ratio(runs: _Runs, dense: dict[int, dict[str, Any]], value: _Value) -> str:
    pairs = [(run, dense.get(run["config"]["seed"])) for run in runs]
    ratios = [value(run) / value(other) for run, other in pairs if other and value(other)]
    return f"{np.mean(ratios):.3f}" if ratios else "-"


def _flops(kind: str, stage: str) -> _Value:
    return lambda run: float(run["training_flops"][kind][stage])


def _step_time(run: dict[str, Any]) -> float:
    return float(run["step_milliseconds"])


def _test(run: dict[str, Any]) -> float:
    return float(run["test"]["logloss"])


def _later(run: dict[str, Any]) -> float:
    return float(np.mean([day["logloss"] for day in run["days"]]))
