import pytest

from data.errors import DataError
from pipelines import id_pairs, pair_files


def write(tmp_path, content):
    path = tmp_path / "pairs.txt"
    path.write_text(content)
    return path


def test_adjacency_lines_become_pairs_in_their_order(tmp_path):
    pairs = pair_files.read_adjacency(write(tmp_path, "2 4 0\n0 1\n1\n"), 3, 5)
    assert pairs.users.tolist() == [2, 2, 0]
    assert pairs.items.tolist() == [4, 0, 1]
    assert pairs.lines.tolist() == [1, 1, 2]


def test_counted_rows_become_pairs(tmp_path):
    pairs = pair_files.read_counted_rows(write(tmp_path, "2 4 0\n0\n1 3\n"), 3, 5)
    assert pairs.users.tolist() == [0, 0, 2]
    assert pairs.items.tolist() == [4, 0, 3]


@pytest.mark.parametrize(
    ("read", "n_users", "content", "message"),
    [
        (pair_files.read_adjacency, 3, "0 1\n3 1\n", "line 2: user 3 is not in 0..2"),
        (pair_files.read_adjacency, 3, "0 1\n3\n", "line 2: user 3 is not in 0..2"),
        (pair_files.read_adjacency, 3, "0 1\n1 5\n", "line 2: item 5 is not in 0..4"),
        (pair_files.read_adjacency, 3, "0 1\n1 2 3 2\n", "line 2: user 1 has item 2 twice"),
        (pair_files.read_adjacency, 3, "0 1\n0 2\n", "line 2: user 0 has a line above already"),
        (
            pair_files.read_adjacency,
            3,
            "0 1\n1 -2\n",
            "line 2: '1 -2' is not a line of non-negative whole numbers",
        ),
        (
            pair_files.read_counted_rows,
            2,
            "1 2\n",
            "line 1, is its last: expected 2, one a user",
        ),
        (
            pair_files.read_counted_rows,
            2,
            "1 2\n0\n0\n",
            "line 3: expected 2 lines, one a user",
        ),
        (
            pair_files.read_counted_rows,
            2,
            "1 2\n3 1 2\n",
            "line 2: 2 items where the line's first number says 3",
        ),
        (pair_files.read_counted_rows, 2, "1 2\n1 5\n", "line 2: item 5 is not in 0..4"),
        (pair_files.read_counted_rows, 2, "2 3 3\n0\n", "line 1: user 0 has item 3 twice"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_line(tmp_path, read, n_users, content, message):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as refused:
        read(path, n_users, 5)
    assert str(refused.value).startswith(f"{path}, {message}")
    assert str(refused.value).endswith("get the data set again")


def test_columns_become_pairs(tmp_path):
    pairs = pair_files.read_columns(write(tmp_path, "1\t4\t5\n0\t2\t3\n"), 3, 2, 5)
    assert pairs.users.tolist() == [1, 0]
    assert pairs.items.tolist() == [4, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\t1\t5\n1\t2\n", "line 2: 2 columns, expected 3"),
        ("0\t1\t5\n2\t2\t1\n", "line 2: user 2 is not in 0..1"),
        ("0\t1\t5\n0\t1\t4\n", "line 2: user 0 has item 1 twice"),
    ],
)
def test_bad_columns_are_refused_with_file_and_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        pair_files.read_columns(write(tmp_path, content), 3, 2, 5)


def test_a_file_cut_before_its_first_pair_is_refused_by_line(tmp_path):
    pairs = pair_files.read_adjacency(write(tmp_path, "0\n1\n"), 3, 5)
    with pytest.raises(DataError, match="line 2, is its last: it has 0 interactions"):
        id_pairs.check_content(tmp_path / "pairs.txt", pairs, "gowalla", "train")
