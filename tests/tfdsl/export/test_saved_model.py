import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdsl
from tests.helpers import exported_models
from tfdsl.export import folder, saved_model


def stack(density=0.1, units=256):
    model = tfdsl.sparsify(
        keras.Sequential([keras.Input((64,)), keras.layers.Dense(units), keras.layers.Dense(units)])
    )
    return exported_models.masked(model, density)


def served(path, **inputs):
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    return {k: v.numpy() for k, v in function(**inputs).items()}


@pytest.mark.parametrize("values", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("storage", "unpack"), [("dense", "request"), ("packed", "request"), ("packed", "load")]
)
def test_outputs_are_those_of_the_values_that_are_stored(tmp_path, storage, unpack, values):
    model = stack()
    saved_model(model, tmp_path / "a", storage=storage, values=values, unpack=unpack)
    x = np.random.default_rng(0).normal(size=(20, 64)).astype("f4")
    found = served(tmp_path / "a", inputs=x)["output_0"]
    for weight in model.trainable_weights:
        if len(weight.shape) == 2:
            weight.assign(tf.cast(tf.cast(weight.value, values), tf.float32))
    np.testing.assert_allclose(found, model(x), atol=1e-6)


def test_the_size_follows_the_density_and_every_variable_is_written_once(tmp_path):
    report = saved_model(stack(units=1500), tmp_path / "a", storage="dense")
    variables = sum(n for name, n in report.files.items() if "data-" in name)
    assert variables < 1.01 * report.dense_bytes
    packed = saved_model(stack(units=1500), tmp_path / "b", values="bfloat16")
    assert packed.weight_bytes < 0.08 * packed.dense_bytes
    assert packed.bytes < 0.1 * report.bytes


def test_unpacked_when_loaded_is_as_small_on_disk_and_trained_on_alike(tmp_path):
    model = stack(units=1500)
    packed = saved_model(model, tmp_path / "a")
    at_load = saved_model(model, tmp_path / "b", unpack="load")
    assert at_load.weight_bytes == packed.weight_bytes
    assert at_load.bytes < 1.02 * packed.bytes
    other = tfdsl.export.load_packed(tmp_path / "b")
    for mine, its in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_what_only_training_needs_stays_behind(tmp_path):
    model, _ = exported_models.mult_vae()
    model.compile(tfdsl.SparseOptimizer("adam", tfdsl.DSL(density=0.1, total_steps=9)), "mse")
    report = saved_model(model, tmp_path / "a", storage="dense")
    kept = {row.path.split("/", 1)[-1] for row in report.rows}
    names = ("encoder_hidden", "encoder_latent", "decoder_hidden", "decoder_items")
    assert kept == {f"{name}/{part}" for name in names for part in ("kernel", "bias")}
    stored = tf.train.list_variables(str(tmp_path / "a" / "variables" / "variables"))
    assert len([name for name, _ in stored if name.startswith("weights/")]) <= 16


def test_mlps_are_written_without_their_pruned_neurons(tmp_path):
    model, _ = exported_models.pruned_dlrm()
    shapes = {r.path: r.stored_shape for r in saved_model(model, tmp_path / "a").rows}
    assert shapes["bottom/kernel_0"] == (13, 12)
    assert shapes["bottom/kernel_1"] == (12, 6)
    assert shapes["bottom/kernel_2"] == (6, 16)
    assert shapes["top/bias_1"] == (5,)


def test_the_report_says_what_was_chosen_among_what(tmp_path):
    report = saved_model(stack(), tmp_path / "a", kernels="bitmap")
    kernel = report.rows[0]
    assert kernel.form == "bitmap"
    assert set(kernel.form_bytes) == {"whole", "bitmap"}
    assert kernel.bytes == min(kernel.form_bytes.values())
    assert "bitmap" in str(report)
    assert f"{report.bytes:,} bytes on disk" in str(report)
    assert report.bytes == sum(f.stat().st_size for f in (tmp_path / "a").rglob("*") if f.is_file())


def test_a_dense_weight_is_whole_where_packing_does_not_pay(tmp_path):
    report = saved_model(stack(density=0.95), tmp_path / "a")
    assert [row.form for row in report.rows if len(row.shape) == 2] == ["whole", "whole"]


def test_weights_that_no_layer_of_ours_reads_are_unpacked(tmp_path):
    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(3, *input_shape[1:]), name="scale")
            tfdsl.layers.add_mask(self, self.scale)

        def call(self, x):
            return keras.ops.sum(x[:, None] * self.scale, axis=1)

    model = exported_models.masked(keras.Sequential([keras.Input((200,)), Scaled()]), 0.1)
    report = saved_model(model, tmp_path / "a")
    assert report.rows[0].form == "rows"
    x = np.random.default_rng(0).normal(size=(4, 200)).astype("f4")
    found = served(tmp_path / "a", inputs=x)["output_0"]
    np.testing.assert_allclose(found, model(x), atol=1e-6)


