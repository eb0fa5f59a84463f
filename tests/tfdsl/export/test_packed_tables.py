"""Exports of models that were trained with packed tables: the same as of those with masks."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfdsl
from tests.helpers import exported_models
from tests.helpers.exported_models import GRAPH, N_ITEMS, N_USERS
from tfdsl.export import load_packed, retrieval, saved_model
from tfdsl.layers import SparseEmbedding, mask_of

PACKED = {"storage": "packed", "density": 0.25, "candidates": 2}
MAKE = {
    "light_gcn": lambda **how: tfdsl.models.LightGCN(GRAPH, width=16, **how),  # packed: two tables
    "light_gcn, one table": lambda **how: tfdsl.models.LightGCN(GRAPH, width=16, users=None, **how),
    "neu_mf": lambda **how: tfdsl.models.NeuMF(N_USERS, N_ITEMS, **how),
}


def tables(model):
    return [layer.embeddings for layer in model.layers if isinstance(layer, SparseEmbedding)]


def pair(name):
    """Returns a model with masks and one with packed tables of equal weights."""
    dense, packed = MAKE[name](), MAKE[name](**PACKED)
    ours, theirs = tables(packed), tables(dense)
    masks, values = [mask_of(table).numpy() for table in ours], [table.numpy() for table in ours]
    if len(theirs) < len(ours):
        masks, values = [np.concatenate(masks)], [np.concatenate(values)]
    for table, mask, value in zip(theirs, masks, values, strict=True):
        mask_of(table).assign(mask)
        table.assign(value)
    return dense, packed


@pytest.mark.parametrize("storage", ["dense", "packed"])
@pytest.mark.parametrize("name", MAKE)
def test_a_saved_model_computes_and_holds_the_same(tmp_path, name, storage):
    inputs = {"users": exported_models.USERS, "items": exported_models.ITEMS}
    reports, found = [], []
    for place, model in enumerate(pair(name)):
        path = tmp_path / str(place)
        reports.append(saved_model(model, path, storage=storage))
        served = tf.saved_model.load(str(path))
        fed = {key: tf.constant(value) for key, value in inputs.items()}
        found.append(served.signatures["serving_default"](**fed)["output_0"].numpy())
        expected = exported_models.outputs(model, inputs)["output_0"]
        np.testing.assert_allclose(found[-1], expected, atol=1e-6)
    np.testing.assert_allclose(*found, atol=1e-6)
    rows = [sorted(map(dataclasses.astuple, report.rows), key=str) for report in reports]
    if len(tables(model)) == len(tables(MAKE[name]())):
        assert rows[0] == rows[1]
    elif storage == "packed":
        assert {row.path for row in reports[1].rows} == {
            "graph",
            "users/embeddings",
            "items/embeddings",
        }


@pytest.mark.parametrize("name", MAKE)
def test_it_comes_back_packed(tmp_path, name):
    _, model = pair(name)
    saved_model(model, tmp_path / "a")
    again = load_packed(tmp_path / "a")
    for ours, theirs in zip(tables(model), tables(again), strict=True):
        assert type(theirs) is type(ours)
        np.testing.assert_array_equal(theirs, ours)
        np.testing.assert_array_equal(mask_of(theirs), mask_of(ours))


@pytest.mark.parametrize("name", MAKE)
def test_retrieval_finds_the_same(tmp_path, name):
    found = []
    for place, model in enumerate(pair(name)):
        path = tmp_path / str(place)
        report = retrieval(model, GRAPH, path, k=3, storage="packed")
        assert not any("values" in row.path or "growth" in row.path for row in report.rows)
        served = tf.saved_model.load(str(path))
        found.append(served.signatures["serving_default"](tf.range(5, dtype=tf.int64)))
    for key, value in found[0].items():
        np.testing.assert_allclose(found[1][key], value, atol=1e-6)
