"""The picture of benchmarks/export.py: sizes and latencies over densities."""

import pathlib
from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

_STYLES = {
    "keras": ("tab:gray", "Keras's model.export"),
    "dense": ("black", "dense"),
    "packed": ("tab:blue", "packed"),
    "bfloat16": ("tab:green", "packed, bfloat16"),
    "bitmap": ("tab:orange", "packed, bitmap"),
    "at load": ("tab:purple", "packed, unpacked when loaded"),
}
_MARKERS = ("o", "s", "^")
_TIMED = ("packed", "bitmap", "at load")  # the others are as fast as one of these, or as dense
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def draw(results: dict[str, dict[str, Any]], titles: Mapping[str, str], path: pathlib.Path) -> None:
    """Draws, as shares of the dense export, what there is of the kinds that have a title.

    Args:
        results: by kind, density and export, what was measured.
        titles: by kind.
        path: the picture.
    """
    kinds = [kind for kind in titles if kind in results]
    if not kinds:
        return
    size = (4.6 * len(kinds), 8.4)
    figure, axes = plt.subplots(2, len(kinds), figsize=size, squeeze=False, sharey="row")
    for column, kind in enumerate(kinds):
        densities = sorted(results[kind], key=float)
        _sizes(axes[0][column], [results[kind][density] for density in densities], densities)
        _latencies(axes[1][column], [results[kind][density] for density in densities], densities)
        axes[0][column].set_title(titles[kind])
    axes[0][0].set_ylabel("bytes on disk, of dense")
    axes[1][0].set_ylabel("median latency, of dense")
    for axis in axes.flat:
        axis.axhline(1.0, color="black", linewidth=1)
        axis.set_xscale("log")
        axis.set_yscale("log")
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_locator(FixedLocator(_TICKS))
            scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            scale.set_minor_formatter(NullFormatter())
        axis.set_xlabel("density")
        axis.grid(alpha=0.3)
    sizes = list(results[kinds[0]][next(iter(results[kinds[0]]))]["dense"]["milliseconds"])
    lines = [Line2D([], [], color=color, label=label) for color, label in _STYLES.values()]
    lines += [
        Line2D([], [], color="black", linestyle="", marker=marker, label=f"batch {size}")
        for size, marker in zip(sizes, _MARKERS, strict=False)
    ]
    figure.legend(handles=lines, loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _sizes(axis: Any, measured: list[dict[str, Any]], densities: list[str]) -> None:
    for name, (color, _) in _STYLES.items():
        if name != "dense" and all(name in one for one in measured):
            shares = [one[name]["bytes"] / one["dense"]["bytes"] for one in measured]
            axis.plot([float(d) for d in densities], shares, color=color)


def _latencies(axis: Any, measured: list[dict[str, Any]], densities: list[str]) -> None:
    for name in _TIMED:
        if not all(name in one for one in measured):
            continue
        for size, marker in zip(measured[0]["dense"]["milliseconds"], _MARKERS, strict=False):
            shares = [
                one[name]["milliseconds"][size]["p50"] / one["dense"]["milliseconds"][size]["p50"]
                for one in measured
            ]
            color = _STYLES[name][0]
            axis.plot([float(d) for d in densities], shares, marker=marker, color=color)
