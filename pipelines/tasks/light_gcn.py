"""LightGCN on interactions split within users: its data, its model, and how it is judged."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from data import synthetic
from pipelines import interactions, lightgcn_splits, mask_watch
from pipelines.config import RunConfig
from pipelines.costs.flops import Graph, Work
from pipelines.interactions import Interactions
from pipelines.mask_watch import Places
from pipelines.tasks.ranking import RankingTask
from tfdsl import checks, evaluation
from tfdsl.models import BPRLoss, LightGCN


def _load_synthetic(data_dir: str | None, validation_share: float) -> Interactions:
    users, items = synthetic.interactions()
    rest, test = interactions.hold_out(interactions.to_matrix(users, items), 0.2)
    return Interactions(*interactions.hold_out(rest, validation_share), test)


DATA: dict[str, Callable[[str | None, float], Interactions]] = {
    "synthetic": _load_synthetic,
    "gowalla": functools.partial(lightgcn_splits.load, "gowalla"),
    "yelp2018": functools.partial(lightgcn_splits.load, "yelp2018"),
    "amazon-book": functools.partial(lightgcn_splits.load, "amazon-book"),
}
VALIDATION_SHARE = 0.1


class LightGCNTask(RankingTask):
    """One run's data and model; see `pipelines.tasks.Task`.

    Raises:
        ValueError: no such data set, or fewer interactions than a batch holds.
        DataError: the data cannot be had or is damaged.
    """

    select = "ndcg@20"

    def __init__(self, config: RunConfig, data_dir: str | None) -> None:
        self.selects_on_test = "test_selection" in config.quirks
        share = 0.0 if self.selects_on_test else VALIDATION_SHARE
        self.split = _load(config.data, data_dir, share)
        super().__init__(config, self.split.train, uniform=config.settings["uniform"])

    def build_model(self) -> keras.Model:
        """Returns the compiled model, built, with its initial masks."""
        config, settings = self.config, self.config.settings
        keras.utils.set_random_seed(config.seed)
        model = LightGCN(
            self.split.train,
            width=self.width(settings["width"]),
            layers=settings["layers"],
            regularization=settings["regularization"],
            gather=settings["gather"],
            seed=config.seed,
            **config.tables,
        )
        return self.compiled(model, BPRLoss())

    def work(self, model: LightGCN) -> Work:
        """Returns what passes through the model: the whole graph, and products of two rows."""
        graph = Graph(
            edges=2 * self.split.train.nnz,
            terms=model.propagation.n_terms,
            width=model.width,
            layers=model.n_layers,
            users=model.n_users,
        )
        return Work(scores=2 * model.n_items * model.width, graph=graph)

    def ranker(self, model: LightGCN) -> tuple[Callable[[Any], Any], Any, int]:
        """Returns what scores all items, an input of it, and how many users that is of."""
        n_users = 100
        return model.scorer(), tf.zeros([n_users], tf.int64), n_users

    def places(self, model: LightGCN) -> list[Places]:
        """Returns the users' and the items' rows of the table."""
        users, items = mask_watch.counts(self.split.train)
        of_users, of_items = (model.tables[place].embeddings for place in (0, -1))
        first_item = len(users) if len(model.tables) == 1 else 0
        return [
            Places("users", of_users, 0, 0, users),
            Places("items", of_items, 0, first_item, items),
        ]

    def evaluator(self, model: keras.Model) -> Callable[[str], dict[str, float]]:
        """Returns a function from "validation" or "test" to the users' mean metrics."""
        split = self.split
        parts = {"validation": (split.train, split.validation), "test": (split.fitted, split.test)}
        if self.selects_on_test:
            parts["validation"] = parts["test"]

        def evaluate(part: str) -> dict[str, float]:
            seen, relevant = parts[part]
            return evaluation.evaluate(
                model.scorer(), seen, relevant, standard_errors=part == "test"
            )

        return evaluate


@functools.cache
def _load(name: str, data_dir: str | None, validation_share: float) -> Interactions:
    # Cached: the runs of a table share their data.
    checks.choice("data", name, DATA)
    return DATA[name](data_dir, validation_share)
