"""NeuMF, one item a user left out: its data, its model, and how it is judged."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from scipy import sparse

from data import synthetic
from pipelines import citeulike, interactions, leave_one_out, mask_watch, ncf
from pipelines.config import RunConfig
from pipelines.costs.flops import Work
from pipelines.leave_one_out import LeaveOneOut
from pipelines.mask_watch import Places
from pipelines.movielens import load_ml1m
from pipelines.tasks.ranking import RankingTask
from tfdsl import checks, evaluation
from tfdsl.models import NeuMF


def _load_synthetic(data_dir: str | None) -> LeaveOneOut:
    users, items = synthetic.interactions()
    had = interactions.to_matrix(users, items)
    rest, test = leave_one_out.split_off(had)
    train, validation = leave_one_out.split_off(rest, had, seed=98766)
    return LeaveOneOut(train, validation, test)


def _last_synthetic(data_dir: str | None) -> LeaveOneOut:
    return leave_one_out.split_last(*synthetic.interactions())


def _last_ml1m(data_dir: str | None) -> LeaveOneOut:
    ids = load_ml1m(data_dir, in_order=True)  # by which is last in it
    return leave_one_out.split_last(*(np.unique(of, return_inverse=True)[1] for of in ids))


def _last_citeulike(data_dir: str | None) -> LeaveOneOut:
    pairs = citeulike.read(data_dir, in_order=True)
    return leave_one_out.split_last(pairs.users, pairs.items)


Load: TypeAlias = Callable[[str | None], LeaveOneOut]
# Each with its loader for the quirk "file_order".
DATA: dict[str, tuple[Load, Load]] = {
    "synthetic": (_load_synthetic, _last_synthetic),
    "ml-1m": (ncf.load, _last_ml1m),
    "citeulike-t": (citeulike.load_leave_one_out, _last_citeulike),
}


@keras.saving.register_keras_serializable(package="tfdsl")
class PublishedLoss(keras.losses.Loss):
    """Binary cross-entropy of the positives plus that of the negatives, each a mean."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value a row of labels and logits, (batch, n), one of them positive."""
        losses = ops.binary_crossentropy(y_true, y_pred, from_logits=True)
        negatives = ops.sum((1 - y_true) * losses, axis=-1) / ops.sum(1 - y_true, axis=-1)
        return ops.sum(y_true * losses, axis=-1) + negatives


class NeuMFTask(RankingTask):
    """One run's data and model; see `pipelines.tasks.Task`.

    Raises:
        ValueError: no such data set, or fewer interactions than a batch holds.
        DataError: the data cannot be had or is damaged.
    """

    select = "sampled_ndcg@10"

    def __init__(self, config: RunConfig, data_dir: str | None) -> None:
        self.split = _load(config.data, data_dir, "file_order" in config.quirks)
        fixed = self._fixed_negatives() if "fixed_negatives" in config.quirks else None
        negatives = config.settings["negatives"]
        super().__init__(config, self.split.train, n_negatives=negatives, fixed_negatives=fixed)

    def _fixed_negatives(self) -> np.ndarray:
        """Returns the negatives of every user, [users, n]."""
        asked, n_users = self.split.test, self.split.train.shape[0]
        if len(asked.users) < n_users:
            raise ValueError(
                f"The quirk fixed_negatives needs all {n_users} users to have negatives; "
                f"{len(asked.users)} have. Leave it out with --quirks."
            )
        return asked.items[:, 1:]

    def build_model(self) -> keras.Model:
        """Returns the compiled model, built, with its initial masks."""
        config, settings = self.config, self.config.settings
        keras.utils.set_random_seed(config.seed)
        n_users, n_items = self.split.train.shape
        model = NeuMF(
            n_users,
            n_items,
            factors=settings["factors"],
            mlp_factors=self.width(settings["mlp_factors"]),
            dropout=settings["dropout"],
            regularization=settings["regularization"],
            seed=config.seed,
            **config.tables,
        )
        if "fixed_negatives" in config.quirks:
            return self.compiled(model, PublishedLoss())
        return self.compiled(model, keras.losses.BinaryCrossentropy(from_logits=True))

    def work(self, model: NeuMF) -> Work:
        """Returns what passes through the model: a row a pair."""
        negatives = self.config.settings["negatives"]
        return Work(self.config.batch_size * (1 + negatives), self.split.train.shape[1])

    def ranker(self, model: NeuMF) -> tuple[Callable[[Any], Any], Any, int]:
        """Returns what scores all items, an input of it, and how many users that is of."""
        n_users = 1  # one: they are a loop, whose body is counted once
        return model.scorer(), tf.zeros([n_users], tf.int64), n_users

    def places(self, model: NeuMF) -> list[Places]:
        """Returns the rows of the MLP's two tables."""
        users, items = mask_watch.counts(self.split.train)
        return [
            Places("users", model.mlp_user.embeddings, 0, 0, users),
            Places("items", model.mlp_item.embeddings, 0, 0, items),
        ]

    def evaluator(self, model: keras.Model) -> Callable[[str], dict[str, float]]:
        """Returns a function from "validation" or "test" to the users' mean metrics.

        Among 1 + 99 items; for the test also among all that the user did not have in training.
        """
        split = self.split
        seen = sparse.csr_array(split.train + split.left_out("validation"))
        relevant = split.left_out("test")
        logits = tf.function(functools.partial(model, training=False), jit_compile=True)

        def score(users: np.ndarray, items: np.ndarray) -> tf.Tensor:
            return logits((users, items))

        def evaluate(part: str) -> dict[str, float]:
            asked = getattr(split, part)
            first = 0
            if "last_batch" in self.config.quirks:
                first = (len(asked.users) - 1) // self.config.batch_size * self.config.batch_size
            users, items = asked.users[first:], asked.items[first:]
            how: Any = {"ks": (10, 20), "standard_errors": part == "test"}
            metrics = evaluation.evaluate_sampled(score, users, items, **how)
            if part == "test":
                metrics |= evaluation.evaluate(
                    model.scorer(), seen, relevant, batch_size=100, **how
                )
            return metrics

        return evaluate


@functools.cache
def _load(name: str, data_dir: str | None, file_order: bool) -> LeaveOneOut:
    # Cached: the runs of a table share their data.
    checks.choice("data", name, DATA)
    return DATA[name][file_order](data_dir)
