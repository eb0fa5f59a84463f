import numpy as np
import pytest

from data.errors import DataError
from pipelines import integers


def write(tmp_path, content):
    path = tmp_path / "numbers.txt"
    path.write_bytes(content)
    return path


def test_numbers_come_with_their_lines(tmp_path):
    table = integers.read(write(tmp_path, b"0 12\t3\r\n4\n 56  7 \n"))
    assert table.values.tolist() == [0, 12, 3, 4, 56, 7]
    assert table.lines.tolist() == [1, 1, 1, 2, 3, 3]
    assert table.is_first.tolist() == [True, False, False, True, True, False]
    assert table.n_lines == 3


def test_a_last_line_needs_no_end(tmp_path):
    assert integers.read(write(tmp_path, b"1 2\n3")).values.tolist() == [1, 2, 3]


def test_other_characters_can_stand_between(tmp_path):
    table = integers.read(write(tmp_path, b"(0,25)\t7\n"), ignored=b"(,)")
    assert table.values.tolist() == [0, 25, 7]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_blocks_change_nothing(tmp_path, monkeypatch, block):
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 10**6, rng.integers(1, 6)).tolist() for _ in range(50)]
    path = write(tmp_path, "\n".join(" ".join(map(str, row)) for row in rows).encode())
    monkeypatch.setattr(integers, "_BLOCK", block)
    table = integers.read(path)
    assert table.values.tolist() == [n for row in rows for n in row]
    assert table.lines.tolist() == [i for i, row in enumerate(rows, 1) for _ in row]


@pytest.mark.parametrize(
    ("content", "line", "shown"),
    [
        (b"1 2\n3 x4\n", 2, "'3 x4'"),
        (b"1 2\n3 -4\n", 2, "'3 -4'"),
        (b"1 2\n\n3\n", 2, "''"),
        (b"1 2\n3 4.5\n", 2, "'3 4.5'"),
        (b"1 2\n3 \xff\n", 2, "'3 ÿ'"),
        (b"1 1234567890123456789\n", 1, "'1 1234567890123456789'"),
        (b"1\n2\n" + b"x" * 100, 3, "x" * 60 + "..."),
    ],
)
@pytest.mark.parametrize("block", [3, 1 << 24])
def test_what_is_no_number_is_refused_with_file_and_line(
    tmp_path, monkeypatch, content, line, shown, block
):
    monkeypatch.setattr(integers, "_BLOCK", block)
    path = write(tmp_path, content)
    with pytest.raises(DataError) as refused:
        integers.read(path)
    assert str(refused.value).startswith(f"{path}, line {line}: ")
    assert shown in str(refused.value)


def test_a_missing_or_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        integers.read(write(tmp_path, b""))
    with pytest.raises(DataError, match="is missing"):
        integers.read(tmp_path / "none.txt")
