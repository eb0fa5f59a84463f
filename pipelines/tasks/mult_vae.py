"""MultVAE on held-out users: its data, its model, and how it is judged."""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from data import synthetic
from pipelines import citeulike, fold_in, mask_watch, movielens
from pipelines.batches import UserRows, steps_per_epoch, user_batches
from pipelines.config import RunConfig
from pipelines.costs.flops import Work
from pipelines.epochs import EpochTask
from pipelines.fold_in import BY_SEED, FoldInSplit, HeldOutUsers
from pipelines.mask_watch import Places
from tfdsl import checks, evaluation
from tfdsl.models import MultinomialLikelihood, MultVAE


def _load_synthetic(data_dir: str | None, seed: int) -> FoldInSplit:
    users, items = synthetic.interactions()
    return fold_in.split(users, items, n_validation=200, n_test=300, seed=seed)


MOST_AT_ONCE = 500  # steps between two looks at the clock, the keyboard and the callbacks

# By the folder with the data sets and the seed of who is held out.
DATA: dict[str, Callable[[str | None, int], FoldInSplit]] = {
    "synthetic": _load_synthetic,
    "ml-1m": movielens.load_fold_in,
    "citeulike-t": citeulike.load_fold_in,
}


class MultVAETask(EpochTask):
    """One run's data and model; see `pipelines.tasks.Task`.

    Args:
        config: the run.
        data_dir: folder with the data sets, or None for the cache.

    Raises:
        ValueError: no such data set, or fewer training users than a batch holds.
        DataError: the data cannot be had or is damaged.
    """

    select = "ndcg@20"

    def __init__(self, config: RunConfig, data_dir: str | None) -> None:
        self.config = config
        checks.choice("data", config.data, (*DATA, *(name + BY_SEED for name in DATA)))
        by_seed = config.data.endswith(BY_SEED)
        seed = config.seed if by_seed else fold_in.SEED
        self.split = _load(config.data.removesuffix(BY_SEED), data_dir, seed)
        self.rows = UserRows(self.split.train, config.batch_size)
        n_users = self.split.train.shape[0]
        steps = self.steps_per_epoch = steps_per_epoch(n_users, config.batch_size)
        # An epoch has executions of as many steps each: XLA compiles one.
        self.steps_at_once = max(n for n in range(1, MOST_AT_ONCE + 1) if steps % n == 0)
        self.elements_per_epoch = steps // self.steps_at_once

    def build_model(self) -> keras.Model:
        """Returns the compiled model, built, with its initial masks."""
        config = self.config
        keras.utils.set_random_seed(config.seed)
        model = MultVAE(
            self.split.n_items,
            **self._widths(),
            anneal_steps=config.settings["anneal_steps"],
            sparse_bias="masked_bias" in config.quirks,
            seed=config.seed,
        )
        model.build((config.batch_size, self.split.n_items))
        model.sampler = self.rows
        optimizer = config.optimizer(self.steps_per_epoch * config.epochs, self.split.train)
        model.compile(optimizer, loss=MultinomialLikelihood(), jit_compile=True)
        optimizer.build(model.trainable_variables)
        return model

    def _widths(self) -> dict[str, int]:
        if self.config.algorithm != "narrow":
            return {}
        # The kernels of an n-h-2l-h-n model have 2nh + 3hl entries. With h = 600 s and l = 200 s
        # that is a quadratic in s, which is to be density times its value at 1.
        a, b = 3 * 600 * 200, 2 * self.split.n_items * 600
        s = (math.sqrt(b**2 + 4 * a * self.config.density * (a + b)) - b) / (2 * a)
        return {"hidden": max(round(600 * s), 1), "latent": max(round(200 * s), 1)}

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Returns the users of training batches from an epoch (from 0) to the end of the run.

        Those of `steps_at_once` batches an element, int32 [steps, batch]; `rows` makes rows of a
        batch's.
        """
        return self._users(first_epoch).batch(self.steps_at_once, drop_remainder=True).prefetch(2)

    def row_batches(self) -> tf.data.Dataset:
        """Returns the same batches as rows, one an element, for what has no sampler."""
        return self._users(0).map(self.rows, num_parallel_calls=2).prefetch(8)

    def _users(self, first_epoch: int) -> tf.data.Dataset:
        config, n_users = self.config, self.split.train.shape[0]
        return user_batches(n_users, config.batch_size, config.seed, first_epoch, config.epochs)

    def places(self, model: MultVAE) -> list[Places]:
        """Returns the items' rows of the first kernel and their columns of the last."""
        _, items = mask_watch.counts(self.split.train)
        return [
            Places("items, first layer", model.encoder_hidden.kernel, 0, 0, items),
            Places("items, last layer", model.decoder_items.kernel, 1, 0, items),
        ]

    def work(self, model: MultVAE) -> Work:
        """Returns what passes through the model: a row a user."""
        return Work(training_rows=self.config.batch_size, ranking_rows=1)

    def ranker(self, model: MultVAE) -> tuple[Callable[[Any], Any], Any, int]:
        """Returns what scores all items, an input of it, and how many users that is of."""
        some = self.split.train[: self.config.batch_size].toarray()
        return functools.partial(model, training=False), some, len(some)

    def evaluator(self, model: keras.Model) -> Callable[[str], dict[str, float]]:
        """Returns a function from "validation" or "test" to the users' mean metrics."""
        score_rows, *_ = self.ranker(model)
        logits = tf.function(score_rows, jit_compile=True)

        def evaluate(part: str) -> dict[str, float]:
            users: HeldOutUsers = getattr(self.split, part)

            def score(rows: Any) -> tf.Tensor:
                return logits(users.fold_in[np.asarray(rows)].toarray())

            return evaluation.evaluate(
                score, users.fold_in, users.held_out, standard_errors=part == "test"
            )

        return evaluate


@functools.cache
def _load(name: str, data_dir: str | None, seed: int) -> FoldInSplit:
    # Cached: the runs of a table share their data.
    return DATA[name](data_dir, seed)
