import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from mutations import mutate, mutations
from properties import examples, hold
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tfdsl
from tfdsl.callbacks import SparsityLogger
from tfdsl.layers import SparseDense
from tfdsl.report import report

STATIC = tfdsl.StaticSparse(density=0.25)
PLAIN_FIT = {"batch_size": 4, "shuffle": False, "verbose": 0}


def small_model(algorithm=STATIC, inputs=True):
    keras.utils.set_random_seed(1)
    layers = [SparseDense(6, name="hidden"), SparseDense(1, name="out")]
    model = keras.Sequential([keras.Input((4,)), *layers] if inputs else layers, name="small")
    model.compile(tfdsl.SparseOptimizer("sgd", algorithm), loss="mse")
    return model


def data():
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def fit(model, log_dir, epochs, every=1, callbacks=(), **kwargs):
    logger = SparsityLogger(log_dir, every=every)
    model.fit(*data(), epochs=epochs, callbacks=[*callbacks, logger], **PLAIN_FIT, **kwargs)
    return model


def log_by_hand(model, log_dir, epochs, every=1):
    """Calls the logger as `fit` does, without training."""
    logger = SparsityLogger(log_dir, every=every)
    logger.set_model(model)
    logger.on_train_begin()
    for epoch in epochs:
        logger.on_epoch_begin(epoch)
        logger.on_epoch_end(epoch)
    logger.on_train_end()


def rows_of(log_dir):
    with (log_dir / "sparsity.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scalars_of(log_dir, name):
    events = EventAccumulator(str(log_dir), size_guidance={"tensors": 0}).Reload()
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(name)}


class Reports(keras.callbacks.Callback):
    """Keeps a report of the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(report(self.model))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A logged run of DSL over three epochs of two steps: its folder, reports and model."""
    log_dir, reports = tmp_path_factory.mktemp("run") / "new" / "logs", Reports()
    algorithm = tfdsl.DSL(density=0.25, update_interval=1, total_steps=100)
    model = fit(small_model(algorithm), log_dir, epochs=3, callbacks=[reports])
    return log_dir, reports.seen, model


def test_a_row_an_epoch_equals_the_report_of_that_moment(run):
    log_dir, reports, _ = run
    rows = rows_of(log_dir)
    assert [(row["epoch"], row["step"]) for row in rows] == [("0", "2"), ("1", "4"), ("2", "6")]
    for row, seen in zip(rows, reports, strict=True):
        assert float(row["density"]) == seen.density
        assert int(row["active"]) == seen.active
        assert float(row["exploration"]) == seen.exploration > seen.density
        assert float(row["small/hidden/kernel"]) == seen.rows[0].density == 0.25
        assert row["skipped_steps"] == "0"
    assert list(row)[6:] == ["small/hidden/kernel", "small/out/kernel"]


def test_tensorboard_gets_the_same_numbers(run):
    rows = rows_of(run[0])
    for name in list(rows[0])[1:]:
        expected = {int(row["epoch"]): pytest.approx(float(row[name])) for row in rows}
        assert scalars_of(run[0], f"sparsity/{name}") == expected


