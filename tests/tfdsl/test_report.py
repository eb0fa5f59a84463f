import json

import keras
import numpy as np
import pytest

import tfdsl
from tfdsl.layers import SparseDense, SparseEmbedding
from tfdsl.report import report, sparse_optimizer_of


def small_model():
    """A table of 20 x 4, a masked kernel of 8 x 5 with a bias, a dense one of 5 x 1."""
    ids = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(SparseEmbedding(20, 4, name="table")(ids))
    x = SparseDense(5, name="hidden")(x)
    return keras.Model(ids, keras.layers.Dense(1, use_bias=False, name="out")(x))


def train(model, algorithm, **compile_arguments):
    optimizer = tfdsl.SparseOptimizer("adam", algorithm)
    model.compile(optimizer, loss="mse", **compile_arguments)
    model.fit(np.arange(16).reshape(8, 2), np.ones((8, 1)), batch_size=2, verbose=0)
    return model


def rows_of(model):
    return {row.path: row for row in report(model).rows}


@pytest.fixture(scope="module")
def trained():
    return train(small_model(), tfdsl.DSL(density=0.25, update_interval=1, total_steps=8))


def test_sums_and_rows_of_a_hand_counted_model(trained):
    found = report(trained)
    assert (found.active, found.total, found.density) == (20 + 10, 80 + 40, 0.25)
    assert found.parameters == 20 + 10 + 5 + 5
    assert found.bytes == 4 * 40
    assert found.flops == 2 * (10 + 5)
    assert found.training_flops == 3 * found.flops
    assert found.non_trainable == 0
    table, kernel, bias, out = found.rows
    assert (table.path, table.shape, table.flops, table.bytes) == (
        "table/embeddings",
        (20, 4),
        0,
        80,
    )
    assert (kernel.active, kernel.total, kernel.density, kernel.target) == (10, 40, 0.25, 0.25)
    assert (kernel.flops, kernel.note) == (20, "")
    assert (bias.masked, bias.flops, bias.note) == (False, 0, "no mask: bias/vector")
    assert (out.masked, out.target, out.exploration, out.note) == (False, None, None, "no mask")


def test_active_entries_are_the_weights_that_are_not_zero_off_their_masks(trained):
    for sparse, path in zip(
        trained.optimizer.sparse_weights, ("table/embeddings", "hidden/kernel"), strict=True
    ):
        assert np.count_nonzero(sparse.weight.numpy()) <= rows_of(trained)[path].active


def test_exploration_is_the_share_of_entries_that_were_ever_active(trained):
    ever = [np.count_nonzero(s.ever_active.numpy()) for s in trained.optimizer.sparse_weights]
    assert rows_of(trained)["hidden/kernel"].exploration == ever[1] / 40 > 0.25
    assert report(trained).exploration == sum(ever) / 120


def test_a_model_without_masks_is_dense():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    found = report(model)
    assert (found.active, found.total, found.density, found.exploration) == (0, 0, 1.0, None)
    assert (found.parameters, found.bytes, found.flops) == (8, 32, 12)


def test_notes_say_why_masks_are_not_made_yet():
    model = small_model()
    assert rows_of(model)["hidden/kernel"].note == "masks not made yet: no SparseOptimizer"
    model.compile(tfdsl.SparseOptimizer("sgd", tfdsl.StaticSparse(density=0.5)))
    row = rows_of(model)["hidden/kernel"]
    assert (row.note, row.target) == ("masks not made yet: optimizer not built", None)
    model.optimizer.build(model.trainable_variables)
    row = rows_of(model)["hidden/kernel"]
    assert (row.note, row.target, row.active) == ("", 0.5, 20)


def test_density_one_is_dense_on_purpose():
    model = train(small_model(), tfdsl.StaticSparse(density=1.0))
    row = rows_of(model)["hidden/kernel"]
    assert (row.note, row.target, row.exploration) == ("density 1.0", 1.0, 1.0)


def test_a_sparse_model_needs_no_optimizer_to_be_reported(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    row = rows_of(loaded)["hidden/kernel"]
    assert (row.active, row.note, row.target, row.exploration) == (10, "", None, None)
    assert report(loaded).exploration is None


def test_the_optimizer_is_found_inside_a_loss_scale_optimizer():
    inner = tfdsl.SparseOptimizer("sgd", tfdsl.StaticSparse(density=0.5))
    model = small_model()
    model.compile(keras.optimizers.LossScaleOptimizer(inner), loss="mse")
    model.optimizer.build(model.trainable_variables)
    assert sparse_optimizer_of(model) is inner
    assert rows_of(model)["hidden/kernel"].target == 0.5


def test_no_sparse_optimizer_is_none():
    model = small_model()
    assert sparse_optimizer_of(model) is None
    model.compile("sgd")
    assert sparse_optimizer_of(model) is None


class Towers(keras.layers.Layer):
    """Tables in a dict and in a nested layer, and a matrix of its own that is no table."""

    def __init__(self):
        super().__init__(name="towers")
        self.tables = {"user": [keras.layers.Embedding(6, 2, name="user")]}
        self.rest = keras.Sequential([SparseEmbedding(7, 2, name="item")], name="rest")

    def build(self, input_shape):
        self.tables["user"][0].build(input_shape)
        self.rest.build(input_shape)
        self.matrix = self.add_weight(shape=(2, 2), name="matrix")

    def call(self, ids):
        return (self.tables["user"][0](ids) + self.rest(ids)) @ self.matrix


def test_tables_are_found_inside_composite_layers():
    ids = keras.Input((1,), dtype="int32")
    found = report(keras.Model(ids, Towers()(ids)))
    assert sorted((row.shape, row.flops) for row in found.rows) == [
        ((2, 2), 8),
        ((6, 2), 0),
        ((7, 2), 0),
    ]


def test_bytes_follow_the_dtype_of_the_variable():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="float16")])
    assert report(model).bytes == 2 * 8


def test_statistics_are_counted_apart_and_frozen_sparse_weights_stay():
    model = keras.Sequential(
        [keras.Input((3,)), SparseDense(2, name="kept"), keras.layers.BatchNormalization()]
    )
    model.layers[0].trainable = False
    found = report(model)
    assert [row.shape for row in found.rows] == [(3, 2), (2,), (2,)]
    assert found.non_trainable == 2 + 2 + 2  # moving mean and variance, the frozen bias


def test_to_dict_is_the_report_as_json(trained):
    found = report(trained)
    values = found.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert (values["active"], values["parameters"], values["training_flops"]) == (30, 40, 90)
    assert values["rows"][1]["density"] == 0.25


def test_the_printed_table_is_aligned_and_ends_with_the_sums(trained):
    lines = str(report(trained)).splitlines()
    heading, _, table, kernel = lines[1:5]
    end = heading.index("Active") + len("Active")
    assert table[:end].endswith(" 20") and kernel[:end].endswith(" 10")
    assert kernel.startswith("hidden/kernel ")
    assert lines[-4].startswith("Masked weights: 30 of 120 active, density 0.2500")
    assert lines[-3] == "Parameters: 40 (160 bytes)"
    assert lines[-1] == "FLOPs a sample: 30 inference, 90 training"


def test_what_has_no_weights_is_refused():
    with pytest.raises(ValueError, match="has no weights yet"):
        report(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="received <Dense"):
        report(keras.layers.Dense(2))
