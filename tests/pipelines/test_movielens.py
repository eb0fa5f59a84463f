import numpy as np
import pytest
from real_data import FOLDER, needs

from data.errors import DataError
from pipelines import movielens

OFFICIAL = "ratings.dat"
WITHOUT_TIME = "ratings_without_timestamps.dat"


def test_official_file_is_read_in_its_order(tmp_path):
    (tmp_path / OFFICIAL).write_text("2::3952::1::978300760\n6040::1::5::978302109\n")
    users, movies = movielens.read_ml1m(tmp_path)
    assert users.dtype == movies.dtype == np.int32
    assert users.tolist() == [2, 6040]
    assert movies.tolist() == [3952, 1]


def test_file_without_timestamps_is_read_only_if_the_official_one_is_missing(tmp_path):
    (tmp_path / WITHOUT_TIME).write_text("1::2::3\n")
    assert movielens.read_ml1m(tmp_path)[1].tolist() == [2]
    (tmp_path / OFFICIAL).write_text("1::7::3::978300760\n")
    assert movielens.read_ml1m(tmp_path)[1].tolist() == [7]


def test_low_ratings_count_as_interactions_too(tmp_path):
    (tmp_path / WITHOUT_TIME).write_text(
        "".join(f"1::{rating}::{rating}\n" for rating in range(1, 6))
    )
    assert movielens.read_ml1m(tmp_path)[1].tolist() == [1, 2, 3, 4, 5]


def test_missing_final_newline_alone_is_accepted(tmp_path):
    (tmp_path / WITHOUT_TIME).write_text("1::2::3\n1::3::4")
    assert movielens.read_ml1m(tmp_path)[1].tolist() == [2, 3]


def test_windows_line_ends_are_accepted(tmp_path):
    (tmp_path / WITHOUT_TIME).write_bytes(b"1::2::3\r\n1::3::4\r\n")
    assert movielens.read_ml1m(tmp_path)[1].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (OFFICIAL, "1::2::3::978300760\n1::3::4", "line 2.*cut short.*'1::3::4' has 3 fields"),
        (OFFICIAL, "1::2::3\n1::3::4\n", "line 1: .*3 fields, expected 4.*user::movie::rating"),
        (WITHOUT_TIME, "1::2::3\n1::3", "line 2.*cut short.*2 fields, expected 3"),
        (WITHOUT_TIME, "1::2::3\n1::3::4::5\n1::4::5\n", "line 2: .*4 fields"),
        (WITHOUT_TIME, "1::2::3\n\n1::4::5\n", "line 2: '' has 1 fields"),
        (WITHOUT_TIME, "1::2::3\n1::x::4\n", "line 2: movie 'x' is no whole number"),
        (WITHOUT_TIME, "1::2::3\n1::3::4.5\n", "line 2: rating '4.5' is no whole number"),
        (WITHOUT_TIME, "1::2::3\n1::\xb2::4\n", "line 2: movie '\xb2' is no whole number"),
        (WITHOUT_TIME, f"1::2::3\n{'9' * 30}::3::4\n", "line 2: user '999.*fewer than 19 digits"),
        (WITHOUT_TIME, "<html>\n", "line 1.*'<html>' has 1 fields"),
        (WITHOUT_TIME, "", "line 1.*cut short"),
        (WITHOUT_TIME, "1::2::3\n0::2::3\n", r"line 2: user 0 is not in 1\.\.6040"),
        (WITHOUT_TIME, "1::2::3\n6041::2::3\n", r"line 2: user 6041 is not in 1\.\.6040"),
        (WITHOUT_TIME, "1::2::3\n1::0::3\n", r"line 2: movie 0 is not in 1\.\.3952"),
        (WITHOUT_TIME, "1::2::3\n1::3953::3\n", r"line 2: movie 3953 is not in 1\.\.3952"),
        (WITHOUT_TIME, "1::2::3\n1::3::0\n", r"line 2: rating 0 is not in 1\.\.5"),
        (WITHOUT_TIME, "1::2::3\n1::3::6\n", r"line 2: rating 6 is not in 1\.\.5"),
        (WITHOUT_TIME, "1::2::3\n4::5::1\n1::2::4\n4::5::1\n", "line 3: user 1 rated movie 2"),
    ],
)
def test_bad_file_is_refused_with_its_name_and_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=message) as caught:
        movielens.read_ml1m(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_without_ratings_is_refused_naming_both_files(tmp_path):
    with pytest.raises(DataError, match=f"{OFFICIAL} or {WITHOUT_TIME}"):
        movielens.read_ml1m(tmp_path)


def test_well_formed_file_with_too_few_ratings_is_not_loaded(tmp_path):
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m" / OFFICIAL).write_text("1::2::3::978300760\n")
    with pytest.raises(DataError, match=r"line 1, is its last: it has 1 interactions, .* 1000209"):
        movielens.load_ml1m(tmp_path)


def test_missing_data_dir_is_refused(tmp_path):
    with pytest.raises(DataError, match="MovieLens 1M is not in"):
        movielens.load_ml1m(tmp_path)


@needs("ml-1m")
def test_real_data_gives_the_published_split():
    split = movielens.load_fold_in(FOLDER)
    assert split.train.shape == (5040, 3668)
    assert split.train.nnz == 821_736
    assert split.validation.fold_in.nnz + split.validation.held_out.nnz == 95_376
    assert split.validation.held_out.nnz == 18_881
    assert split.test.fold_in.nnz + split.test.held_out.nnz == 83_057
    assert split.test.held_out.nnz == 16_411


@needs("ml-1m")
def test_another_seed_holds_out_other_users_of_the_real_data():
    split = movielens.load_fold_in(FOLDER, seed=0)
    assert split.train.shape[0] == 5040
    assert split.test.held_out.nnz != 16_411
