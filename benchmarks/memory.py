"""Memory of training: sparse beside dense, at its peak, and over 10,000 steps.

    python -m benchmarks.memory --out=FILE

Every figure is of a process of its own. A peak is of --steps steps at the sizes of the papers'
data (MultVAE at CiteULike's, LightGCN at Gowalla's, on a random graph of that many interactions,
DLRM at Criteo Kaggle's, tables capped), less "fixed", the peak of a small model of the same kind
trained in the same way, which is what TensorFlow and the compiled step take at any size. Growth is
of the small models, from the first tenth of --long steps to the last. Dense is the same model with
an optimizer that is not sparse; its masks, a byte a weight, are there and all true. On a CPU memory
is the process's resident memory, on a GPU what TensorFlow has allocated there.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from scipy import sparse

import tfdsl
from benchmarks import own_process
from data import catalog, criteo_figures
from pipelines import command_line, environment, files
from pipelines.costs.memory import used
from tfdsl import checks
from tfdsl.models import DLRM, BPRLoss, LightGCN, MultinomialLikelihood, MultVAE

_DENSITY, _INTERVAL = 0.1, 10
_STEPS = flags.DEFINE_integer("steps", 40, "Steps up to a peak.", lower_bound=1)
_LONG = flags.DEFINE_integer("long", 10_000, "Steps that are looked at for growth.")
_KINDS = flags.DEFINE_list("kinds", None, "Which models (default: all).")
_OUT = flags.DEFINE_string("out", None, "JSON file for the figures.")
_WORKER = flags.DEFINE_string("worker", None, "Of this program's own processes: what it measures.")

Batch = tuple[Any, Any]
_RNG = np.random.default_rng(0)


def _multvae(small: bool) -> tuple[keras.Model, Any, Batch]:
    n_items = 200 if small else catalog.get("citeulike-t").counts["items"]
    widths = {"hidden": 32, "latent": 8} if small else {}
    rows = (_RNG.random((16, n_items)) < 0.02).astype("f4")
    return MultVAE(n_items, **widths), MultinomialLikelihood(), (rows, rows)


def _lightgcn(small: bool) -> tuple[keras.Model, Any, Batch]:
    counts = catalog.get("gowalla").counts
    shape, n = (counts["users"], counts["items"]), counts["train_interactions"]
    if small:
        shape, n = (100, 200), 2_000
    pairs = _RNG.integers(0, shape, (n, 2))
    ones = np.ones(n, np.float32)
    graph = sparse.csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=shape)
    users, items = (_RNG.integers(0, shape[0], 1024), _RNG.integers(0, shape[1], (1024, 2)))
    labels = np.tile(np.float32([1, 0]), (1024, 1))
    return LightGCN(graph), BPRLoss(), ((users, items), labels)


def _dlrm(small: bool) -> tuple[keras.Model, Any, Batch]:
    rows = criteo_figures.TABLE_ROWS
    sizes: dict[str, Any] = {"max_rows": 100_000}
    if small:
        sizes = {"max_rows": 100, "bottom": (32,), "top": (32,), "width": 8}
    dense = _RNG.normal(size=(128, 13)).astype("f4")
    ids = _RNG.integers(0, 2**31 - 1, (128, len(rows)))
    clicked = (_RNG.random((128, 1)) < 0.25).astype("f4")
    model = DLRM(rows, sparse_tables=True, **sizes)
    return model, keras.losses.BinaryCrossentropy(from_logits=True), ((dense, ids), clicked)


_MODELS: dict[str, Callable[[bool], tuple[keras.Model, Any, Batch]]] = {
    "multvae": _multvae,
    "lightgcn": _lightgcn,
    "dlrm": _dlrm,
}


def _amgp(total_steps: int) -> tfdsl.algorithms.NeuronPruning:
    return tfdsl.AlternateGrowthPruning(0.5, total_steps=total_steps)


def _dsl(total_steps: int, **kwargs: Any) -> tfdsl.DSL:
    return tfdsl.DSL(_DENSITY, update_interval=_INTERVAL, total_steps=total_steps, **kwargs)


_ALGORITHMS: dict[str, Callable[[int], Any]] = {
    "dense": lambda total_steps: None,
    "dsl": _dsl,
    "dsl, gradients accumulated": lambda total_steps: _dsl(
        total_steps, grow="accumulated_gradient"
    ),
    "amgp": _amgp,
}


def _work(kind: str, algorithm: str, what: str) -> dict[str, float]:
    environment.prepare()
    n_steps = _LONG.value if what == "growth" else _STEPS.value
    keras.utils.set_random_seed(0)
    model, loss, batch = _MODELS[kind](what != "peak")
    made = _ALGORITHMS[algorithm](n_steps)
    inner = keras.optimizers.Adam()
    optimizer = inner if made is None else tfdsl.SparseOptimizer(inner, made)
    model.compile(optimizer, loss=loss, jit_compile=True)
    data = tf.data.Dataset.from_tensors(batch).repeat(n_steps)
    at: dict[str, float] = {}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (batch + 1) % (n_steps // 10) == 0:
                at[str(batch + 1)] = used(peak=False)

    model.fit(data, epochs=1, verbose=0, callbacks=[Watch()] if what == "growth" else [])
    return at if what == "growth" else {"peak": used(peak=True)}


def _measure(kind: str, algorithm: str, what: str) -> dict[str, float]:
    """Returns what a process of its own has measured."""
    words = [f"--worker={kind}/{algorithm}/{what}"]
    words += [f"--steps={_STEPS.value}", f"--long={_LONG.value}"]
    return own_process.ask("benchmarks.memory", words)


def _report(kind: str, algorithm: str, dense: float | None) -> dict[str, Any]:
    """Measures one way of training and prints it beside the `dense` peak, if not that itself."""
    fixed = _measure(kind, algorithm, "fixed")["peak"]
    peak = _measure(kind, algorithm, "peak")["peak"] - fixed
    sizes = _measure(kind, algorithm, "growth")
    first, *_, last = sizes.values()
    print(
        f"{kind}, {algorithm}: {peak / 1e6:.0f} MB at the peak, {peak / (dense or peak):.2f} of "
        f"dense, and {fixed / 1e6:.0f} MB at any size; {(last - first) / 1e6:+.2f} MB from step "
        f"{next(iter(sizes))} to {_LONG.value}",
        flush=True,
    )
    return {"peak": peak, "fixed": fixed, "growth": sizes}


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    if _WORKER.value:
        print(json.dumps(_work(*_WORKER.value.split("/"))))
        return
    kinds = checks.choices("kinds", _KINDS.value or list(_MODELS), _MODELS)
    made = environment.describe()
    print(f"{', '.join(made['gpus']) or made['processor']}, {made['cores']} cores", flush=True)
    results: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        results[kind] = {}
        for name in _ALGORITHMS:
            if name != "amgp" or kind == "dlrm":
                dense = results[kind].get("dense", {}).get("peak")
                results[kind][name] = _report(kind, name, dense)
    if _OUT.value:
        content = {"results": results, "environment": made, "density": _DENSITY}
        files.write_json(pathlib.Path(_OUT.value), content)


if __name__ == "__main__":
    command_line.run(main, "python -m benchmarks.memory --help")
