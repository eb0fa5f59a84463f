import keras
import pytest
import tensorflow as tf
from small_runs import dsl, small_model

import tfdsl


def test_a_model_without_a_mask_is_refused_with_the_remedy():
    model = small_model(keras.layers.Dense)
    with pytest.raises(ValueError, match=r"has a mask.*tfdsl\.sparsify\(model\)"):
        tfdsl.SparseOptimizer("adam", dsl()).build(model.trainable_variables)


def test_an_inner_optimizer_that_is_built_is_refused_by_name():
    inner = keras.optimizers.Adam(name="used")
    inner.build(small_model().trainable_variables)
    with pytest.raises(ValueError, match=r"'used' is built"):
        tfdsl.SparseOptimizer(inner, dsl())


def test_an_inner_loss_scale_optimizer_is_refused_with_the_remedy():
    inner = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    with pytest.raises(ValueError, match=r"LossScaleOptimizer\(SparseOptimizer"):
        tfdsl.SparseOptimizer(inner, dsl())


@pytest.mark.parametrize("inner", [None, tfdsl.SparseOptimizer("adam", dsl())])
def test_no_inner_optimizer_or_a_sparse_one_is_refused(inner):
    with pytest.raises(ValueError, match=r"`inner_optimizer` must be .*received (None|<)"):
        tfdsl.SparseOptimizer(inner, dsl())


def test_variables_the_optimizer_is_not_built_for_are_refused_by_name():
    model, other = small_model(), small_model()
    optimizer = tfdsl.SparseOptimizer("adam", dsl())
    optimizer.build(model.trainable_variables)
    weights = other.trainable_variables
    with pytest.raises(ValueError, match=rf"other variables already; received {weights[0].path}"):
        optimizer.apply([tf.zeros(w.shape) for w in weights], weights)


def test_a_missing_gradient_is_refused_with_the_numbers():
    model = small_model()
    optimizer = tfdsl.SparseOptimizer("adam", dsl())
    optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="received 1 for 4 variables"):
        optimizer.apply([tf.zeros([6, 8])], model.trainable_variables)


@pytest.mark.parametrize("algorithm", [None, "dsl", tfdsl.DSL, 0.2])
def test_anything_but_an_algorithm_is_refused_with_its_value(algorithm):
    with pytest.raises(ValueError) as error:
        tfdsl.SparseOptimizer("adam", algorithm)
    assert f"received {algorithm!r}" in str(error.value)


def test_an_unknown_inner_optimizer_is_refused():
    with pytest.raises(ValueError, match="adamant"):
        tfdsl.SparseOptimizer("adamant", dsl())


def test_momentum_growth_without_a_momentum_is_refused_by_name():
    optimizer = tfdsl.SparseOptimizer("rmsprop", tfdsl.SET(0.5, grow="momentum"))
    with pytest.raises(ValueError, match=r"grow='momentum'.*received 'rm_?sprop'"):
        optimizer.build(small_model().trainable_variables)
