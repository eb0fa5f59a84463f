"""What packed exports save and cost, beside dense ones and Keras's own, over densities.

    python -m benchmarks.export --data_dir=DATA --out=FOLDER

For a look-up table at Gowalla's size, MultVAE at CiteULike's and DLRM at Criteo Kaggle's (its
tables capped), with random masks: bytes on disk, resident memory that loading and a first request
add, each in a process of its own, and the latency of requests of 1, 32 and 1024 rows, where the
exports of one density take turns in one process. All of them have TensorFlow alone. With Gowalla's
data also retrieval by a LightGCN on its graph, with the items that users have seen left out.

What was measured is kept from kind to kind, so that they can be measured one by one; with --kinds=
nothing is, and the picture is drawn again.

Exports: "keras" (model.export), "dense", "packed", "bfloat16" (packed, with short values), of a
MultVAE "bitmap" (packed with one bit an entry) and "at load" (packed, and unpacked when it is
loaded), and for retrieval "streaming" (packed, block by block).
"""

import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from absl import flags

import tfdsl
from benchmarks import export_picture
from data import catalog, criteo_figures
from data.errors import DataError
from pipelines import command_line, environment, lightgcn_splits
from tfdsl import checks

_DENSITIES = flags.DEFINE_list(
    "densities", ["0.5", "0.3", "0.2", "0.1", "0.05", "0.02", "0.01"], "Of the masks."
)
_KINDS = flags.DEFINE_list("kinds", ["table", "multvae", "dlrm", "retrieval"], "What to export.")
_CALLS = flags.DEFINE_list("calls", ["1:200", "32:200", "1024:40"], "Batch size:calls a turn.")
_TURNS = flags.DEFINE_integer("turns", 5, "Turns of each export.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 1.5, "Of a turn, at most.", lower_bound=0)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the data sets' folders.")
_OUT = flags.DEFINE_string("out", None, "Folder for the figures, their table and the picture.")
_ROWS, _WIDTH, _CAP = 1024, 64, 100_000

Export = Callable[[str], Any]


def _masked(model: keras.Model, density: float) -> keras.Model:
    """Gives every weight with a mask exactly its share of active entries, at random."""
    draw = np.random.default_rng(0)
    for weight in model.trainable_weights:
        mask = tfdsl.layers.mask_of(weight)
        if mask is not None:
            size = int(np.prod(weight.shape))
            flat = np.zeros(size, bool)
            flat[draw.choice(size, max(1, round(density * size)), replace=False)] = True
            mask.assign(flat.reshape(weight.shape))
            weight.assign(np.where(mask, draw.normal(size=weight.shape), 0).astype("f4"))
    return model


def _table(draw: np.random.Generator) -> tuple[keras.Model, dict[str, np.ndarray]]:
    counts = catalog.get("gowalla").counts
    rows = counts["users"] + counts["items"]
    layer = tfdsl.layers.SparseEmbedding(rows, _WIDTH)
    model = keras.Sequential([keras.Input((), dtype="int64", name="ids"), layer])
    return model, {"ids": draw.integers(0, rows, _ROWS)}


def _multvae(draw: np.random.Generator) -> tuple[keras.Model, dict[str, np.ndarray]]:
    n_items = catalog.get("citeulike-t").counts["items"]
    model = tfdsl.models.MultVAE(n_items)
    model.build((None, n_items))
    model(np.zeros((1, n_items), "f4"))  # Keras's own export wants to have seen a call
    return model, {"items": (draw.random((_ROWS, n_items)) < 0.002).astype("f4")}


def _dlrm(draw: np.random.Generator) -> tuple[keras.Model, dict[str, np.ndarray]]:
    rows = criteo_figures.TABLE_ROWS
    model = tfdsl.models.DLRM(rows, max_rows=_CAP, sparse_tables=True)
    inputs = {
        "dense": draw.normal(size=(_ROWS, 13)).astype("f4"),
        "categorical": draw.integers(0, 2**40, (_ROWS, len(rows))),
    }
    model((inputs["dense"][:1], inputs["categorical"][:1]))
    return model, inputs


def _titles() -> dict[str, str]:
    gowalla, citeulike = (catalog.get(name).counts for name in ("gowalla", "citeulike-t"))
    return {
        "table": f"look-up table, {gowalla['users'] + gowalla['items']:,} x {_WIDTH}",
        "multvae": f"MultVAE, {citeulike['items']:,} items",
        "dlrm": f"DLRM, tables of at most {_CAP:,} rows",
    }


_MODELS = {"table": _table, "multvae": _multvae, "dlrm": _dlrm}


