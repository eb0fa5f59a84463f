"""Saved models with mutated bytes: they are refused, or are what was saved."""

import exported_models
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import mutate, mutations
from properties import examples, hold

import tfdsl
from tfdsl.layers import SparseDense, SparseEmbedding, mask_of


@pytest.fixture
def model():
    layers = [SparseEmbedding(30, 8), keras.layers.Flatten(), SparseDense(4)]
    made = keras.Sequential([keras.Input((2,), dtype="int32"), *layers])
    draw = np.random.default_rng(0)
    for weight in made.trainable_weights:
        if mask_of(weight) is not None:
            mask_of(weight).assign(draw.random(weight.shape) < 0.2)
            weight.assign(np.where(mask_of(weight), weight, 0.0))
    return made


def _mutated(files, place, changes):
    path = sorted(files)[place % len(files)]
    for one, content in files.items():
        one.write_bytes(mutate(content, changes) if one == path else content)


def _files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@examples(100, 5000)
def test_a_mutated_packed_export_is_refused_or_the_same(examples, model, tmp_path):
    tfdsl.export.saved_model(model, tmp_path / "export")
    files = _files(tmp_path / "export")
    expected = [weight.numpy() for weight in model.weights]

    def refused_or_the_same(place, changes):
        _mutated(files, place, changes)
        try:
            found = tfdsl.load_packed(tmp_path / "export").weights
        except ValueError as error:
            assert str(tmp_path / "export") in str(error)
            assert "\n" not in str(error)
            return
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.numpy(), other)

    hold(refused_or_the_same, examples, place=st.integers(0, 99), changes=mutations)


def _saved(folder, model):
    """Returns what is saved of a model that has trained a step, and its values."""
    model.compile(tfdsl.SparseOptimizer("adam", tfdsl.StaticSparse(0.2)), "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(folder / "model.keras")
    return (folder / "model.keras").read_bytes(), _values(model)


def _values(model):
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


@examples(40, 5000)
def test_a_mutated_keras_file_is_refused_or_the_same(examples, model, tmp_path):
    files = [_saved(tmp_path, model), _saved(tmp_path, exported_models.light_gcn()[0])]

    def refused_or_the_same(place, changes):
        content, expected = files[place]
        (tmp_path / "model.keras").write_bytes(mutate(content, changes))
        try:
            found = keras.models.load_model(tmp_path / "model.keras")
        except Exception:  # what Keras, zipfile and h5py raise, each its own
            return
        for one, other in zip(_values(found), expected, strict=True):
            np.testing.assert_array_equal(one, other)

    hold(refused_or_the_same, examples, place=st.integers(0, 1), changes=mutations)
