"""Other libraries' pruning beside ours, on the same data."""

import subprocess

import pytest

from data.errors import MissingDataError
from pipelines import baselines, files
from pipelines.config import RunConfig
from pipelines.grid import run_grid
from pipelines.tables import TABLES, Options
from pipelines.train import run


def config(algorithm="tfmot", **kwargs):
    more = {"epochs": 8, "batch_size": 50, "update_interval": 10, "evaluate_every": 2} | kwargs
    return RunConfig("synthetic", "multvae", algorithm, 0.1, **more)


def test_tfmot_prunes_as_we_do_and_is_judged_the_same_way(tmp_path):
    theirs = run(config(), tmp_path / "theirs")
    ours = run(config("gradual"), tmp_path / "ours")
    assert theirs.keys() == ours.keys()
    assert theirs["config"] == config().to_dict()
    for part in ("validation", "test"):
        assert theirs[part].keys() == ours[part].keys()
    for name in ("active", "total", "density", "parameters", "bytes", "flops"):
        assert theirs["report"][name] == ours["report"][name], name
    assert theirs["steps"] == ours["steps"]
    assert theirs["best_epoch"] in (6, 8)  # of the evaluations at the last density
    # The same schedule and settings, with other random numbers.
    assert theirs["test"]["ndcg@20"] == pytest.approx(ours["test"]["ndcg@20"], rel=0.1)
    assert "tensorflow-model-optimization" in theirs["environment"]["packages"]
    rows = (tmp_path / "theirs" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 8
    (tmp_path / "theirs" / "log.txt").unlink()
    assert run(config(), tmp_path / "theirs") == theirs
    assert not (tmp_path / "theirs" / "log.txt").exists()  # it was not run again


def ends_with(monkeypatch, status, said=""):
    done = subprocess.CompletedProcess([], status, "", said)
    monkeypatch.setattr(baselines.subprocess, "run", lambda *args, **kwargs: done)


def test_without_the_library_its_rows_say_so_and_the_others_are_made(tmp_path, monkeypatch):
    ends_with(monkeypatch, baselines.NO_LIBRARY)
    ours = config("gradual")
    files.write_record(tmp_path / ours.key / "result.json", {"config": ours.to_dict()})
    made = run_grid([config(), ours, config(seed=1)], tmp_path, None)
    assert [run.get("missing") for run in made] == [
        *("tensorflow-model-optimization is not installed; pip install tfdsl[baselines]", None),
        "tensorflow-model-optimization is not installed; pip install tfdsl[baselines]",
    ]


def test_without_the_data_it_says_which(tmp_path, monkeypatch):
    ends_with(monkeypatch, baselines.NO_DATA, "a warning\nml-1m is not here\n")
    with pytest.raises(MissingDataError, match=r"^ml-1m is not here$"):
        run(config(), tmp_path)


def test_a_process_that_fails_is_quoted_and_its_log_kept(tmp_path, monkeypatch):
    ends_with(monkeypatch, 1, "Traceback\nValueError: no\n")
    with pytest.raises(ChildProcessError, match=r"status 1, see .*log.txt: ValueError: no"):
        run(config(), tmp_path)
    assert (tmp_path / "log.txt").read_text() == "Traceback\nValueError: no\n"


def test_a_baseline_is_of_its_own_model_alone():
    with pytest.raises(ValueError, match="'tfmot' is there for multvae alone; received 'neumf'"):
        RunConfig("synthetic", "neumf", "tfmot", 0.1)
    rows = [run.algorithm for run in TABLES["multvae-ml1m"].grid(Options())]
    assert rows.count("tfmot") == 6
    assert "tfmot" not in [run.algorithm for run in TABLES["neumf-ml1m"].grid(Options())]
