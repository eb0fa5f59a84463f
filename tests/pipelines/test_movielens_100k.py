import movielens_files
import pytest
from movielens_files import FLAGS, START

from data.errors import DataError
from pipelines import movielens_100k


@pytest.fixture
def folder(tmp_path):
    movielens_files.write(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"1\t1\t5\t{START}\n1\t3\t5", "line 2.*cut short.*3 fields, expected 4"),
        (f"1\t1\t5\t{START}\n1\t3\t5\t8800", r"line 2: timestamp 8800 is not in 874540800\.\."),
        (f"1\t1\t5\n1\t3\t5\t{START}\n", "line 1: 3 fields, expected 4 .user item rating"),
        (f"1\t1\t5\t{START}\n1\tx\t5\t{START}\n", "line 2: '1.*x.*' is not a line of non-negative"),
        (f"1\t1\t4.5\t{START}\n", "line 1: .*4.5"),
        (f"1\t1\t5\t{START}\n4\t1\t5\t{START}\n", r"line 2: user 4 is not in 1\.\.3"),
        (f"0\t1\t5\t{START}\n", r"line 1: user 0 is not in 1\.\.3"),
        (f"1\t4\t5\t{START}\n", r"line 1: item 4 is not in 1\.\.3"),
        (f"1\t1\t0\t{START}\n", r"line 1: rating 0 is not in 1\.\.5"),
        (f"1\t1\t6\t{START}\n", r"line 1: rating 6 is not in 1\.\.5"),
        (
            f"1\t1\t5\t{START}\n2\t1\t5\t{START}\n1\t1\t4\t{START}\n",
            "line 3: user 1 rated item 1 in an earlier line already",
        ),
        ("", "is empty"),
    ],
)
def test_damaged_ratings_are_refused_by_line(folder, text, message):
    (folder / "u.data").write_text(text)
    with pytest.raises(
        DataError, match=r"u\.data.*" + message + ".*get the data set again"
    ) as info:
        movielens_100k.read(folder)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("u.user", "|02067\n", "|020", "line 3.*cut short.*'3.7.M.writer.020' is not id.age"),
        ("u.user", "2|45", "3|45", "line 2: '3.45.* with id 2"),
        ("u.user", "|45|", "|old|", "line 2: '2.old"),
        ("u.user", "|F|", "|X|", "line 2: "),
        ("u.user", "|other|", "|pirate|", "line 2: unknown occupation 'pirate'"),
        ("u.item", f"http://host/|0{FLAGS}\n", f"http://host/|0{FLAGS[:-2]}", "line 3.*cut short"),
        ("u.item", "01-Jan-1995", "01-Jan-95", "line 1: .*01-Jan-95"),
        ("u.item", "2|unknown||||1", "2|unknown||||2", "line 2: "),
        ("u.item", "2|unknown", "|unknown", "line 2: "),
    ],
)
def test_damaged_profiles_are_refused_by_line(folder, name, old, new, message):
    text = (folder / name).read_text(encoding="latin-1")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="latin-1")
    with pytest.raises(DataError, match=f"{name}, {message}.*get the data set again") as info:
        movielens_100k.read(folder)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("name", ["u.data", "u.user", "u.item"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        movielens_100k.read(folder)
