"""What runs of a table have from each other, and for how long."""

import os
import pathlib

import pytest

from pipelines import environment, sharing


def test_processes_on_a_gpu_share_what_is_compiled_until_the_end(monkeypatch):
    monkeypatch.setattr(environment, "gpus", lambda: ["a GPU"])
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with pytest.raises(KeyError), sharing.shared_programs():
        first, second = os.environ["TF_XLA_FLAGS"].split()
        folder = pathlib.Path(second.removeprefix("--tf_xla_persistent_cache_directory="))
        assert first == "--tf_xla_clustering_debug"
        assert folder.is_dir()
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
        raise KeyError
    assert not folder.exists()
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_clustering_debug"
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ


@pytest.mark.parametrize(
    ("gpus", "flags"),
    [([], ""), (["a GPU"], "--tf_xla_persistent_cache_directory=/somewhere")],
)
def test_compiled_programs_are_shared_on_a_gpu_and_where_nobody_else_says_how(
    gpus, flags, monkeypatch
):
    monkeypatch.setattr(environment, "gpus", lambda: gpus)
    monkeypatch.setenv("TF_XLA_FLAGS", flags)
    with sharing.shared_programs():
        assert os.environ["TF_XLA_FLAGS"] == flags


def test_factors_are_shared_until_the_end_by_all_inside(monkeypatch):
    monkeypatch.delenv("TFDSL_FACTORS", raising=False)
    assert sharing.factors_folder() is None
    with sharing.shared_factors():
        folder = sharing.factors_folder()
        assert pathlib.Path(folder).is_dir()
        with sharing.shared_factors():  # of one table among all
            assert sharing.factors_folder() == folder
        assert pathlib.Path(folder).is_dir()
    assert not pathlib.Path(folder).exists()
    assert sharing.factors_folder() is None


def test_factors_stay_in_a_folder_that_somebody_names(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDSL_FACTORS", str(tmp_path))
    with sharing.shared_factors():
        assert sharing.factors_folder() == str(tmp_path)
    assert tmp_path.is_dir()