def test_it_changes_nothing_in_training(run):
    plain = small_model(tfdsl.DSL(density=0.25, update_interval=1, total_steps=100))
    plain.fit(*data(), epochs=3, **PLAIN_FIT)
    for a, b in zip(run[2].weights, plain.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_model_that_is_built_in_its_first_step_is_logged(tmp_path):
    fit(small_model(inputs=False), tmp_path, epochs=2)
    assert [row["small/hidden/kernel"] for row in rows_of(tmp_path)] == ["0.25", "0.25"]


def test_skipped_steps_are_counted(tmp_path):
    x = np.full((8, 4), np.nan, "float32")
    small_model().fit(x, x[:, :1], callbacks=[SparsityLogger(tmp_path)], **PLAIN_FIT)
    assert (rows_of(tmp_path)[0]["skipped_steps"], rows_of(tmp_path)[0]["step"]) == ("2", "0")


def test_a_row_every_so_many_epochs(run, tmp_path):
    log_by_hand(run[2], tmp_path, range(5), every=2)
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1", "3"]


def test_a_resumed_run_has_every_epoch_once(tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    whole, parts, backup = tmp_path / "whole", tmp_path / "parts", tmp_path / "backup"
    fit(small_model(), whole, epochs=5)
    # Killed after its row was written and before the epoch was backed up.
    steps = [SparsityLogger(parts), Kill(), keras.callbacks.BackupAndRestore(backup)]
    with pytest.raises(KeyboardInterrupt):
        small_model().fit(*data(), epochs=5, callbacks=steps, **PLAIN_FIT)
    assert [row["epoch"] for row in rows_of(parts)] == ["0", "1", "2"]
    fit(small_model(), parts, epochs=5, callbacks=steps[2:])
    assert (parts / "sparsity.csv").read_bytes() == (whole / "sparsity.csv").read_bytes()
    assert sorted(scalars_of(parts, "sparsity/density")) == [0, 1, 2, 3, 4]


def test_a_second_fit_from_epoch_zero_starts_the_file_anew(run, tmp_path):
    log_by_hand(run[2], tmp_path, range(3))
    log_by_hand(run[2], tmp_path, range(1))
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["0"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"",
        lambda text: b"\n\n",
        lambda text: b"\xff\xfe" + text,
        lambda text: text.replace(b"\n0,", b"\nx,"),
        lambda text: text[: len(text) // 2 * 2 - 20] + b"\r\n1,2",
    ],
    ids=["empty", "empty lines", "no text", "no epoch", "cut"],
)
def test_a_damaged_log_is_refused_by_its_name(run, tmp_path, damage):
    log_by_hand(run[2], tmp_path, range(1))
    path = tmp_path / "sparsity.csv"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"sparsity.csv is (damaged|the log of another model)"):
        log_by_hand(run[2], tmp_path, range(1, 2))
    assert path.read_bytes() == before


@examples(30, 1000)
def test_a_mutated_log_is_refused_or_has_a_row_of_numbers_an_epoch(examples, run, tmp_path):
    log_by_hand(run[2], tmp_path, range(4))
    path = tmp_path / "sparsity.csv"
    whole = path.read_bytes()

    def refused_or_read(changes):
        path.write_bytes(mutate(whole, changes))
        before = path.read_bytes()
        try:
            log_by_hand(run[2], tmp_path, range(4, 5))
        except ValueError as error:
            assert "sparsity.csv is" in str(error)
            assert path.read_bytes() == before
            return
        epochs = [int(row["epoch"]) for row in rows_of(tmp_path)]
        assert epochs[-1] == 4
        assert epochs == sorted(set(epochs))
        for row in rows_of(tmp_path):
            assert np.isfinite([float(value or 0) for value in row.values()]).all()

    hold(refused_or_read, examples, changes=mutations)


def test_the_log_of_another_model_is_not_gone_on_with(run, tmp_path):
    log_by_hand(run[2], tmp_path, range(1))
    before = (tmp_path / "sparsity.csv").read_bytes()
    other = keras.Sequential([keras.Input((4,)), SparseDense(1, name="other")])
    other.compile(tfdsl.SparseOptimizer("sgd", STATIC), loss="mse")
    with pytest.raises(ValueError, match="log of another model"):
        log_by_hand(other, tmp_path, range(1, 2))
    assert (tmp_path / "sparsity.csv").read_bytes() == before


def test_two_weights_of_one_path_have_a_column_each(tmp_path):
    class Twice(keras.Model):
        def __init__(self):
            super().__init__(name="twice")
            self.parts = [SparseDense(3, name="same"), SparseDense(1, name="same")]
            for part, width in zip(self.parts, (4, 3), strict=True):
                part.build((None, width))

        def call(self, x):
            return self.parts[1](self.parts[0](x))

    model = Twice()
    model.compile(tfdsl.SparseOptimizer("sgd", tfdsl.StaticSparse(density=0.5)), loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.built = True
    log_by_hand(model, tmp_path, range(1))
    row = rows_of(tmp_path)[0]
    assert (row["same/kernel"], float(row["same/kernel#2"])) == ("0.5", pytest.approx(2 / 3))


def test_wrong_use_is_refused(tmp_path):
    with pytest.raises(ValueError, match="received 0"):
        SparsityLogger(tmp_path, every=0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="SGD"):
        fit(model, tmp_path, epochs=1)
    neurons = tfdsl.StructuredPruning(0.5, prune_step=1)
    model = keras.Sequential([keras.Input((4,)), tfdsl.layers.PrunableMLP([4, 1])])
    model.compile(tfdsl.SparseOptimizer("sgd", neurons), loss="mse")
    with pytest.raises(ValueError, match=r"StructuredPruning prunes neurons; tfdsl\.report"):
        fit(model, tmp_path, epochs=1)
    assert not list(tmp_path.iterdir())