def test_a_subclassed_model_says_its_inputs_by_a_signature(tmp_path):
    class Sum(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = tfdsl.layers.SparseEmbedding(90, 8)

        def call(self, inputs):
            return keras.ops.sum(self.table(inputs["ids"]), axis=1) * inputs["by"]

    model = Sum()
    inputs = {"ids": np.array([[1, 2], [89, 0]]), "by": np.array([[2.0], [3.0]], "f4")}
    with pytest.raises(ValueError, match="has no weights yet"):
        saved_model(model, tmp_path / "a")
    expected = model(inputs)
    signature = {"ids": tf.TensorSpec((None, 2), tf.int64), "by": tf.TensorSpec((None, 1))}
    saved_model(model, tmp_path / "a", input_signature=signature)
    np.testing.assert_allclose(served(tmp_path / "a", **inputs)["output_0"], expected, atol=1e-6)


def test_a_model_of_mixed_precision_gives_its_own_outputs(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = stack()
    saved_model(model, tmp_path / "a")
    x = np.random.default_rng(0).normal(size=(20, 64)).astype("f4")
    found = served(tmp_path / "a", inputs=x)["output_0"]
    assert found.dtype == tf.bfloat16.as_numpy_dtype
    expected = tf.cast(model(x), tf.float32)
    np.testing.assert_allclose(found.astype("f4"), expected, atol=2e-2)


def test_the_model_is_as_it_was(tmp_path):
    model = stack()
    before = [weight.numpy() for weight in model.weights]
    saved_model(model, tmp_path / "a")
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    assert not [layer for layer in model.layers if "call" in vars(layer)]
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 64)), np.ones((8, 256)), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"storage": "zip"}, "`storage` must be one of dense, packed; received 'zip'"),
        ({"values": "int8"}, "`values` must be one of float32, bfloat16, float16"),
        ({"kernels": "coo"}, "`kernels` must be one of rows, bitmap"),
        ({"unpack": "never"}, "`unpack` must be one of request, load"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        saved_model(stack(), tmp_path / "a", **arguments)
    assert not list(tmp_path.iterdir())


def test_what_is_no_model_or_changes_when_it_predicts_is_refused(tmp_path):
    class Counting(keras.layers.Layer):
        def build(self, input_shape):
            self.count = self.add_weight(shape=(), trainable=False, name="count")

        def call(self, x):
            self.count.assign_add(1.0)
            return x

    with pytest.raises(ValueError, match=r"takes a keras.Model; received 3"):
        saved_model(3, tmp_path / "a")
    model = keras.Sequential([keras.Input((2,)), Counting()])
    with pytest.raises(ValueError, match=r"changes its weight .*count. when it predicts"):
        saved_model(model, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_values_off_the_mask_are_refused_with_the_weights_name(tmp_path):
    model = stack()
    model.layers[0].kernel.assign(tf.ones((64, 256)))
    with pytest.raises(ValueError, match=r"'.*kernel' has values off its mask"):
        saved_model(model, tmp_path / "a", storage="dense")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("density", [0.0, 0.1])
def test_equal_weights_of_other_shapes_are_not_one_when_unpacked_at_load(tmp_path, density):
    layers = [tfdsl.layers.SparseDense(units) for units in (200, 300)]
    model = exported_models.masked(keras.Sequential([keras.Input((300,)), *layers]), density)
    if density:  # the same entries, row after row, in both
        for layer in layers:
            mask = np.zeros(layer.kernel.shape, bool)
            mask[0, :5] = True
            layer.kernel_mask.assign(mask)
            layer.kernel.assign(mask.astype("f4"))
    saved_model(model, tmp_path / "a", unpack="load")
    loaded = tf.saved_model.load(str(tmp_path / "a"))
    x = np.random.default_rng(0).normal(size=(3, 300)).astype("f4")
    found = loaded.signatures["serving_default"](inputs=x)["output_0"]
    np.testing.assert_allclose(found, model(x), atol=1e-6)


def test_two_threads_export_one_model(tmp_path):
    model = stack(units=8)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        paths = [tmp_path / name for name in ("a", "b", "b")]
        done = [pool.submit(saved_model, model, path, overwrite=True) for path in paths]
        sizes = {one.result().weight_bytes for one in done}
    assert len(sizes) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_layers_own_call_is_served_and_kept(tmp_path):
    model = stack(units=8)
    layer = model.layers[0]
    inner = layer.call
    object.__setattr__(layer, "call", lambda x, **_: 2 * inner(x))
    saved_model(model, tmp_path / "a")
    x = np.ones((3, 64), "f4")
    np.testing.assert_allclose(served(tmp_path / "a", inputs=x)["output_0"], model(x), atol=1e-6)
    assert "call" in vars(layer)


def test_input_names_are_what_an_argument_can_be_called(tmp_path):
    inputs = [keras.Input((3,), name=name) for name in ("user id", "1st", "a.b")]
    model = keras.Model(inputs, tfdsl.layers.SparseDense(2)(keras.layers.Concatenate()(inputs)))
    saved_model(model, tmp_path / "a")
    x = np.ones((2, 3), "f4")
    assert served(tmp_path / "a", user_id=x, arg_1st=x, a_b=x)["output_0"].shape == (2, 2)


def test_a_model_that_takes_several_arguments_is_refused_by_name(tmp_path):
    class Two(keras.Model):
        def __init__(self):
            super().__init__(name="two")
            self.dense = tfdsl.layers.SparseDense(2)

        def call(self, a, b):
            return self.dense(a) + b

    model = Two()
    model(np.ones((1, 3)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="'two' cannot be called with one structure"):
        saved_model(model, tmp_path / "a", input_signature=tf.TensorSpec((None, 3)))
    assert not list(tmp_path.iterdir())


def test_a_value_too_large_is_refused_with_the_weights_name(tmp_path):
    model = stack()
    model.layers[1].kernel.assign(model.layers[1].kernel * 1e9)
    with pytest.raises(ValueError, match=r"dense_1/kernel. cannot be exported. .*bfloat16"):
        saved_model(model, tmp_path / "a", values="float16")
    assert not list(tmp_path.iterdir())


def test_an_export_is_not_replaced_unless_asked_to(tmp_path):
    saved_model(stack(), tmp_path / "a")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        saved_model(stack(), tmp_path / "a")
    saved_model(stack(), tmp_path / "a", storage="dense", overwrite=True)
    assert folder.read(tmp_path / "a")["storage"] == "dense"
