import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdsl
from tfdsl.layers import mask_of
from tfdsl.models import DLRM

RNG = np.random.default_rng(0)
ROWS = (50, 7, 1000)
DENSE = RNG.normal(size=(256, 4)).astype(np.float32)
IDS = np.stack([RNG.integers(0, n, 256) for n in ROWS], axis=1).astype(np.int32)
CLICKS = (DENSE[:, :1] + (IDS[:, :1] < 20) > 0.5).astype(np.float32)
SMALL = {"n_dense": 4, "width": 8, "bottom": (12, 10), "top": (16, 6)}


def trained(optimizer, epochs=4, xla=True, **arguments):
    model = DLRM(ROWS, **SMALL, **arguments)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, jit_compile=xla)
    model.optimizer.build(model.trainable_variables)
    history = model.fit(
        (DENSE, IDS), CLICKS, batch_size=32, epochs=epochs, shuffle=False, verbose=0
    )
    return model, history.history["loss"]


def test_logits_are_those_of_the_parts_by_hand():
    model = DLRM((3, 4), n_dense=2, width=2, bottom=(3,), top=(5,))
    dense, ids = np.array([[0.5, -1.0]], np.float32), np.array([[2, 1]], np.int32)

    def mlp(layer, x):
        for place, (kernel, bias) in enumerate(zip(layer.kernels, layer.biases, strict=True)):
            x = x @ kernel.numpy() + bias.numpy()
            last = place == len(layer.kernels) - 1
            x = x if last and layer is model.top_mlp else np.maximum(x, 0)
        return x

    low, table = mlp(model.bottom_mlp, dense), model.tables.embeddings.numpy()
    a, b = table[[2]], table[[3 + 1]]
    products = [(low * a).sum(), (low * b).sum(), (a * b).sum()]
    expected = mlp(model.top_mlp, np.concatenate([low[0], products])[None])
    np.testing.assert_allclose(model((dense, ids)), expected, rtol=1e-5)


def test_its_defaults_are_the_public_scripts_for_criteo_kaggle():
    model = DLRM([10] * 26)
    assert [k.shape for k in model.bottom_mlp.kernels] == [
        (13, 512),
        (512, 256),
        (256, 64),
        (64, 16),
    ]
    assert [k.shape for k in model.top_mlp.kernels] == [(367, 512), (512, 256), (256, 1)]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint8])
def test_ids_may_be_hashes_of_any_integer_type(dtype):
    model = DLRM(ROWS, **SMALL)
    most = 2**63 if dtype is not np.uint8 else 2**8
    ids = RNG.integers(0, most, (256, 3), dtype=dtype)
    expected = (ids.astype(np.uint64) % np.array(ROWS, np.uint64)).astype(np.int32)
    found = tf.function(model, jit_compile=True)((DENSE, tf.constant(ids)))
    np.testing.assert_array_equal(found, tf.function(model, jit_compile=True)((DENSE, expected)))


def test_ids_of_one_remainder_share_a_row():
    model = DLRM((50, 7, 1000), **SMALL, max_rows=20)
    assert model.tables.embeddings.shape == (20 + 7 + 20, 8)
    other = IDS + np.array([20, 0, 40], np.int32)
    np.testing.assert_array_equal(model((DENSE, IDS)), model((DENSE, other)))


def test_a_table_begins_uniform_within_one_over_the_root_of_its_rows():
    model = DLRM(ROWS, **SMALL)
    parts = np.split(model.tables.embeddings.numpy(), np.cumsum(ROWS)[:-1])
    for n, part in zip(ROWS, parts, strict=True):
        assert 0.9 * n**-0.5 < np.abs(part).max() <= n**-0.5


def test_it_learns_and_ends_at_full_size_after_pruned_stretches():
    algorithm = tfdsl.AlternateGrowthPruning(0.5, total_steps=80, cycles=2)
    model, losses = trained(tfdsl.SparseOptimizer("adam", algorithm), epochs=10)
    assert losses[-1] < 0.9 * losses[0]
    assert not model.bottom_mlp.is_pruned.numpy() and not model.top_mlp.is_pruned.numpy()
    assert (np.sort(model.top_mlp.orders[0]) != model.top_mlp.orders[0].numpy()).any()


def test_its_tables_train_sparse():
    optimizer = tfdsl.SparseOptimizer(
        keras.optimizers.Adam(0.01), tfdsl.DSL(0.25, update_interval=5, total_steps=32)
    )
    model, losses = trained(optimizer, sparse_tables=True)
    mask = mask_of(model.tables.embeddings).numpy()
    assert mask.sum() == round(0.25 * mask.size)
    assert (model.tables.embeddings.numpy()[~mask] == 0).all()
    assert losses[-1] < losses[0]


def test_the_report_counts_neurons_in_use():
    model, _ = trained(tfdsl.SparseOptimizer("sgd", tfdsl.StructuredPruning(0.5, prune_step=1)), 1)
    rows = {"/".join(row.path.split("/")[-2:]): row for row in tfdsl.report(model).rows}
    assert rows["top/kernel_1"].active == 8 * 3
    assert rows["top/kernel_1"].flops == 2 * 8 * 3
    assert rows["top/kernel_1"].note == "neurons: some are pruned now"
    assert rows["bottom/kernel_0"].active == 4 * 6


def test_a_saved_model_goes_on_with_the_same_bits(tmp_path):
    algorithm = tfdsl.AlternateGrowthPruning(0.5, total_steps=32, cycles=2)
    model, _ = trained(tfdsl.SparseOptimizer("adam", algorithm), epochs=1, xla=False)
    assert model.top_mlp.is_pruned.numpy()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, again):
        one.fit((DENSE, IDS), CLICKS, batch_size=32, epochs=1, shuffle=False, verbose=0)
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_gradients_of_the_tables_stay_sparse():
    model = DLRM(ROWS, **SMALL)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model((DENSE, IDS)))
    assert isinstance(tape.gradient(loss, model.tables.embeddings.value), tf.IndexedSlices)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"table_rows": []}, "at least one field; received none"),
        ({"table_rows": [3, 0]}, "`table_rows`.*received 0"),
        ({"n_dense": 0}, "`n_dense`.*received 0"),
        ({"width": 0}, "`width`.*received 0"),
        ({"max_rows": 0}, "`max_rows`.*received 0"),
        ({"bottom": (4, 0)}, "`bottom`.*received 0"),
        ({"top": 5}, "`top` must be a list of whole numbers; received 5"),
        ({"table_rows": 5}, "`table_rows` must be a list of whole numbers; received 5"),
        ({"seed": -1}, "`seed`.*received -1"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        DLRM(**({"table_rows": [3, 4]} | arguments))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((DENSE, IDS[:, :1]), r"`categorical` must have shape \(batch, 3\); received \(256, 1\)"),
        ((DENSE, IDS[:, 0]), r"`categorical` must have shape \(batch, 3\); received \(256,\)"),
        ((DENSE[:, :3], IDS), r"`dense` must have shape \(batch, 4\); received \(256, 3\)"),
    ],
)
def test_inputs_of_another_width_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        DLRM(ROWS, **SMALL)(inputs)
