"""Training with packed tables: the same as with masks, whatever trains them."""

import keras
import numpy as np
import pytest

import tfdsl
from tests.helpers.packed_tables import (
    CANDIDATES,
    DENSITY,
    ROWS,
    STORAGES,
    WIDTH,
    algorithm_of,
    assert_alike,
    fit,
    model_of,
    table_and_mask,
)
from tfdsl import StaticSparse, packed_rows, row_blocks

INNER = {
    "adam": lambda: "adam",
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "average": lambda: keras.optimizers.AdamW(
        1e-2, weight_decay=0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=5
    ),
    "several": lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2),
}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def pair(inner="adam", make=algorithm_of, **kwargs):
    return [model_of(storage, INNER[inner](), make(), **kwargs) for storage in STORAGES]


@pytest.fixture(scope="module")
def trained():
    """A model with a mask and one with a packed table, of one epoch; not to be changed."""
    models = pair()
    for model in models:
        fit(model)
    return models


@pytest.mark.parametrize("inner", [slow("adam"), slow("momentum"), "average", slow("several")])
def test_it_is_trained_as_with_a_mask(inner):
    dense, packed = pair(inner)
    first = table_and_mask(packed)[1]
    histories = [fit(model, epochs=2).history["loss"] for model in (dense, packed)]
    np.testing.assert_allclose(*histories, rtol=1e-5)
    assert_alike(dense, packed)
    assert (table_and_mask(packed)[1] != first).any()
    slots = [model.optimizer.sparse_weights[0].slots for model in (dense, packed)]
    assert [slot.name for slot in slots[0]] == [slot.name for slot in slots[1]]


@pytest.mark.parametrize(
    "make",
    [
        slow(lambda: algorithm_of(grow="gradient")),
        slow(lambda: algorithm_of(grow="random_unfired", optimizer_state="mask")),
        lambda: StaticSparse(DENSITY, granularity="row", init="magnitude", optimizer_state="mask"),
        lambda: algorithm_of(first_values="rescale"),
    ],
    ids=["gradient", "unfired", "static", "rescaled"],
)
def test_every_algorithm_it_can_have_does_the_same(make):
    dense, packed = pair(make=make)
    for model in (dense, packed):
        fit(model)
    assert_alike(dense, packed)


def test_it_is_trained_the_same_in_every_mode():
    compiled, eager = model_of("packed", jit_compile=True), model_of("packed")
    eager.compile(eager.optimizer, loss="mse", run_eagerly=True)
    eager.optimizer.build(eager.trainable_variables)
    for model in (compiled, eager):
        fit(model)
    assert_alike(compiled, eager)


def test_mixed_precision_and_a_loss_scale_train_it():
    model = model_of("packed", dtype="mixed_float16")
    scaled = keras.optimizers.LossScaleOptimizer(tfdsl.SparseOptimizer("adam", algorithm_of()))
    model.compile(scaled, loss="mse")
    _, first = table_and_mask(model)
    fit(model)
    after, mask = table_and_mask(model)
    assert mask.sum() == first.sum()
    assert np.isfinite(after).all()
    assert (mask != first).any()


def test_every_row_keeps_its_budget_and_grows_what_was_drawn():
    model = model_of("packed")
    (weight,) = model.optimizer.sparse_weights or _built(model)
    budgets = None
    for _ in range(3):
        _, before = table_and_mask(model)
        drawn = packed_rows.mask_from(weight.weight.candidate_columns, WIDTH).numpy()
        assert not (drawn & before).any()
        fit(model, batch=60)  # four steps: one update
        values, mask = table_and_mask(model)
        budgets = before.sum(axis=1) if budgets is None else budgets
        np.testing.assert_array_equal(mask.sum(axis=1), budgets)
        assert not (mask & ~before & ~drawn).any()
        assert (mask & ~before).any()
        assert not values[mask & ~before].any()  # what has grown begins at zero
        assert (weight.ever_active.numpy() >= (mask | before)).all()


def _built(model):
    model.optimizer.build(model.trainable_variables)
    return model.optimizer.sparse_weights


def test_the_state_is_of_what_is_active(trained):
    rows = {"dense": WIDTH, "packed": 4}
    for model, storage in zip(trained, STORAGES, strict=True):
        table = [v for v in model.optimizer.variables if len(v.shape) == 2 and v.shape[0] == ROWS]
        widths = sorted(v.shape[1] for v in table if v.dtype == "float32")
        moments = [rows[storage]] * 2
        assert widths == moments + ([WIDTH] if storage == "dense" else [])  # sums of gradients


def test_it_is_saved_and_goes_on_where_it_was(tmp_path):
    model = model_of("packed")
    fit(model)
    model.save(tmp_path / "half.keras")
    again = keras.models.load_model(tmp_path / "half.keras")
    for one in (model, again):
        fit(one)
    assert_alike(model, again, atol=0)
    for one, other in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def test_what_was_learned_before_keeps_its_mask():
    model = model_of("packed")
    table = model.layers[0].embeddings
    mask = np.zeros((ROWS, WIDTH), bool)
    mask[:, [0, 5, 7]] = True
    values = np.random.default_rng(0).normal(size=mask.shape).astype("f4")
    table.assign(values, mask)
    _built(model)
    np.testing.assert_array_equal(table.mask.numpy(), mask)
    np.testing.assert_array_equal(table.numpy(), np.where(mask, values, 0))
    assert not model.optimizer._updates.made_masks
    fit(model)
    assert set(table.mask.numpy().sum(axis=1)) == {3}


def test_a_step_that_is_not_finite_changes_nothing(trained):
    model = trained[1]
    before = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    model.train_on_batch(np.zeros((4, 2), int), np.full((4, 1), np.nan))
    after = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if (a != b).any()]
    assert len(changed) == 1  # skipped_steps


@pytest.mark.slow
def test_many_rows_are_worked_on_in_blocks_with_the_same_outcome(monkeypatch):
    monkeypatch.setattr(row_blocks, "MOST_ROWS", 16)
    dense, packed = pair()
    for model in (dense, packed):
        fit(model)
    assert_alike(dense, packed)


def test_the_report_and_a_copy_tell_the_same_as_with_a_mask(trained):
    dense, packed = trained
    assert_alike(dense, packed)
    one, other = (tfdsl.report(model).to_dict() for model in (dense, packed))
    assert one == other
    copy = tfdsl.sparsify(packed)
    ids = np.array([[0, 1], [5, 39]])
    np.testing.assert_allclose(copy(ids), packed(ids), atol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"granularity": "entry", "candidates": None}, "granularity='row'"),
        ({"init": "bernoulli"}, "an exact init"),
        ({"density": 0.2}, "of density 0.3; the algorithm's for them is 0.2"),
        ({"candidates": 2}, f"has {CANDIDATES} candidates a row"),
        ({"candidates": None}, f"has {CANDIDATES} candidates a row"),
        ({"optimizer_state": "keep"}, "optimizer_state='reset' or 'mask'"),
        ({"drop": "taylor"}, "drop='magnitude'"),
        ({"grow": "momentum"}, "another grow than 'momentum'"),
    ],
)
def test_what_a_packed_table_cannot_follow_is_refused(kwargs, message):
    model = model_of("packed", algorithm=algorithm_of(**kwargs))
    with pytest.raises(ValueError, match=message):
        model.optimizer.build(model.trainable_variables)
