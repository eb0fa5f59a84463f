"""JSON as it is written for people and for git."""

import json

import pytest

from pipelines import files


@pytest.mark.parametrize("rows", [[], [{"b": [1, 2], "a": None}], [{"a": 0.1}, {"a": "ü\n"}, 3]])
def test_an_array_has_a_row_a_line(tmp_path, rows):
    path = tmp_path / "table.json"
    files.write_lines(path, iter(rows))
    assert json.loads(path.read_text()) == rows
    lines = path.read_text().splitlines()
    assert [json.loads(line.rstrip(",")) for line in lines[1:-1]] == rows
    assert path.read_text().endswith("]\n")


def test_names_are_sorted(tmp_path):
    files.write_lines(tmp_path / "table.json", [{"b": 1, "a": 2}])
    assert (tmp_path / "table.json").read_text() == '[\n{"a": 2, "b": 1}\n]\n'
