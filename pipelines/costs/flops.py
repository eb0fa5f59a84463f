"""FLOPs of a training step and of ranking all items for a user.

"theoretical" are an engine's that skips every zero: two for each active entry of a matrix and row
that passes it, and twice as many backward. Where masks grow by gradients, the gradient of the whole
matrix is counted at the steps that need it; where the density falls over training, its mean is. A
propagation has no weights, so that going backward costs what going forward does; of its products
the first, and backward the last, follow the table's density. "realised" are those of the program
that XLA makes (`pipelines.costs.hlo`), and of a propagation those of the rows that are read,
padding among them. Look-ups, and whatever is done entry by entry, count nothing.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfdsl
from tfdsl.algorithms import criteria
from tfdsl.report import sparse_optimizer_of

_POINTS = 200  # at which a density that changes is looked at


@dataclasses.dataclass(frozen=True)
class Graph:
    """Products of a graph's adjacency matrix with a masked table, one a layer.

    Attributes:
        edges: entries of the matrix.
        terms: rows that one product reads as it is computed.
        width: columns of the table.
        layers: how many products.
        users: that one propagation serves when it ranks.
    """

    edges: int
    terms: int
    width: int
    layers: int
    users: int

    def products(self, rows: int, first: float) -> float:
        """Returns the FLOPs of all layers' products that read `rows`.

        Args:
            rows: of the table, each as often as it is read.
            first: share of the first product that is computed.
        """
        return 2 * rows * self.width * (self.layers - 1 + first) if self.layers else 0.0


@dataclasses.dataclass(frozen=True)
class Work:
    """What passes through a model.

    Attributes:
        training_rows: rows that pass its matrices in a training step.
        ranking_rows: rows that pass them to rank all items for a user.
        scores: FLOPs of a user's scores beside the matrices.
        graph: of a model that propagates.
    """

    training_rows: int = 0
    ranking_rows: int = 0
    scores: int = 0
    graph: Graph | None = None


def theoretical(model: keras.Model, work: Work, total_steps: int) -> dict[str, float]:
    """Returns the FLOPs of a step, "training", mean over a training, and of "ranking" for a user.

    Args:
        model: built and compiled, with the masks of any step.
        work: what passes through it.
        total_steps: length of the training.
    """
    optimizer = sparse_optimizer_of(model)
    algorithm = None if optimizer is None else optimizer.algorithm
    passing = _mean_density(algorithm, total_steps)
    dense_gradients = _dense_gradients(algorithm, total_steps)
    training = ranking = 0.0
    of_table = 1.0, 1.0
    for row in tfdsl.report(model).rows:
        final = row.target if row.masked and row.target is not None else 1.0
        mean = min(final * passing, 1.0) if row.masked else 1.0
        if row.flops:  # a matrix
            training += 2 * row.total * (3 * mean + (1 - mean) * dense_gradients)
            ranking += 2 * row.total * final
        elif row.masked:
            of_table = mean, final
    training, ranking = training * work.training_rows, ranking * work.ranking_rows + work.scores
    if work.graph:
        mean, final = of_table
        training += 2 * work.graph.products(work.graph.edges, mean)
        training += 2 * work.graph.edges * work.graph.width * (1 - mean) * dense_gradients
        ranking += work.graph.products(work.graph.edges, final) / work.graph.users
    return {"training": training, "ranking": ranking}


def of_graph(work: Work) -> dict[str, float]:
    """Returns the FLOPs of the propagation as it is computed, which no matrix product shows."""
    if not work.graph:
        return {"training": 0.0, "ranking": 0.0}
    once = work.graph.products(work.graph.terms, 1.0)
    return {"training": 2 * once, "ranking": once / work.graph.users}


def _mean_density(algorithm: Any, total_steps: int) -> float:
    """Returns the mean density over a training, as a share of that at its end."""
    if algorithm is None:
        return 1.0
    steps = (np.arange(_POINTS) + 0.5) * total_steps / _POINTS
    densities = [float(algorithm.density(tf.constant(int(step), tf.int64))) for step in steps]
    return float(np.mean(densities)) / algorithm.density.final


def _dense_gradients(algorithm: Any, total_steps: int) -> float:
    """Returns the share of steps that need the gradient of entries that are not active."""
    if not hasattr(algorithm, "grow"):
        return 0.0
    needed = criteria.signals(algorithm.drop, algorithm.grow)
    if needed & {"accumulated_gradient", "momentum"}:
        return 1.0
    updates = algorithm.updates
    last = updates.last(total_steps)
    first = updates.begin or updates.interval
    n_updates = (last - first) // updates.interval + 1
    return n_updates / total_steps if "gradient" in needed else 0.0
