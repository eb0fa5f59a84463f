"""How many coordinates a user and an item have in common, with random and spectral first masks.

    python -m benchmarks.coordinate_overlap --data_dir=DIR --out=results/coordinate-overlap

Of LightGCN's tables, 64 wide, as many active entries in every row: pairs of the test part, which no
mask knows of, and as many pairs drawn at random. With it the seconds that the factors take.
"""

import pathlib
import time
from typing import Any

import matplotlib
import numpy as np
import tensorflow as tf
from absl import flags

import tfdsl
from pipelines import command_line, environment, files, lightgcn_splits

matplotlib.use("Agg")

from matplotlib import pyplot as plt

_WIDTH = 64
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the data sets.")
_DATA = flags.DEFINE_list("data", ["gowalla", "yelp2018"], "Which of LightGCN's data sets.")
_DENSITY = flags.DEFINE_float("density", 0.2, "Share of active entries.")
_PAIRS = flags.DEFINE_integer("pairs", 100_000, "Pairs of each kind.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "Folder for the figures and the picture.")


def _mask(interactions: Any, init: Any) -> np.ndarray:
    shape = (sum(interactions.shape), _WIDTH)
    algorithm = tfdsl.StaticSparse(_DENSITY.value, granularity="row")
    prior = None if init is None else tf.constant(init.scores("nodes/embeddings", shape))
    (mask,) = algorithm.initial_masks([tf.zeros(shape)], priors=[prior])
    found: np.ndarray = mask.numpy()
    return found


def _shares(mask: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Returns the share of pairs that have 0, 1, 2 ... coordinates in common."""
    common = np.count_nonzero(mask[users] & mask[items], axis=1)
    return np.bincount(common, minlength=mask.sum(axis=1).max() + 1) / len(users)


def _measure(name: str) -> dict[str, Any]:
    split = lightgcn_splits.load(name, _DATA_DIR.value)
    train, draw = split.train, np.random.default_rng(0)
    n_users, n_items = train.shape
    rows, columns = split.test.nonzero()
    chosen = draw.permutation(len(rows))[: _PAIRS.value]
    drawn = draw.integers(0, n_users, len(chosen)), draw.integers(0, n_items, len(chosen))
    pairs = {"test": (rows[chosen], columns[chosen]), "drawn": drawn}
    start = time.perf_counter()
    spectral = tfdsl.Spectral(train)
    spectral.factors(_WIDTH)
    found: dict[str, Any] = {"seconds": time.perf_counter() - start, "pairs": len(chosen)}
    for kind, init in (("random", None), ("spectral", spectral)):
        mask = _mask(train, init)
        for of, (users, items) in pairs.items():
            shares = _shares(mask, users, items + n_users)
            mean = float(shares @ np.arange(len(shares)))
            found[f"{kind}, {of}"] = {"mean": mean, "shares": shares.tolist()}
            print(f"{name}, {kind} masks, {of} pairs: {mean:.2f} coordinates in common", flush=True)
    print(f"{name}: factors in {found['seconds']:.1f} s", flush=True)
    return found


def _draw(results: dict[str, dict[str, Any]], path: pathlib.Path) -> None:
    figure, axes = plt.subplots(1, len(results), figsize=(4.8 * len(results), 3.6), squeeze=False)
    styles = {
        "random, test": ("tab:gray", "--", "random masks, test pairs"),
        "random, drawn": ("tab:gray", ":", "random masks, any pairs"),
        "spectral, test": ("tab:blue", "-", "spectral masks, test pairs"),
        "spectral, drawn": ("tab:blue", ":", "spectral masks, any pairs"),
    }
    for axis, (name, found) in zip(axes[0], results.items(), strict=True):
        for kind, (color, line, label) in styles.items():
            shares = found[kind]["shares"]
            axis.plot(range(len(shares)), shares, color=color, linestyle=line, label=label)
        axis.set_title(f"{name}, density {_DENSITY.value:g} of {_WIDTH}")
        axis.set_xlabel("coordinates that user and item have in common")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("share of pairs")
    lines, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="lower center", ncols=4, fontsize=8)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=110)


def main(argv: list[str]) -> None:
    """Measures, prints and draws."""
    del argv
    environment.prepare()
    results = {name: _measure(name) for name in _DATA.value}
    if _OUT.value:
        folder = pathlib.Path(_OUT.value)
        made = environment.describe()
        content = {"results": results, "environment": made, "density": _DENSITY.value}
        files.write_json(folder / "figures.json", content)
        _draw(results, folder / "picture.png")


if __name__ == "__main__":
    command_line.run(main, "python -m benchmarks.coordinate_overlap --help")
