"""One whole LightGCN training step (draw, propagate, BPR, Adam), ours against PyTorch's.

    python -m benchmarks.lightgcn_step --data_dir=DIR

Real graph, 64 wide, 3 layers. Every kind has a process of its own; they take turns of a few steps
each, so that all meet the same disturbances. A figure is the median over the turns, a ratio the
median of the ratios of turns side by side. "tfdsl-fit" is a call of `model.fit`, its start and end
included, over 20 epochs of a turn's steps each; the others are compiled steps one by one.
`--torch_python` names a Python that has PyTorch; kinds that need it are left out where it has not.
"""

import contextlib
import json
import math
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from scipy import sparse

import tfdsl
from pipelines import command_line, environment, lightgcn_splits
from pipelines.sampling import TripleSampler
from tfdsl import checks
from tfdsl.models import BPRLoss, LightGCN

KINDS = ("tfdsl", "tfdsl-bfloat16", "tfdsl-dsl", "tfdsl-fit", "torch-coo", "torch-csr")
_FIT_EPOCHS = 20
_WARM_UP = 3  # turns that do not count
_PEER = pathlib.Path(__file__).parent / "peers" / "torch_lightgcn.py"
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the data sets.")
_DATA = flags.DEFINE_enum("data", "yelp2018", ["gowalla", "yelp2018", "amazon-book"], "Its graph.")
_BATCH = flags.DEFINE_integer("batch_size", 1024, "Triples a step.", lower_bound=1)
_TURNS = flags.DEFINE_integer("turns", 10, "Turns of each kind.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 5, "Steps a turn.", lower_bound=1)
_KINDS = flags.DEFINE_list("kinds", list(KINDS), f"Which to measure of {', '.join(KINDS)}.")
_TORCH = flags.DEFINE_string("torch_python", sys.executable, "A Python that has PyTorch.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the figures.")
_WORKER = flags.DEFINE_string("worker", None, "Of this program's own processes: its kind.")
_GRAPH = flags.DEFINE_string("graph", None, "Of this program's own processes: the graph.")


def _work(kind: str) -> None:
    """Answers every line on stdin with the milliseconds of a step, as the peer does."""
    environment.prepare()
    with np.load(_GRAPH.value) as content:
        indptr, columns, n_items = (content[name] for name in ("indptr", "columns", "n_items"))
    shape = (len(indptr) - 1, int(n_items))
    graph = sparse.csr_array((np.ones(len(columns), np.float32), columns, indptr), shape=shape)
    model = LightGCN(graph, gather="bfloat16" if kind == "tfdsl-bfloat16" else "float32")
    optimizer = keras.optimizers.Adam(1e-2)
    if kind == "tfdsl-dsl":
        algorithm = tfdsl.DSL(0.2, update_interval=100, total_steps=20_000)
        optimizer = tfdsl.SparseOptimizer(optimizer, algorithm)
    model.compile(optimizer, loss=BPRLoss(), jit_compile=True)
    optimizer.build(model.trainable_variables)
    model.sampler = TripleSampler(graph, _BATCH.value, seed=0)
    number = tf.Variable(0, dtype=tf.int64)

    @tf.function(jit_compile=True)
    def one(step: tf.Tensor) -> tf.Tensor:
        return model.train_step(step)["loss"]

    @tf.function
    def turn() -> tf.Tensor:
        # The loop is TensorFlow's, not Python's, and nothing of it waits for the GPU.
        loss = tf.constant(0.0)
        for _ in tf.range(_STEPS.value):
            loss = one(number)
            number.assign_add(1)
        return loss

    def fit() -> float:
        at_once = math.gcd(_STEPS.value, 100)
        numbers = tf.data.Dataset.range(_STEPS.value * _FIT_EPOCHS).batch(at_once)
        epochs = {"epochs": _FIT_EPOCHS, "steps_per_epoch": _STEPS.value // at_once}
        return model.fit(numbers, verbose=0, **epochs).history["loss"][-1]

    take, steps = turn, _STEPS.value
    if kind == "tfdsl-fit":
        take, steps = fit, _STEPS.value * _FIT_EPOCHS
    for _ in sys.stdin:
        started = time.perf_counter()
        float(take())
        print(1e3 * (time.perf_counter() - started) / steps, flush=True)


def _command(kind: str, graph: str) -> list[str]:
    if kind.startswith("torch-"):
        form = kind.removeprefix("torch-")
        words = [str(_PEER), form, graph, str(_BATCH.value), str(_STEPS.value)]
        return [*shlex.split(_TORCH.value), *words]
    words = [f"--worker={kind}", f"--graph={graph}", f"--batch_size={_BATCH.value}"]
    return [sys.executable, "-m", "benchmarks.lightgcn_step", *words, f"--steps={_STEPS.value}"]


def _ask(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):  # its answer will be missing
        print("go", file=process.stdin, flush=True)


def _answer(kind: str, process: subprocess.Popen[str]) -> float:
    assert process.stdout
    try:
        return float(process.stdout.readline())
    except ValueError:
        process.kill()
        words = shlex.join(process.args)
        raise ValueError(f"{kind} stopped with status {process.wait()}; it was: {words}") from None


def _turn(kind: str, process: subprocess.Popen[str]) -> float:
    _ask(process)
    return _answer(kind, process)


def _has_torch() -> bool:
    command = [*shlex.split(_TORCH.value), "-c", "import torch"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:  # no such program
        return False


def _measure(graph: str) -> dict[str, np.ndarray]:
    """Returns milliseconds a step by kind, one a turn."""
    kinds = [k for k in _KINDS.value if not k.startswith("torch-") or _has_torch()]
    if not kinds:
        raise ValueError(f"{_TORCH.value} has no PyTorch, so there is nothing to measure.")
    running = {}
    try:
        for kind in kinds:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            quiet = {"stderr": subprocess.DEVNULL}
            running[kind] = subprocess.Popen(_command(kind, graph), text=True, **pipes, **quiet)
        for process in running.values():
            _ask(process)  # all compile at once
        for kind, process in running.items():
            _answer(kind, process)
        turns = [
            {kind: _turn(kind, p) for kind, p in running.items()}
            for _ in range(_WARM_UP + _TURNS.value)
        ]
    finally:
        for process in running.values():
            process.kill()
    return {kind: np.array([turn[kind] for turn in turns[_WARM_UP:]]) for kind in kinds}


def main(argv: list[str]) -> None:
    """Measures and prints."""
    if argv:
        raise app.UsageError(f"Unexpected argument: {argv[0]!r}.")
    if _WORKER.value:
        _work(_WORKER.value)
        return
    for kind in _KINDS.value or ["none"]:
        checks.choice("kinds", kind, KINDS)
    made = environment.describe()
    print(f"{', '.join(made['gpus']) or made['processor']}, {made['cores']} cores", flush=True)
    train = lightgcn_splits.load(_DATA.value, _DATA_DIR.value, validation_share=0.0).train
    with tempfile.TemporaryDirectory() as folder:
        graph = f"{folder}/graph.npz"
        np.savez(graph, indptr=train.indptr, columns=train.indices, n_items=train.shape[1])
        times = _measure(graph)
    for kind, ours in times.items():
        peers = ("tfdsl",) if kind == "tfdsl-fit" else ("torch-coo", "torch-csr")
        ratios = [
            f"{np.median(ours / times[peer]):.3f} of {peer}"
            for peer in peers
            if peer in times and peer != kind
        ]
        print(f"{kind}: {', '.join([f'{np.median(ours):.3f} ms a step', *ratios])}", flush=True)
    if _OUT.value:
        content = {
            "data": _DATA.value,
            "batch_size": _BATCH.value,
            "milliseconds": {kind: list(values) for kind, values in times.items()},
            "environment": made,
        }
        pathlib.Path(_OUT.value).write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    command_line.run(main, "python -m benchmarks.lightgcn_step --help")
