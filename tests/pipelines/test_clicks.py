import dataclasses

import numpy as np
import pytest
from click_rows import C, D, rows, stream_of, taken

from pipelines import clicks


def test_without_a_seed_rows_come_in_order_and_once(kept):
    data = kept(rows(23))
    assert len(data) == 23
    assert taken(data.batches(5)) == np.arange(20).reshape(4, 5).tolist()
    assert taken(data.batches(5, keep_rest=True))[4] == [20, 21, 22]
    assert taken(data.batches(5, first_step=3, keep_rest=True)) == [
        [15, 16, 17, 18, 19],
        [20, 21, 22],
    ]
    assert taken(data.batches(5, first_step=1, steps=2)) == [[5, 6, 7, 8, 9], list(range(10, 15))]
    assert taken(data.batches(5, first_step=5, keep_rest=True)) == []


@pytest.mark.parametrize("batch_size", [5, 16, 50])
def test_with_a_seed_every_epoch_has_every_row_once_in_another_order(kept, batch_size):
    data = kept(rows(23))
    stream = stream_of(data.batches(batch_size, seed=1, steps=3 * 23 // batch_size))
    epochs = [stream[first : first + 23] for first in (0, 23)]
    for epoch in epochs[: len(stream) // 23]:
        assert sorted(epoch) == list(range(23))
        assert epoch != list(range(23))
    assert epochs[0] != epochs[1]
    other = taken(data.batches(batch_size, seed=2, steps=1))
    assert other[0] != stream[:batch_size]


def test_a_batch_depends_on_seed_and_step_alone(kept):
    data = kept(rows(43))
    every = taken(data.batches(5, seed=7, steps=30))
    # The first epoch ends in batch 8; its windows begin in batches 0, 3 and 6 where it is stored.
    for first in (4, 8, 25):
        assert taken(data.batches(5, seed=7, first_step=first, steps=3)) == every[first : first + 3]


def test_batch_shapes_are_static_where_all_are_whole(kept):
    data = kept(rows(23))
    for dataset in (data.batches(5), data.batches(5, seed=1)):
        (dense, categorical), labels = dataset.element_spec
        assert (dense.shape, categorical.shape, labels.shape) == ((5, D), (5, C), (5, 1))
        assert [s.dtype.name for s in (dense, categorical, labels)] == [
            "float32",
            "int32",
            "float32",
        ]


@pytest.mark.parametrize(("start", "stop"), [(0, 23), (3, 9), (4, 8), (5, 6), (22, 23), (9, 9)])
def test_a_part_has_its_rows_and_parts_join_again(kept, start, stop):
    data = kept(rows(23))
    part = data.part(start, stop)
    assert len(part) == stop - start
    if len(part):
        assert taken(part.batches(4, keep_rest=True))[0] == list(range(start, min(start + 4, stop)))
    joined = data.part(0, start).joined([part, data.part(stop, 23)])
    assert stream_of(joined.batches(4, keep_rest=True)) == list(range(23))


def test_the_last_day_is_halved_and_the_others_are_trained_on(kept):
    days = [kept(rows(n, first)) for first, n in ((0, 5), (5, 6), (11, 7))]
    data = clicks.ClickData(days, (300,) * C, D)
    parts = (data.split().train, data.split().test, data.split().validation)
    found = [stream_of(part.batches(4, keep_rest=True)) for part in parts]
    assert found == [list(range(11)), [11, 12, 13, 14], [15, 16, 17]]
    stream = stream_of(data.split().train.batches(11, seed=3, steps=2))
    assert sorted(stream[:11]) == sorted(stream[11:]) == list(range(11))


def test_integers_are_logs_with_missing_and_negative_ones_at_zero():
    values = np.array([[np.nan, -3.0, 0.0], [1.0, np.e - 1.0, 23_159_456.0]])
    found = clicks.transform_integers(values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 0, 0], [np.log(2), 1, np.log(23_159_457)]], rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dense": np.zeros((4, D))}, "`dense` must be float32"),
        ({"categorical": np.zeros((3, C), np.int32)}, "as many rows as there are labels, 4"),
        ({"labels": np.zeros((4, 1), np.float32)}, "`labels` must be float32 of 1 axes"),
    ],
)
def test_arrays_of_another_kind_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(rows(4), **wrong)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"seed": -1}, {"first_step": -1}, {"steps": 0}]
)
def test_arguments_outside_their_range_are_refused(kept, wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be a whole number"):
        kept(rows(4)).batches(**{"batch_size": 2} | wrong)


def test_no_rows_make_no_batches(kept):
    with pytest.raises(ValueError, match="no row to make batches of"):
        kept(rows(4)).part(2, 2).batches(2)


@pytest.mark.parametrize("first_step", [0, 3, 7])
def test_batches_at_once_are_the_same_batches(kept, first_step):
    data = kept(rows(23))
    one = taken(data.batches(4, seed=3, first_step=first_step, steps=6))
    found = []
    for (dense, categorical), labels in data.batches(
        4, seed=3, first_step=first_step, steps=5, at_once=3
    ):
        assert (dense.shape, categorical.shape, labels.shape) == ((3, 4, D), (3, 4, C), (3, 4, 1))
        found += labels.numpy()[..., 0].astype(int).tolist()
    with pytest.raises(ValueError, match="`at_once` needs a `seed`"):
        data.batches(4, at_once=3)
    assert found == one  # steps=5 are two elements, of six batches
