import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdsl
from tests.helpers import exported_models
from tfdsl.export import load_packed, saved_model
from tfdsl.layers import mask_of


def assert_equal(model, other):
    assert [w.shape for w in model.weights] == [w.shape for w in other.weights]
    for ours, theirs in zip(model.trainable_weights, other.trainable_weights, strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours.numpy(), err_msg=ours.path)
        if mask_of(ours) is not None:
            np.testing.assert_array_equal(mask_of(theirs).numpy(), mask_of(ours).numpy())


@pytest.mark.parametrize("name", ["mult_vae", "neu_mf", "light_gcn", "dlrm", "functional"])
def test_a_model_comes_back_with_equal_weights_and_masks(tmp_path, name):
    model, inputs = exported_models.MODELS[name]()
    saved_model(model, tmp_path / "a")
    other = load_packed(tmp_path / "a")
    assert type(other).__name__ == type(model).__name__
    assert_equal(model, other)
    expected, found = (exported_models.outputs(m, inputs) for m in (model, other))
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"storage": "dense"},
        {"kernels": "bitmap"},
        {"values": "bfloat16"},
    ],
)
def test_it_comes_back_from_every_form(tmp_path, arguments):
    model, _ = exported_models.mult_vae()
    kernel = model.encoder_hidden.kernel
    active = np.argwhere(model.encoder_hidden.kernel_mask.numpy())[0]
    kernel.assign(tf.tensor_scatter_nd_update(kernel.value, [active], [0.0]))  # just grown
    saved_model(model, tmp_path / "a", **arguments)
    for weight in model.trainable_weights:
        if len(weight.shape) == 2:
            weight.assign(
                tf.cast(tf.cast(weight.value, arguments.get("values", "float32")), "float32")
            )
    assert_equal(model, load_packed(tmp_path / "a"))


