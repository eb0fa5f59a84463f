import types

import keras
import pytest
import tensorflow as tf
from small_runs import STEPS, assert_equal, assert_sparse, compiled, dsl, fit, masks_of, values

import tfdsl


def everything(model):
    return values(model.variables) + values(model.optimizer.variables)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run of 12 steps, saved in every format after 7, just after a change of masks."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("interrupted")
    model = compiled(mode="xla")
    fit(model, 0, 7)
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    checkpoint = tf.train.Checkpoint(model=model).write(str(folder / "checkpoint"))
    at_7 = everything(model)
    fit(model, 7, STEPS)
    return types.SimpleNamespace(
        folder=folder, checkpoint=checkpoint, at_7=at_7, at_12=everything(model)
    )


def test_a_run_resumed_from_a_keras_file_ends_with_the_same_bits(interrupted):
    model = keras.models.load_model(interrupted.folder / "model.keras")
    assert_equal(everything(model), interrupted.at_7)
    fit(model, 7, STEPS)
    assert_equal(everything(model), interrupted.at_12)


def test_a_run_resumed_from_a_weights_file_ends_with_the_same_bits(interrupted):
    model = compiled(mode="xla")
    model.optimizer.build(model.trainable_variables)
    model.load_weights(interrupted.folder / "model.weights.h5")
    assert_equal(everything(model), interrupted.at_7)
    fit(model, 7, STEPS)
    assert_equal(everything(model), interrupted.at_12)


def test_a_run_resumed_from_a_tensorflow_checkpoint_ends_with_the_same_bits(interrupted):
    model = compiled(mode="xla")
    model.optimizer.build(model.trainable_variables)
    status = tf.train.Checkpoint(model=model).read(interrupted.checkpoint)
    status.assert_existing_objects_matched()
    assert_equal(everything(model), interrupted.at_7)
    fit(model, 7, STEPS)
    assert_equal(everything(model), interrupted.at_12)


@pytest.mark.slow  # tests/integration/test_kills.py kills one in a graph
def test_a_run_that_was_killed_and_backed_up_ends_with_the_same_bits(tmp_path):
    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise Killed

    def run(*callbacks):
        keras.utils.set_random_seed(1)
        model = compiled(mode="eager")
        fit(model, 0, 2, epochs=3, callbacks=list(callbacks))
        return everything(model)

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole = run()
    with pytest.raises(Killed):
        run(backup(), Kill())
    assert_equal(run(backup()), whole)


def test_a_model_saved_before_its_first_step_becomes_sparse_when_it_is_loaded_and_fitted(tmp_path):
    compiled().save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="Skipping variable loading"):  # as for any optimizer
        model = keras.models.load_model(tmp_path / "model.keras")
    fit(model, 0, 1)
    assert_sparse(model)


RISING = tfdsl.SET(tfdsl.schedules.Linear(0.25, 1.0, end=6), update_interval=2, total_steps=STEPS)


@pytest.mark.parametrize(
    "name", ["model.keras", pytest.param("model.weights.h5", marks=pytest.mark.slow)]
)
def test_a_model_that_has_become_dense_stays_so_when_it_is_loaded(tmp_path, name):
    model = compiled(algorithm=RISING)
    fit(model, 0, 8)
    assert all(mask.all() for mask in masks_of(model))
    if name.endswith("keras"):
        model.save(tmp_path / name)
        other = keras.models.load_model(tmp_path / name)
    else:
        model.save_weights(tmp_path / name)
        other = compiled(algorithm=RISING)
        other.optimizer.build(other.trainable_variables)
        assert not all(mask.all() for mask in masks_of(other))
        other.load_weights(tmp_path / name)
    assert_equal(everything(other), everything(model))
    fit(model, 8, STEPS)
    fit(other, 8, STEPS)
    assert_equal(everything(other), everything(model))


def test_state_of_another_algorithm_is_left_out_with_a_warning(tmp_path):
    model = compiled(algorithm=dsl(grow="accumulated_gradient"))
    fit(model, 0, 4)
    model.save_weights(tmp_path / "model.weights.h5")
    other = compiled()
    fit(other, 0, 1)
    with pytest.warns(UserWarning, match="another algorithm"):
        other.load_weights(tmp_path / "model.weights.h5")
    assert_equal(masks_of(other), masks_of(model))
    fit(other, 4, 5)
    for sparse in other.optimizer.sparse_weights:
        assert (sparse.ever_active.numpy() >= sparse.mask.numpy()).all()


def test_an_optimizer_survives_its_configuration():
    inner = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01)
    optimizer = tfdsl.SparseOptimizer(inner, dsl(seed=5), name="mine")
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == optimizer.get_config()
    assert isinstance(again.inner_optimizer, keras.optimizers.SGD)
    assert isinstance(again.algorithm, tfdsl.DSL)
    assert again.name == "mine"
