"""What becomes of a weight's values when it gets its first mask."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from tfdsl import DSL, GradualMagnitude, StaticSparse, initial
from tfdsl.algorithms import rows
from tfdsl.layers import SparseDense, SparseEmbedding, mask_of


def made(algorithm, n_inputs=40, units=30):
    """Returns a layer's kernel before and after it got its first mask, and the mask."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((n_inputs,)), SparseDense(units)])
    kernel = model.layers[0].kernel
    before = kernel.numpy()
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return before, kernel.numpy(), mask_of(kernel).numpy()


@pytest.mark.parametrize("init", ["exact", "bernoulli", "magnitude"])
def test_a_weight_is_as_much_larger_as_its_mask_leaves_fewer(init):
    before, after, mask = made(StaticSparse(0.1, init=init, first_values="rescale"))
    scale = np.sqrt(mask.size / np.count_nonzero(mask))
    np.testing.assert_allclose(after, before * mask * scale, rtol=1e-6)


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (40, 1)])
def test_a_row_is_as_much_larger_as_its_own_budget_is_smaller(shape):
    algorithm = StaticSparse(0.16, granularity="row", first_values="rescale")
    before, after, mask = made(algorithm, *shape)
    axis = 0 if shape[1] > shape[0] else 1  # the longer side has the rows
    n = np.count_nonzero(mask, axis=axis, keepdims=True)
    scale = np.sqrt(mask.shape[axis] / np.maximum(n, 1))
    np.testing.assert_allclose(after, before * mask * scale, rtol=1e-6)
    assert np.isfinite(after).all()


@pytest.mark.parametrize("granularity", ["entry", "row"])
def test_a_table_whose_rows_are_looked_up_keeps_its_values(granularity):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,), dtype="int32"), SparseEmbedding(50, 8)])
    table = model.layers[0].embeddings
    before = table.numpy()
    algorithm = StaticSparse(0.25, granularity=granularity, first_values="rescale")
    tfdsl.SparseOptimizer("adam", algorithm).build(model.trainable_variables)
    np.testing.assert_array_equal(table.numpy(), before * mask_of(table).numpy())


def test_a_row_has_the_scale_of_its_own_budget():
    mask = np.array([[True, True], [True, False], [False, True]])
    found = rows.rescaled(mask.astype("f4"), mask, True)
    np.testing.assert_allclose(found, mask * np.sqrt([[1], [2], [2]]), rtol=1e-6)


@pytest.mark.parametrize("by_row", [True, False])
def test_counts_are_exact_whatever_the_weights_type(by_row):
    mask = np.ones((400, 300), bool)  # more than float16 can count
    weight = keras.ops.convert_to_tensor(mask, "float16")
    assert (rows.rescaled(weight, mask, by_row).numpy() == 1).all()


def spectral(n_items=40):
    matrix = sparse.random_array((60, n_items), density=0.2, format="csr", rng=0)
    return initial.Spectral(matrix.astype("float32"))


class Ranks:
    """An `init` of the user's own, whose scores are an order and no more."""

    def scores(self, path, shape):
        return np.append(np.arange(np.prod(shape) - 1, dtype="f4"), np.inf).reshape(shape)

    def get_config(self):
        return {}