def _exports(kind: str, model: keras.Model) -> dict[str, Export]:
    save = functools.partial(tfdsl.export.saved_model, model)
    # Keras knows the inputs of a subclassed model only if they are one array of floats.
    known = {"input_signature": [model.input_signature]} if kind == "dlrm" else {}
    exports: dict[str, Export] = {
        "keras": lambda path: model.export(path, verbose=False, **known),
        "dense": functools.partial(save, storage="dense"),
        "packed": save,
        "bfloat16": functools.partial(save, values="bfloat16"),
    }
    if kind == "multvae":
        exports["bitmap"] = functools.partial(save, kernels="bitmap")
        exports["at load"] = functools.partial(save, unpack="load")
    return exports


def _retrievals(density: float) -> tuple[dict[str, Export], dict[str, np.ndarray]]:
    graph = lightgcn_splits.load("gowalla", _DATA_DIR.value, validation_share=0.0).train
    model = _masked(tfdsl.models.LightGCN(graph), density)
    save = functools.partial(tfdsl.export.retrieval, model, graph)
    exports: dict[str, Export] = {
        "dense": save,
        "packed": functools.partial(save, storage="packed"),
        "bfloat16": functools.partial(save, storage="packed", values="bfloat16"),
        "streaming": functools.partial(save, storage="packed", index="streaming"),
    }
    return exports, {"users": np.random.default_rng(0).integers(0, graph.shape[0], _ROWS)}


def _bytes(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _work(root: pathlib.Path, **task: Any) -> Any:
    """Returns what a process with TensorFlow alone has measured."""
    (root / "task.json").write_text(json.dumps(task))
    script = pathlib.Path(__file__).with_name("export_worker.py")
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(script), str(root / "task.json")]
    process = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=root, env=environ
    )
    if process.returncode:
        raise RuntimeError(process.stderr[-2000:])
    return json.loads(process.stdout)


def _measure(
    exports: dict[str, Export], inputs: dict[str, np.ndarray], signature: str
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        np.savez(root / "inputs.npz", **inputs)
        for kind, export in exports.items():
            export(str(root / kind))
        task = {"inputs": str(root / "inputs.npz"), "signature": signature}
        memory = {
            kind: _work(root, what="memory", folder=str(root / kind), **task) for kind in exports
        }
        latency = _work(
            root,
            what="latency",
            folders={kind: str(root / kind) for kind in exports},
            batches={size: int(n) for size, n in (pair.split(":") for pair in _CALLS.value)},
            turns=_TURNS.value,
            seconds=_SECONDS.value,
            **task,
        )
        return {
            kind: {
                "bytes": _bytes(root / kind),
                "memory": memory[kind],
                "milliseconds": {
                    size: {
                        "p50": float(np.percentile(calls, 50)),
                        "p99": float(np.percentile(calls, 99)),
                    }
                    for size, calls in latency[kind].items()
                },
            }
            for kind in exports
        }


def _say(kind: str, density: str, measured: dict[str, Any]) -> None:
    dense = measured["dense"]
    for name, one in measured.items():
        times = ", ".join(
            f"{size}: {ms['p50']:.2f} / {ms['p99']:.2f} ms"
            f" ({ms['p50'] / dense['milliseconds'][size]['p50']:.2f})"
            for size, ms in one["milliseconds"].items()
        )
        print(
            f"{kind} {density} {name}: {one['bytes'] / 1e6:.2f} MB "
            f"({one['bytes'] / dense['bytes']:.3f}), "
            f"{one['memory']['variables'] / 1e6:.2f} MB of variables, "
            f"{one['memory']['used'] / 1e6:.1f} MB resident, {times}",
            flush=True,
        )


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    for kind in _KINDS.value:
        checks.choice("kinds", kind, [*_MODELS, "retrieval"])
    made = environment.describe()
    print(f"{', '.join(made['gpus']) or made['processor']}, {made['cores']} cores", flush=True)
    file = pathlib.Path(_OUT.value) / "figures.json" if _OUT.value else None
    # Kinds that are not measured now stay as they were.
    results: dict[str, Any] = json.loads(file.read_text()) if file and file.is_file() else {}
    for kind in _KINDS.value:
        results[kind] = {"environment": made, "densities": {}}
        densities = ["0.1"] if kind == "retrieval" else _DENSITIES.value
        for density in densities:
            if kind == "retrieval":
                try:
                    exports, inputs = _retrievals(float(density))
                except DataError as error:
                    print(f"retrieval: {error}", flush=True)
                    continue
                measured = _measure(exports, inputs, "unseen")
            else:
                model, inputs = _MODELS[kind](np.random.default_rng(0))
                exports = _exports(kind, _masked(model, float(density)))
                measured = _measure(exports, inputs, "serving_default")
            results[kind]["densities"][density] = measured
            _say(kind, density, measured)
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(results, indent=1) + "\n")
    if file:
        shown = {kind: one["densities"] for kind, one in results.items()}
        export_picture.draw(shown, _titles(), file.with_name("picture.png"))


if __name__ == "__main__":
    command_line.run(main, "python -m benchmarks.export --help")
