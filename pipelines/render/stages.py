"""Tables of runs in two stages: quality and cost beside dense, and how later days go."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

from pipelines.render import figures
from pipelines.render.sheet import NO_DATA, Sheet
from pipelines.tables.base import Table

PICTURE = "table.png"
_STYLES = {"amgp": "o-", "prune_once": "s--", "narrow": "^:", "dsl": "v-."}
_Runs = list[dict[str, Any]]
_BySeed = dict[int, dict[str, Any]]
_Pairs = list[tuple[dict[str, Any], dict[str, Any]]]
_Value = Callable[[dict[str, Any]], float]
_CONFIDENCE = 0.95
_LEAST = 3  # seeds: of two the interval is wider than anything


def sheet(table: Table, results: Sequence[dict[str, Any]]) -> Sheet:
    """Returns the table: a row a configuration, mean and spread over its seeds."""
    made = [result for result in results if "missing" not in result]
    costs = ("theoretical FLOPs", "realised FLOPs", "step time", "later days' FLOPs")
    quality = (*table.metrics, "logloss on later days")
    head = ["algorithm", "keep", "seeds", *quality, *costs, "parameters"]
    page = Sheet(table.title, head, picture=PICTURE if made else None)
    rows = figures.group(results)
    dense = _dense(made)
    for runs in rows:
        config = runs[0]["config"]
        cells = [config["algorithm"], f"{config['density']:g}"]
        if "missing" not in runs[0]:
            cells += _cells(table, runs, dense)
        page.add(cells, runs)
    page.notes = _notes(table, rows, made, dense) if made else f"{results[0]['missing']}."
    return page


def _cells(table: Table, runs: _Runs, dense: _BySeed) -> list[str]:
    quality = [figures.spread([run["test"][metric] for run in runs]) for metric in table.metrics]
    later = figures.spread([_later(run) for run in runs])
    values = [_flops("theoretical", "offline"), _flops("realised", "offline"), _step_time]
    costs = [_ratio(runs, dense, of) for of in [*values, _flops("realised", "recurring")]]
    return [str(len(runs)), *quality, later, *costs, f"{runs[0]['report']['parameters']:,}"]


def _notes(table: Table, rows: Sequence[_Runs], made: _Runs, dense: _BySeed) -> str:
    config, n = made[0]["config"], made[0]["config"]["settings"]["offline_days"]
    days = [day["day"] for day in made[0]["days"]]
    lines = [
        f"Offline: {config['epochs']} pass(es) over days 0 to {n - 1}, {made[0]['steps']} steps of "
        f"{config['batch_size']}, {config['settings']['optimizer']} at {_rate(config)}; "
        f"{', '.join(table.metrics)} are those of the test half of day {n} then, at the last step. "
        f"Later days, {days[0]} to {days[-1]}, are predicted whole, each before it is "
        "trained on, once; their mean stands here. FLOPs are of matrix products in training, as "
        "shares of dense: theoretical and realised ones of the offline stage, then realised ones "
        "of the later days. Step time is of the offline stage, as a share of the dense run's of "
        "the same seed, without its first 50, in which it is compiled; runs that shared a machine "
        f"disturbed each other. {table.notes}",
        "",
        *_claims(rows, dense),
        f"Made with {figures.made_with(made)}.",
    ]
    return "\n".join(lines)


def picture(table: Table, results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws the log loss of later days, and how far each method is from dense."""
    made = [result for result in results if "missing" not in result]
    dense = _dense(made)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.2), layout="constrained")
    for runs in figures.group(made):
        config = runs[0]["config"]
        is_dense = config["algorithm"] == "dense"
        name = "dense" if is_dense else f"{config['algorithm']}, keep {config['density']:g}"
        style = "k-" if is_dense else _STYLES.get(config["algorithm"], "o-")
        days = [day["day"] for day in runs[0]["days"]]
        losses = np.array([_by_day(run) for run in runs])
        (line,) = left.plot(days, losses.mean(axis=0), style, label=name, markersize=4)
        away = [np.subtract(_by_day(a), _by_day(b)) for a, b in _pairs(runs, dense)]
        if away and not is_dense:
            error = np.std(away, axis=0, ddof=1) if len(away) > 1 else None
            look = {"fmt": style, "color": line.get_color(), "markersize": 4, "capsize": 2}
            right.errorbar(days, np.mean(away, axis=0), error, **look)
    right.axhline(0.0, color="black", linewidth=1)
    left.set(xlabel="day, before it is trained on", ylabel="logloss, mean over seeds")
    right.set(
        xlabel="day, before it is trained on",
        ylabel="logloss less dense's of the same seed,\nmean and standard deviation over seeds",
    )
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if not made:
            axes.text(0.5, 0.5, NO_DATA, ha="center", transform=axes.transAxes)
    if made:
        figure.legend(loc="outside right center")
    figure.suptitle(table.title)
    figures.save(figure, path)