def test_weights_of_16_bits_of_their_own_come_back(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    layers = [keras.Input((40,)), tfdsl.layers.SparseDense(30)]
    model = exported_models.masked(keras.Sequential(layers), 0.3)
    saved_model(model, tmp_path / "a")
    other = load_packed(tmp_path / "a")
    assert other.trainable_weights[0].dtype == "bfloat16"
    assert_equal(model, other)


def test_training_goes_on(tmp_path):
    model, _ = exported_models.mult_vae()
    saved_model(model, tmp_path / "a")
    other = load_packed(tmp_path / "a")
    other.compile("adam", "mse")
    before = tfdsl.report(other).active
    other.fit(np.eye(50, dtype="f4"), np.eye(50, dtype="f4"), verbose=0)
    assert tfdsl.report(other).active == before
    for weight in other.trainable_weights:
        if mask_of(weight) is not None:
            assert not weight.numpy()[~mask_of(weight).numpy()].any()


def test_an_mlp_comes_back_pruned(tmp_path):
    model, inputs = exported_models.pruned_dlrm()
    saved_model(model, tmp_path / "a")
    other = load_packed(tmp_path / "a")
    assert bool(other.bottom_mlp.is_pruned.numpy())
    assert other.bottom_mlp.n_kept == (12, 6)
    assert not other.bottom_mlp.kernels[1].numpy()[12:].any()
    expected, found = (exported_models.outputs(m, inputs)["output_0"] for m in (model, other))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_holds_only_propagated_embeddings_is_refused(tmp_path):
    saved_model(exported_models.light_gcn()[0], tmp_path / "a", storage="dense")
    with pytest.raises(ValueError, match=r"does not hold the weight 'nodes/embeddings'"):
        load_packed(tmp_path / "a")


def test_a_model_without_configuration_is_served_but_not_loaded(tmp_path):
    class Own(keras.Model):
        def __init__(self, units):  # Keras writes down numbers and strings, not functions
            super().__init__()
            self.layer = tfdsl.layers.SparseDense(units())

        def call(self, x):
            return self.layer(x)

    model = Own(lambda: 3)
    model(np.ones((2, 4)))
    saved_model(model, tmp_path / "a")
    with pytest.raises(ValueError, match=r"holds no model, only its outputs: .*non-serializable"):
        load_packed(tmp_path / "a")


def test_a_configuration_is_never_run_as_code(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    saved_model(model, tmp_path / "a")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        load_packed(tmp_path / "a")


class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x


def test_a_class_that_is_not_registered_is_asked_for(tmp_path):
    layers = [keras.Input((2,)), tfdsl.layers.SparseDense(3), Unregistered()]
    model = exported_models.masked(keras.Sequential(layers))
    saved_model(model, tmp_path / "a")
    with pytest.raises(ValueError, match=r"a: class 'Unregistered' .* in `custom_objects`\.$"):
        load_packed(tmp_path / "a")
    assert_equal(model, load_packed(tmp_path / "a", {"Unregistered": Unregistered}))


@keras.saving.register_keras_serializable()
class Refusing(keras.layers.Layer):
    reason = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.reason:
            raise ValueError(self.reason)

    def call(self, x):
        return x


def test_a_class_that_refuses_its_configuration_says_why(tmp_path, monkeypatch):
    layers = [keras.Input((2,)), tfdsl.layers.SparseDense(3), Refusing()]
    saved_model(exported_models.masked(keras.Sequential(layers)), tmp_path / "a")
    monkeypatch.setattr(Refusing, "reason", "\nnot\non Mondays")
    with pytest.raises(ValueError, match=r"a: ValueError: not on Mondays$"):
        load_packed(tmp_path / "a")


@pytest.mark.parametrize("config", [{"class_name": "Dense"}, None, [], {"config": {}}])
def test_what_is_no_configuration_is_refused_in_one_line(tmp_path, monkeypatch, config):
    serialize = keras.saving.serialize_keras_object
    monkeypatch.setattr(
        keras.saving,
        "serialize_keras_object",
        lambda model: serialize(model) | {"config": {"layers": [config]}},
    )
    saved_model(exported_models.mult_vae()[0], tmp_path / "a")
    with pytest.raises(ValueError, match=f"cannot be made .* in {tmp_path / 'a'}: .") as error:
        load_packed(tmp_path / "a")
    assert "\n" not in str(error.value)


def test_a_damaged_export_or_another_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no export of tfdsl"):
        load_packed(tmp_path)
    saved_model(exported_models.dlrm()[0], tmp_path / "a")
    data = tmp_path / "a" / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"is damaged: variables/variables.data.* differs"):
        load_packed(tmp_path / "a")


def test_an_export_for_serving_alone_is_refused(tmp_path):
    model, _ = exported_models.light_gcn()
    tfdsl.export.retrieval(model, None, tmp_path / "a", 3, storage="packed")
    with pytest.raises(ValueError, match=r"is an export for serving alone \(retrieval\)"):
        load_packed(tmp_path / "a")


def test_weights_that_a_class_no_longer_has_are_refused(tmp_path, monkeypatch):
    model, _ = exported_models.neu_mf()
    saved_model(model, tmp_path / "a")
    monkeypatch.setattr(
        tfdsl.models.NeuMF, "from_config", classmethod(lambda cls, c: cls(**c | {"hidden": ()}))
    )
    with pytest.raises(ValueError, match="its class has changed"):
        load_packed(tmp_path / "a")


def test_what_a_layer_has_adapted_to_is_loaded(tmp_path):
    normalization = keras.layers.Normalization()
    x = np.random.default_rng(0).normal(3.0, 2.0, (50, 5)).astype("f4")
    normalization.adapt(x)
    dense = tfdsl.layers.SparseDense(4)
    model = exported_models.masked(keras.Sequential([keras.Input((5,)), normalization, dense]), 0.5)
    tfdsl.export.saved_model(model, tmp_path / "a")
    np.testing.assert_allclose(tfdsl.load_packed(tmp_path / "a")(x), model(x), atol=1e-6)


def test_a_frozen_weight_that_the_export_does_not_hold_is_refused(tmp_path):
    model, _ = exported_models.light_gcn()
    model.trainable = False
    tfdsl.export.saved_model(model, tmp_path / "a", storage="dense")
    with pytest.raises(ValueError, match="does not hold the weight"):
        tfdsl.load_packed(tmp_path / "a")
