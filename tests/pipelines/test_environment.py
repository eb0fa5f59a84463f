"""What a process sets before it computes, and what it says it was made on."""

import pathlib
from types import SimpleNamespace

import pytest

from pipelines import environment


def test_a_gpu_is_shared_also_by_what_runs_in_this_process(monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    environment.prepare()
    assert environment.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    environment.prepare()
    assert environment.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


def test_a_gpu_that_is_hidden_is_not_what_a_result_was_made_on(monkeypatch):
    there = [SimpleNamespace(name="a", device_type="GPU")]
    monkeypatch.setattr(environment.tf.config, "list_physical_devices", lambda kind: there)
    monkeypatch.setattr(environment.tf.config, "get_visible_devices", lambda kind: [])
    assert environment.describe()["gpus"] == []


def test_processes_on_a_gpu_share_what_is_compiled_until_the_end(monkeypatch):
    monkeypatch.setattr(environment, "gpus", lambda: ["a GPU"])
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with pytest.raises(KeyError), environment.shared_programs():
        first, second = environment.os.environ["TF_XLA_FLAGS"].split()
        folder = pathlib.Path(second.removeprefix("--tf_xla_persistent_cache_directory="))
        assert first == "--tf_xla_clustering_debug"
        assert folder.is_dir()
        assert environment.os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
        raise KeyError
    assert not folder.exists()
    assert environment.os.environ["TF_XLA_FLAGS"] == "--tf_xla_clustering_debug"
    assert "TF_CPP_MIN_LOG_LEVEL" not in environment.os.environ


@pytest.mark.parametrize(
    ("gpus", "flags"),
    [([], ""), (["a GPU"], "--tf_xla_persistent_cache_directory=/somewhere")],
)
def test_compiled_programs_are_shared_on_a_gpu_and_where_nobody_else_says_how(
    gpus, flags, monkeypatch
):
    monkeypatch.setattr(environment, "gpus", lambda: gpus)
    monkeypatch.setenv("TF_XLA_FLAGS", flags)
    with environment.shared_programs():
        assert environment.os.environ["TF_XLA_FLAGS"] == flags


def test_factors_are_shared_until_the_end_by_all_inside(monkeypatch):
    monkeypatch.delenv("TFDSL_FACTORS", raising=False)
    assert environment.factors_folder() is None
    with environment.shared_factors():
        folder = environment.factors_folder()
        assert pathlib.Path(folder).is_dir()
        with environment.shared_factors():  # of one table among all
            assert environment.factors_folder() == folder
        assert pathlib.Path(folder).is_dir()
    assert not pathlib.Path(folder).exists()
    assert environment.factors_folder() is None


def test_factors_stay_in_a_folder_that_somebody_names(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDSL_FACTORS", str(tmp_path))
    with environment.shared_factors():
        assert environment.factors_folder() == str(tmp_path)
    assert tmp_path.is_dir()
