import pathlib

import pytest
from click_rows import C, D, rows, taken

from data.errors import DataError
from pipelines import stored_clicks


def test_a_batch_of_stored_rows_comes_from_many_blocks(store):
    first = taken(store(rows(400)).batches(16, seed=0, steps=1))[0]
    assert len({number // 4 for number in first}) == 4  # a window of 16 is 4 blocks of 4
    assert max(first) - min(first) > 16


def test_a_file_of_another_size_is_refused(store):
    path = store(rows(23)).paths[0]
    for n_rows in (22, 24, 400):
        with pytest.raises(DataError, match=f"{path} has .* bytes, expected .* of {n_rows} rows"):
            stored_clicks.StoredClicks.open(pathlib.Path(path), n_rows, D, C)
    with pytest.raises(DataError, match="none has 0 bytes"):
        stored_clicks.StoredClicks.open(pathlib.Path(path).with_name("none"), 0, D, C)
