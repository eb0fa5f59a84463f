"""What the training-step hook costs: a sparse step over a dense one, at MultVAE's shapes.

    python -m benchmarks.hook_overhead

Times one whole training step (forward, backward, Adam, masks; batch 16, 3668 items, density 0.1,
masks updated every 100 steps) with and without XLA. Dense and sparse steps alternate by tens, so
that both meet the same disturbances; a block is 100 steps of each and holds exactly one mask
update; the figure is the median over the blocks of sparse time / dense time.
"""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfdsl
from pipelines import environment
from tfdsl.models import MultinomialLikelihood, MultVAE

_ITEMS, _BATCH, _INTERVAL, _TURN = 3668, 16, 100, 10
_BLOCKS = flags.DEFINE_integer("blocks", 15, "Timed blocks of 100 steps of each kind.")


def _step(optimizer: keras.optimizers.Optimizer, xla: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    model = MultVAE(_ITEMS)
    model.build((_BATCH, _ITEMS))
    model.compile(optimizer, loss=MultinomialLikelihood())
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=xla)
    def step(rows: tf.Tensor) -> tf.Tensor:
        return model.train_step((rows, rows))["loss"]

    return step


def _dsl() -> keras.optimizers.Optimizer:
    algorithm = tfdsl.DSL(0.1, update_interval=_INTERVAL, total_steps=63_000)
    return tfdsl.SparseOptimizer("adam", algorithm)


def _seconds(step: Callable[[tf.Tensor], tf.Tensor], rows: tf.Tensor) -> float:
    started = time.perf_counter()
    for _ in range(_TURN):
        loss = step(rows)
    loss.numpy()
    return time.perf_counter() - started


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    environment.prepare()
    keras.utils.set_random_seed(0)
    items = np.random.default_rng(0).random((_BATCH, _ITEMS)) < 0.045
    rows = tf.constant(items, tf.float32)
    made = environment.describe()
    print(f"{', '.join(made['gpus']) or made['processor']}, {made['cores']} cores")
    for xla in (True, False):
        steps = {"dense": _step(keras.optimizers.Adam(), xla), "sparse": _step(_dsl(), xla)}
        turns = _INTERVAL // _TURN
        for step in steps.values():
            for _ in range(turns):
                _seconds(step, rows)  # compiles, and takes the first update with it
        times = {name: np.zeros([_BLOCKS.value, turns]) for name in steps}
        for place in np.ndindex(_BLOCKS.value, turns):
            for name, step in steps.items():
                times[name][place] = _seconds(step, rows)
        block = {name: seconds.sum(1) for name, seconds in times.items()}
        ratios = block["sparse"] / block["dense"]
        low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
        print(
            f"{'XLA' if xla else 'without XLA'}: dense {10 * np.median(block['dense']):.2f} ms, "
            f"sparse {10 * np.median(block['sparse']):.2f} ms a step; sparse / dense "
            f"{middle:.3f} (10 % to 90 % of blocks: {low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    app.run(main)
