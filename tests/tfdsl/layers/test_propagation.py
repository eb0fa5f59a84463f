import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfdsl.layers import Propagation
from tfdsl.layers.propagation import WIDTHS, bipartite, plan


def random_graph(n_nodes=200, density=0.05, seed=0):
    """A symmetric graph with isolated nodes, a node joined to nearly all, and one edge alone."""
    dense = np.random.default_rng(seed).random((n_nodes, n_nodes)) < density
    dense[7] = True
    dense |= dense.T
    dense[[3, n_nodes - 1, 11, 12]] = False
    dense[:, [3, n_nodes - 1, 11, 12]] = False
    dense[11, 12] = dense[12, 11] = True
    return sparse.csr_array(dense.astype(np.float64))


def normalized(graph):
    degree = np.diff(graph.indptr)
    scale = np.zeros(len(degree))
    scale[degree > 0] = degree[degree > 0] ** -0.5
    return sparse.diags_array(scale) @ graph @ sparse.diags_array(scale)


def means(graph, x, layers):
    rows, total = x, x.copy()
    for _ in range(layers):
        rows = normalized(graph) @ rows
        total += rows
    return total / (layers + 1)


GRAPH = random_graph()
X = np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)
MODES = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


@pytest.mark.parametrize("shape", [(199, 6), (201, 6), (200,), (200, 6, 1)])
def test_a_table_of_another_shape_is_refused(shape):
    propagation = Propagation(GRAPH.indptr, GRAPH.indices)
    for use in (propagation, lambda x: propagation.mean(x, 2)):
        with pytest.raises(ValueError, match=r"`x` must have one row for each.* 200 nodes.*receiv"):
            use(np.zeros(shape, np.float32))


def test_a_number_of_layers_below_0_is_refused():
    with pytest.raises(ValueError, match=r"`layers`.*received -1"):
        Propagation(GRAPH.indptr, GRAPH.indices).mean(X, -1)


@pytest.mark.parametrize("widths", [WIDTHS, (1, 2), (3,), (2, 64), (512,)])
def test_the_product_is_the_normalized_matrix_times_x(widths):
    propagation = Propagation(GRAPH.indptr, GRAPH.indices, widths=widths)
    np.testing.assert_allclose(propagation(X), normalized(GRAPH) @ X, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layers", [0, 1, 2, 3, 5])
def test_the_mean_and_its_gradient_are_those_of_the_matrix(mode, layers):
    propagation = Propagation(GRAPH.indptr, GRAPH.indices)
    weights = np.random.default_rng(2).normal(size=X.shape).astype(np.float32)

    def mean_and_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            mean = propagation.mean(x, layers)
            loss = tf.reduce_sum(weights * mean)
        return mean, tape.gradient(loss, x)

    mean, gradient = MODES[mode](mean_and_gradient)(tf.constant(X))
    np.testing.assert_allclose(mean, means(GRAPH, X, layers), atol=1e-6)
    np.testing.assert_allclose(gradient, means(GRAPH, weights, layers), atol=1e-6)


def test_the_gradient_of_a_product_is_the_product_of_the_gradient():
    propagation = Propagation(GRAPH.indptr, GRAPH.indices)
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.square(propagation(x)))
    expected = 2 * normalized(GRAPH) @ (normalized(GRAPH) @ X)
    np.testing.assert_allclose(tape.gradient(loss, x), expected, atol=1e-5)


def test_bfloat16_gathers_stay_close_and_float32():
    propagation = Propagation(GRAPH.indptr, GRAPH.indices, gather="bfloat16")
    mean = propagation.mean(X, 3)
    assert mean.dtype == tf.float32
    expected = means(GRAPH, X, 3)
    # Half a unit in the eighth bit of each of the three products.
    np.testing.assert_allclose(mean, expected, atol=3 * 2**-9 * abs(X).max())
    assert (mean.numpy() != Propagation(GRAPH.indptr, GRAPH.indices).mean(X, 3).numpy()).any()


