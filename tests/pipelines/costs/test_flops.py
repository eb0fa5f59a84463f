"""FLOPs of models by hand."""

import keras
import numpy as np
import pytest

import tfdsl
from pipelines.costs import flops
from pipelines.costs.flops import Graph, Work
from tfdsl.layers import Propagation, SparseDense, SparseEmbedding
from tfdsl.layers.propagation import bipartite

STEPS, ROWS = 1000, 7
# A kernel of 20 x 10 with a mask, one of 10 x 5 without.
MASKED, PLAIN = 2 * 20 * 10, 2 * 10 * 5


def compiled(algorithm, layers=None):
    layers = layers or [SparseDense(10), keras.layers.Dense(5)]
    model = keras.Sequential([keras.Input((20,)), *layers])
    inner = keras.optimizers.SGD()
    optimizer = inner if algorithm is None else tfdsl.SparseOptimizer(inner, algorithm)
    model.compile(optimizer, loss="mse")
    optimizer.build(model.trainable_variables)
    return model


DYNAMIC = {"update_interval": 10, "total_steps": STEPS}


@pytest.mark.parametrize(
    ("algorithm", "passes", "final"),
    [
        (None, 3.0, 1.0),
        (lambda: tfdsl.StaticSparse(0.25), 3 * 0.25, 0.25),
        (lambda: tfdsl.SET(0.25, **DYNAMIC), 3 * 0.25, 0.25),
        # In a tenth of all steps, up to three quarters of them, the gradient is dense.
        (lambda: tfdsl.DSL(0.25, **DYNAMIC), 3 * 0.25 + 0.75 * 0.1, 0.25),
        (lambda: tfdsl.RigL(0.25, **DYNAMIC), 3 * 0.25 + 0.75 * 0.075, 0.25),
        (
            lambda: tfdsl.DSL(0.25, grow="accumulated_gradient", **DYNAMIC),
            3 * 0.25 + 0.75,
            0.25,
        ),
        # Half of the time dense.
        (lambda: tfdsl.OneShotMagnitude(0.25, prune_step=STEPS // 2), 3 * 0.625, 0.25),
        # 1 - (1 - 0.25) * (1 - u**3) over three quarters of the time, then 0.25.
        (
            lambda: tfdsl.GradualMagnitude(0.25, **DYNAMIC),
            3 * (0.25 + 0.75 * 0.75 / 4),
            0.25,
        ),
    ],
)
def test_a_step_and_a_ranking_cost_what_is_not_skipped(algorithm, passes, final):
    model = compiled(algorithm and algorithm())
    found = flops.theoretical(model, Work(training_rows=ROWS, ranking_rows=3, scores=11), STEPS)
    assert found["training"] == pytest.approx(ROWS * (MASKED * passes + 3 * PLAIN), rel=2e-3)
    assert found["ranking"] == pytest.approx(3 * (MASKED * final + PLAIN) + 11)


@pytest.mark.parametrize(("algorithm", "density"), [(None, 1.0), (tfdsl.StaticSparse(0.5), 0.5)])
def test_a_propagation_skips_zeros_of_the_table_alone(algorithm, density):
    table = SparseEmbedding(20, 4)
    table.build()
    model = keras.Sequential([keras.Input((1,), dtype="int32"), table])
    inner = keras.optimizers.SGD()
    optimizer = inner if algorithm is None else tfdsl.SparseOptimizer(inner, algorithm)
    model.compile(optimizer, loss="mse")
    optimizer.build(model.trainable_variables)
    graph = Graph(edges=60, terms=90, width=4, layers=3, users=8)
    work = Work(scores=5, graph=graph)
    found = flops.theoretical(model, work, STEPS)
    assert found["training"] == 2 * 2 * 60 * 4 * (2 + density)
    assert found["ranking"] == 2 * 60 * 4 * (2 + density) / 8 + 5
    as_computed = {"training": 2 * 2 * 90 * 4 * 3, "ranking": 2 * 90 * 4 * 3 / 8}
    assert flops.of_graph(work) == as_computed
    assert flops.of_graph(Work()) == {"training": 0.0, "ranking": 0.0}


def test_without_layers_nothing_is_propagated():
    assert Graph(edges=60, terms=90, width=4, layers=0, users=8).products(60, 1.0) == 0


def test_terms_are_the_rows_that_are_read():
    # One user with 30 items: a sum of 24 rows and one of 6, padded to 24, then one of both; the
    # items' rows are padded as well.
    propagation = Propagation(*bipartite(np.array([0, 30]), np.arange(30), 30), widths=(24, 8))
    assert propagation.n_terms == 31 * 24 + 24 + 2