@pytest.mark.parametrize(
    ("init", "own"),
    [("exact", "rescale"), ("magnitude", "rescale"), (Ranks(), "rescale"), (None, "scores")],
)
def test_spectral_dsl_begins_with_scores_of_spectral_first_masks(init, own):
    init = init or spectral()
    found, expected = (
        made(tfdsl.SpectralDSL(0.1, total_steps=100, init=init, **given))
        for given in ({}, {"first_values": own})
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("by_row", [True, False])
def test_scores_are_as_large_as_what_was_drawn(by_row):
    random = np.random.default_rng(0)
    mask = random.random((8, 5)) < 0.6
    weight = np.float32(random.normal(size=(8, 5)) * mask)
    scores = np.float32(random.normal(size=(8, 5)) * mask)
    found = rows.of_scores(tf.constant(weight), tf.constant(scores), by_row).numpy()
    assert ((found != 0) == mask).all()
    axis = 1 if by_row else None
    size = np.square(weight).sum(axis, keepdims=True) / np.square(scores).sum(axis, keepdims=True)
    np.testing.assert_allclose(found, scores * np.sqrt(size), rtol=1e-5)


def test_what_has_no_score_keeps_what_was_drawn():
    weight = np.float32([[3, 4, 1], [2, 0, 0], [0, 0, 0]])
    scores = np.float32([[1, 1, 0], [0, 0, 0], [0, 0, 0]])
    found = rows.of_scores(tf.constant(weight), tf.constant(scores), True)
    np.testing.assert_allclose(found, [[12.5**0.5, 12.5**0.5, 1], [2, 0, 0], [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("granularity", ["entry", "row"])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])  # a first and a last layer of 40 items
def test_first_values_are_scores_where_there_are_some(granularity, shape):
    init = spectral()
    given = {"init": init, "granularity": granularity}
    _, rescaled, _ = made(StaticSparse(0.2, first_values="rescale", **given), *shape)
    _, after, mask = made(StaticSparse(0.2, first_values="scores", **given), *shape)
    axis = None if granularity == "entry" else shape.index(30)  # of an item
    scores = mask * init.scores("kernel", shape)
    expected = np.square(rescaled).sum(axis, keepdims=True)
    np.testing.assert_allclose(np.square(after).sum(axis, keepdims=True), expected, rtol=1e-5)
    scale = np.sqrt(expected / np.square(scores).sum(axis, keepdims=True))
    np.testing.assert_allclose(after, scores * scale, rtol=1e-5)


def test_first_values_are_rescaled_where_there_are_no_scores():
    before, after, mask = made(StaticSparse(0.1, init=spectral(7), first_values="scores"))
    scale = np.sqrt(mask.size / np.count_nonzero(mask))
    np.testing.assert_allclose(after, before * mask * scale, rtol=1e-6)


@pytest.mark.parametrize("granularity", ["entry", "row"])
def test_scores_of_few_entries_leave_the_sum_of_squares(granularity):
    groups = sparse.csr_array(np.kron(np.eye(2), np.ones((30, 20), "f4")))  # of rank 2
    given = {"init": initial.Spectral(groups), "granularity": granularity}
    _, rescaled, _ = made(StaticSparse(0.2, first_values="rescale", **given))
    _, after, mask = made(StaticSparse(0.2, first_values="scores", **given))
    scored = mask & (given["init"].scores("kernel", (40, 30)) != 0)
    assert 0 < np.count_nonzero(scored) < np.count_nonzero(mask)
    np.testing.assert_allclose(np.square(after).sum(), np.square(rescaled).sum(), rtol=1e-5)
    np.testing.assert_array_equal(after[~scored], rescaled[~scored])
    assert (after[scored] != rescaled[scored]).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scores_are_as_large_in_narrow_types(dtype):
    random = np.random.default_rng(0)
    weight = tf.cast(random.normal(size=(300, 400)), dtype)  # more than float16 can add up
    scores = tf.constant(random.normal(size=(300, 400)), tf.float32)
    found = rows.of_scores(weight, scores, False)
    assert found.dtype == weight.dtype
    sums = [np.square(x.numpy().astype("f8")).sum() for x in (found, weight)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-2)


def test_scores_that_are_first_values_are_finite():
    init = spectral()
    infinite = np.full((40, 30), np.inf, "f4")
    init.scores = lambda path, shape: infinite
    with pytest.raises(ValueError, match=r"must be finite; `init` has others of .*kernel"):
        made(StaticSparse(0.1, init=init, first_values="scores"))
    made(StaticSparse(0.1, init=init, first_values="rescale"))  # always active


def test_without_its_interactions_an_algorithm_rescales():
    algorithm = StaticSparse(0.1, init=spectral(), first_values="scores")
    again = StaticSparse.from_config(algorithm.get_config())
    before, after, mask = made(again)
    np.testing.assert_allclose(after, before * mask * np.sqrt(10), rtol=1e-6)


def test_a_named_init_has_no_scores_to_begin_with():
    with pytest.raises(ValueError, match=r"takes the scores of an `init` .* init='exact'"):
        StaticSparse(0.1, first_values="scores")


def test_they_stay_as_they_are_unless_asked():
    before, after, mask = made(StaticSparse(0.1))
    np.testing.assert_array_equal(after, before * mask)


def test_what_begins_dense_begins_as_it_is():
    for init, first_values in (("exact", "rescale"), (spectral(), "scores")):
        given = {"init": init, "first_values": first_values}
        algorithm = GradualMagnitude(0.1, total_steps=100, update_interval=10, **given)
        before, after, _ = made(algorithm)
        np.testing.assert_array_equal(after, before)


def test_what_a_layer_adds_up_is_as_large_as_dense():
    data = np.random.default_rng(0).normal(size=(200, 400)).astype("f4")
    algorithm = StaticSparse(0.05, first_values="rescale")
    before, after, _ = made(algorithm, 400, 300)
    assert (data @ after).std() == pytest.approx((data @ before).std(), rel=0.05)


def test_a_row_without_an_entry_is_no_number_divided_by_zero():
    mask = np.array([[True, False], [False, False]])
    found = rows.rescaled(np.float32([[3, 0], [0, 0]]), mask, True)
    np.testing.assert_allclose(found, np.float32([[3 * 2**0.5, 0], [0, 0]]), rtol=1e-6)


def test_a_model_that_goes_on_is_not_made_larger_again(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((50,)), SparseDense(8)])
    algorithm = DSL(0.25, total_steps=100, update_interval=10, first_values="rescale")
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss="mse")
    inputs, targets = np.eye(50, dtype="f4"), np.ones((50, 8), "f4")
    model.fit(inputs, targets, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    again.optimizer.build(again.trainable_variables)
    kernel, loaded = (m.layers[0].kernel.numpy() for m in (model, again))
    np.testing.assert_array_equal(loaded, kernel)
    model.fit(inputs, targets, verbose=0)
    again.fit(inputs, targets, verbose=0)
    kernel, loaded = (m.layers[0].kernel.numpy() for m in (model, again))
    np.testing.assert_allclose(loaded, kernel, rtol=1e-5, atol=1e-7)