def _rate(config: dict[str, Any]) -> str:
    rate, final = config["learning_rate"], config["final_learning_rate"]
    return f"{rate:g}" if final is None else f"{rate:g}, along a cosine to {final:g}"


def _claims(rows: Sequence[_Runs], dense: _BySeed) -> list[str]:
    """Returns what the figures say of AMGP's three claims, or nothing where they cannot."""
    by = {(r[0]["config"]["algorithm"], r[0]["config"]["density"]): r for r in rows}
    lines = []
    for (algorithm, keep), runs in by.items():
        pairs = _pairs(runs, dense)
        if algorithm != "amgp" or not pairs:
            continue
        small = {run["config"]["seed"]: run for run in by.get(("prune_once", keep), [])}
        once = _pairs(runs, small)
        flops = _ratio(runs, dense, _flops("realised", "offline"))
        time = _verdict([_step_time(a) / _step_time(b) for a, b in pairs], 1.0)
        auc = _difference(pairs, _test("auc"), higher_is_better=True)
        lines += [
            f"- Keep {keep:g}, {len(pairs)} seed(s):",
            f"    - (a) Training gets cheaper? {flops} of dense's FLOPs; of its time a step "
            f"{time}.",
            f"    - (b) Offline as good as dense? logloss {_difference(pairs, _test('logloss'))}, "
            f"auc {auc}. (Normalised entropy is logloss over a constant.)",
            f"    - (c) On later days better than pruned once? logloss "
            f"{_difference(once, _later)}; beside dense {_difference(pairs, _later)}.",
        ]
    if not lines:
        return []
    return [
        "AMGP's claims, by runs of one seed, theirs less the other's or over it, with the "
        f"{100 * _CONFIDENCE:.0f} % interval of Student's t. Where it holds no difference, that is "
        f"called seed noise; of fewer than {_LEAST} seeds nothing is said.",
        "",
        *lines,
        "",
    ]


def _difference(pairs: _Pairs, value: _Value, higher_is_better: bool = False) -> str:
    if not pairs:
        return "was not run"
    return _verdict([value(a) - value(b) for a, b in pairs], 0.0, higher_is_better)


def _verdict(values: Sequence[float], equal: float, higher_is_better: bool = False) -> str:
    """Returns the mean, its interval, and whether it is better or worse than `equal`."""
    mean, n = float(np.mean(values)), len(values)
    shown = f"{mean:+.4f}" if equal == 0 else f"{mean:.3f}"
    if n < _LEAST:
        return shown
    error = float(np.std(values, ddof=1)) / n**0.5
    wide = float(stats.t.ppf((1 + _CONFIDENCE) / 2, n - 1)) * error
    is_better = (mean > equal) == higher_is_better
    what = "seed noise" if abs(mean - equal) <= wide else "better" if is_better else "worse"
    return f"{shown} ± {wide:.{4 if equal == 0 else 3}f} ({what})"


def _pairs(runs: _Runs, others: _BySeed) -> _Pairs:
    """Returns the runs with those of their seed, where there are."""
    found = [(run, others.get(run["config"]["seed"])) for run in runs if "missing" not in run]
    return [(run, other) for run, other in found if other and "missing" not in other]


def _dense(made: Sequence[dict[str, Any]]) -> _BySeed:
    """Returns the dense runs by seed."""
    return {r["config"]["seed"]: r for r in made if r["config"]["algorithm"] == "dense"}


def _ratio(runs: _Runs, dense: _BySeed, value: _Value) -> str:
    ratios = [value(run) / value(other) for run, other in _pairs(runs, dense) if value(other)]
    return f"{np.mean(ratios):.3f}" if ratios else "-"


def _flops(kind: str, stage: str) -> _Value:
    return lambda run: float(run["training_flops"][kind][stage])


def _step_time(run: dict[str, Any]) -> float:
    return float(run["step_milliseconds"])


def _test(metric: str) -> _Value:
    return lambda run: float(run["test"][metric])


def _by_day(run: dict[str, Any]) -> list[float]:
    return [day["logloss"] for day in run["days"]]


def _later(run: dict[str, Any]) -> float:
    return float(np.mean(_by_day(run)))
