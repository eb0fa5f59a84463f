"""The picture of benchmarks/export.py: sizes and latencies over densities."""

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter, ScalarFormatter

_TITLES = {
    "table": "look-up table, 70,839 x 64",
    "multvae": "MultVAE, 16,980 items",
    "dlrm": "DLRM, Criteo Kaggle, tables capped",
}
_STYLES = {
    "keras": ("tab:gray", ":", "Keras's model.export"),
    "packed": ("tab:blue", "-", "packed"),
    "bfloat16": ("tab:green", "-", "packed, bfloat16"),
    "bitmap": ("tab:orange", "-", "packed, bitmap"),
    "at load": ("tab:purple", "-", "packed, unpacked when loaded"),
}


def draw(results: dict[str, dict[str, Any]], path: pathlib.Path) -> None:
    """Draws what there is of tables and models, as shares of the dense export."""
    kinds = [kind for kind in _TITLES if kind in results]
    if not kinds:
        return
    figure, axes = plt.subplots(2, len(kinds), figsize=(5 * len(kinds), 8), squeeze=False)
    for column, kind in enumerate(kinds):
        _sizes(axes[0][column], results[kind])
        _latencies(axes[1][column], results[kind])
        axes[0][column].set_title(_TITLES[kind])
    axes[0][0].set_ylabel("bytes on disk, of dense")
    axes[1][0].set_ylabel("median latency, of dense")
    for axis in axes.flat:
        axis.axhline(1.0, color="black", linewidth=1)
        axis.set_xscale("log")
        axis.set_yscale("log")
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_formatter(ScalarFormatter())
            scale.set_minor_formatter(NullFormatter())
        axis.set_xlabel("density")
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _sizes(axis: Any, measured: dict[str, Any]) -> None:
    densities = sorted(measured, key=float)
    for name, (color, line, label) in _STYLES.items():
        if all(name in measured[density] for density in densities):
            shares = [measured[d][name]["bytes"] / measured[d]["dense"]["bytes"] for d in densities]
            axis.plot([float(d) for d in densities], shares, line, color=color, label=label)


def _latencies(axis: Any, measured: dict[str, Any]) -> None:
    densities = sorted(measured, key=float)
    sizes = list(measured[densities[0]]["dense"]["milliseconds"])
    for name in ("packed", "bitmap", "at load"):
        if not all(name in measured[density] for density in densities):
            continue
        for size, marker in zip(sizes, "os^", strict=False):
            shares = [
                measured[d][name]["milliseconds"][size]["p50"]
                / measured[d]["dense"]["milliseconds"][size]["p50"]
                for d in densities
            ]
            color, line, label = _STYLES[name]
            axis.plot(
                [float(d) for d in densities],
                shares,
                line + marker,
                color=color,
                alpha={"o": 1.0, "s": 0.7, "^": 0.45}[marker],
                label=f"{label}, batch {size}",
            )
