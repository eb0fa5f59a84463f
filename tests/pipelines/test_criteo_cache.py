import os
import pathlib
import platform
import subprocess
import sys

import pytest
from criteo_lines import assert_days, assert_same, hashed, random_lines, read

from pipelines import criteo, criteo_text, files, text_ranges

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
READ = """
import sys
import numpy as np
from data import catalog
from pipelines import criteo, criteo_text, stored_clicks
stored_clicks.BLOCK_ROWS = 8
criteo_text.parse = None
data = criteo.load(sys.argv[1], max_rows=50)
for (dense, ids), labels in data.split().train.batches(16, seed=5, first_step=3, steps=2):
    print(dense.numpy().tobytes().hex() + ids.numpy().tobytes().hex())
"""


def contents(folder):
    """Returns the bytes of a cache's files by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("vocabulary", criteo.VOCABULARIES)
def test_the_number_of_workers_and_the_ranges_change_no_bit(written, monkeypatch, vocabulary):
    folder = written([*random_lines(300)[:-1], "x"])
    found = []
    for workers, size in ((1, 1000), (4, 1000), (3, 1 << 20)):
        monkeypatch.setattr(text_ranges, "RANGE_BYTES", size)
        cache = folder / f"cache{workers}-{size}"
        with pytest.warns(UserWarning, match="line 300"):
            criteo.load(folder, cache, vocabulary, 50, min_count=3, bad_share=0.01, workers=workers)
        found.append(contents(next(cache.iterdir())))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 8 + (vocabulary == "cut")


def test_the_cache_is_read_without_the_text_being_parsed_again(written, monkeypatch):
    folder = written(random_lines(70))
    first = criteo.load(folder)
    monkeypatch.setattr(criteo_text, "parse", None)
    assert_same(read(criteo.load(folder).split().train), read(first.split().train))


@pytest.mark.parametrize(
    "change", ["parameters", "source", "damage", "no JSON", "a digit", "format"]
)
def test_a_cache_of_something_else_is_not_reused(written, monkeypatch, change):
    lines = random_lines(70)
    folder, max_rows = written(lines), 50
    criteo.load(folder, max_rows=max_rows)
    made = folder / criteo.NAME / "cache" / "hash-50"
    if change == "parameters":
        max_rows = 60
    elif change == "source":
        lines = random_lines(70, seed=1)
        written(lines)
    elif change == "no JSON":
        (made / "made.json").write_text("{")
    elif change == "a digit":
        text = (made / "made.json").read_text()
        (made / "made.json").write_text(text.replace("50", "51"))
    elif change == "damage":
        os.truncate(made / "day3.tfrecord", 40)
    else:
        content = files.read_record(made / "made.json")
        content["made_from"]["format"] = 0
        files.write_record(made / "made.json", content)
    data = criteo.load(folder, max_rows=max_rows)
    assert_days(data, lines, lambda value, field: hashed(value, field, max_rows))
    names = {path.name for path in made.parent.iterdir()}
    assert names == {"hash-50", f"hash-{max_rows}"}  # nothing of the old one is left over


def test_an_interrupted_run_leaves_nothing_that_is_taken_for_whole(written, monkeypatch):
    lines = random_lines(70)
    folder = written(lines)

    def interrupted(path, content):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            criteo.load(folder, max_rows=50)
    assert list((folder / criteo.NAME / "cache").iterdir()) == []
    data = criteo.load(folder, max_rows=50)
    assert_days(data, lines, lambda value, field: hashed(value, field, 50))


@pytest.mark.parametrize("made", [False, True])
def test_what_a_killed_process_left_is_removed_and_no_more(written, made):
    folder = written(random_lines(7))
    if made:
        criteo.load(folder, max_rows=50)
    with subprocess.Popen(["true"]) as gone:
        pass
    here, cache = platform.node(), folder / criteo.NAME / "cache"
    left = cache / f".hash-50.{here}.{gone.pid}.x"
    others = {
        f".hash-50.{here}.{os.getppid()}.x",  # of a process that works on it
        f".hash-50.not-{here}.{gone.pid}.x",  # of another computer, whose processes are not seen
        f".hash-500.{here}.{gone.pid}.x",  # of another cache
    }
    for name in (left.name, *others):
        (cache / name / "part").mkdir(parents=True)
    criteo.load(folder, max_rows=50)
    assert {path.name for path in cache.iterdir()} == {"hash-50", *others}


def test_of_two_that_make_the_same_cache_the_second_takes_the_firsts(written, monkeypatch):
    folder = written(random_lines(70))
    write_record = files.write_record

    def overtaken(path, content):
        monkeypatch.setattr(files, "write_record", write_record)
        criteo.load(folder, max_rows=50)
        write_record(path, content)

    monkeypatch.setattr(files, "write_record", overtaken)
    assert len(criteo.load(folder, max_rows=50).days[0]) == 10
    assert [p.name for p in (folder / criteo.NAME / "cache").iterdir()] == ["hash-50"]


def test_another_process_reads_the_same_batches(written):
    folder = written(random_lines(70))
    data = criteo.load(folder, max_rows=50)
    expected = [
        dense.numpy().tobytes().hex() + ids.numpy().tobytes().hex()
        for (dense, ids), _ in data.split().train.batches(16, seed=5, first_step=3, steps=2)
    ]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", READ, str(folder)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == expected