def test_isolated_nodes_get_nothing_and_give_nothing():
    empty = Propagation(np.zeros(4, int), np.zeros(0, int))
    assert (empty(X[:3]).numpy() == 0).all()
    np.testing.assert_allclose(empty.mean(X[:3], 2), X[:3] / 3, rtol=1e-6)


def test_every_term_is_summed_once_and_pads_are_few():
    indptr, columns = bipartite(*_skewed())
    made = plan(indptr, columns)
    n_nodes = len(made.place)
    assert sum((part < n_nodes).sum() for part in made.levels[0]) == len(columns)
    assert sum(len(level.done) for level in made.levels) == n_nodes
    assert sum(part.size for level in made.levels for part in level) < 1.7 * len(columns)
    np.testing.assert_array_equal(made.nodes[made.place], np.arange(n_nodes))


def test_some_rows_of_the_mean_are_those_of_all_and_have_its_gradient():
    propagation = Propagation(GRAPH.indptr, GRAPH.indices)
    nodes = np.array([[7, 3], [11, 7], [199, 0]])
    weights = np.random.default_rng(2).normal(size=(*nodes.shape, 6)).astype(np.float32)

    @tf.function(jit_compile=True)
    def rows_and_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            rows = propagation.mean(x, 3, nodes)
            loss = tf.reduce_sum(weights * rows)
        return rows, tape.gradient(loss, x)

    rows, gradient = rows_and_gradient(tf.constant(X))
    np.testing.assert_allclose(rows, means(GRAPH, X, 3)[nodes], atol=1e-6)
    scattered = np.zeros_like(X)
    np.add.at(scattered, nodes, weights)
    np.testing.assert_allclose(gradient, means(GRAPH, scattered, 3), atol=1e-6)


def _skewed():
    """Users and items with many and few neighbours, as in real interactions."""
    rng = np.random.default_rng(0)
    popular = 1 / np.arange(1, 301) ** 0.7
    dense = rng.random((500, 300)) < 0.9 * popular / popular.max()
    matrix = sparse.csr_array(dense)
    return matrix.indptr, matrix.indices, 300


def test_a_bipartite_graph_has_every_entry_in_both_directions():
    matrix = sparse.csr_array(np.array([[1, 0, 1], [0, 0, 1]]))
    indptr, columns = bipartite(matrix.indptr, matrix.indices, 3)
    graph = sparse.csr_array((np.ones(len(columns)), columns, indptr), shape=(5, 5)).toarray()
    np.testing.assert_array_equal(graph[:2, 2:], matrix.toarray())
    np.testing.assert_array_equal(graph, graph.T)
    assert graph.sum() == 6


@pytest.mark.parametrize(
    ("indptr", "columns", "gather", "message"),
    [
        ([0, 1, 1], [1], "float32", "must be symmetric"),
        ([0, 1, 2], [1, 2], "float32", r"must be square: columns must be in 0\.\.1"),
        ([0, 1, 2], [1], "float32", "`indptr` rising from 0 to the number of entries, 1; received"),
        ([0, 2, 1], [1], "float32", "`indptr` rising"),
        ([1, 1, 2], [1, 0], "float32", r"`indptr` rising.*received int64 .1 1 2. and"),
        ([0.0, 1.0, 2.0], [1, 0], "float32", "must be integers"),
        ([0, 1, 2], [1, 0], "float16", "`gather`.*float32, bfloat16; received 'float16'"),
        ([0], [], "float32", "`nodes`.*received 0"),
    ],
)
def test_what_is_no_undirected_graph_is_refused(indptr, columns, gather, message):
    with pytest.raises(ValueError, match=message):
        Propagation(np.array(indptr), np.array(columns, int), gather)


@pytest.mark.parametrize("widths", [(), (4, 1)])
def test_widths_with_which_sums_would_not_end_are_refused(widths):
    with pytest.raises(ValueError, match="`widths` must be 1 or more, the last 2 or more"):
        Propagation(GRAPH.indptr, GRAPH.indices, widths=widths)
