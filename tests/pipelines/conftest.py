"""Files that several tests of clicks begin with."""

import pytest
from click_rows import C, D

from data import catalog
from pipelines import criteo, criteo_text, stored_clicks, text_ranges


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Writes rows into a file of blocks of 4, shuffled by windows of 16."""
    monkeypatch.setattr(stored_clicks, "BLOCK_ROWS", 4)
    monkeypatch.setattr(stored_clicks, "WINDOW_ROWS", 16)

    def stored(data):
        path = tmp_path / f"{int(data.labels[0]) if len(data) else 'none'}.tfrecord"
        with stored_clicks.BlockWriter(path) as writer:
            for first in range(0, len(data), 7):  # pieces that are no blocks
                piece = data.part(first, first + 7)
                writer.write(stored_clicks.pack(piece.dense, piece.categorical, piece.labels))
        return stored_clicks.StoredClicks.open(path, len(data), D, C)

    return stored


@pytest.fixture(params=["in memory", "stored"])
def kept(request):
    """Turns rows into `Clicks` or `StoredClicks`."""
    return request.getfixturevalue("store") if request.param == "stored" else lambda data: data


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes lines in the place of the data set; small ranges and blocks, to have many."""
    monkeypatch.setattr(text_ranges, "RANGE_BYTES", 4000)
    monkeypatch.setattr(criteo_text, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(stored_clicks, "BLOCK_ROWS", 8)
    (tmp_path / criteo.NAME).mkdir()

    def write(lines, end="\n", last="\n", rows=None):
        counts = {"rows": len(lines) if rows is None else rows}
        entry = catalog.dataclasses.replace(catalog.get(criteo.NAME), counts=counts)
        monkeypatch.setitem(catalog.CATALOG, criteo.NAME, entry)
        text = end.join(lines) + last if lines else ""
        (tmp_path / criteo.NAME / criteo.FILE).write_bytes(text.encode())
        return tmp_path

    return write
