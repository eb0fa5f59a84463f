"""Whole runs, tiny: train, select, report; stop in the middle and go on."""

import json

import keras
import numpy as np
import pytest

from data import synthetic
from pipelines import fold_in, train, vae_task
from pipelines.config import RunConfig
from pipelines.reproduce import make_table
from pipelines.tables import TABLES, Options, Table

CONFIG = RunConfig(
    data="tiny",
    model="multvae",
    algorithm="dsl",
    density=0.2,
    epochs=4,
    batch_size=20,
    update_interval=3,
    evaluate_every=1,
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    def load(data_dir):
        users, items = synthetic.interactions(120, 60, 4, 15, seed=1)
        return fold_in.split(users, items, n_validation=20, n_test=20)

    monkeypatch.setitem(vae_task.DATA, "tiny", load)


class _Stop(Exception):
    pass


def _interrupt_after(monkeypatch, epoch):
    save = train._Progress._save

    def stop(self):
        save(self)
        if self.epoch == epoch:
            raise _Stop

    monkeypatch.setattr(train._Progress, "_save", stop)


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path, monkeypatch):
    whole = train.run(CONFIG, tmp_path / "whole")
    with monkeypatch.context() as patch:
        _interrupt_after(patch, epoch=2)
        with pytest.raises(_Stop):
            train.run(CONFIG, tmp_path / "parts")
    assert not (tmp_path / "parts" / "result.json").exists()
    keras.backend.clear_session()
    parts = train.run(CONFIG, tmp_path / "parts")
    for name in ("config", "best_epoch", "validation", "test", "report", "steps"):
        assert parts[name] == whole[name], name
    metrics = [(tmp_path / kind / "metrics.csv").read_text() for kind in ("whole", "parts")]
    assert metrics[0] == metrics[1]
    assert not (tmp_path / "parts" / "checkpoint").exists()
    assert whole["report"]["density"] == pytest.approx(0.2, abs=1e-3)


def test_a_finished_run_is_not_run_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    (folder / "result.json").write_text('{"made": "before"}')
    assert train.run(CONFIG, folder) == {"made": "before"}


def test_a_folder_of_another_run_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict() | {"density": 0.5}))
    with pytest.raises(ValueError, match="another configuration"):
        train.run(CONFIG, tmp_path)


def test_a_table_is_written_with_its_picture(tmp_path, monkeypatch):
    def result(config):
        share = config.density if config.algorithm != "dense" else 1.0
        metrics = dict.fromkeys(TABLES["multvae-synthetic"].metrics, 0.25 * share)
        return {
            "config": config.to_dict(),
            "test": metrics,
            "best_epoch": 3,
            "report": {"density": share, "active": 100},
            "seconds": 1.0,
            "steps": 10,
            "environment": {
                "packages": {"tensorflow": "2", "keras": "3"},
                "python": "3",
                "gpus": [],
                "processor": "a processor",
                "cores": 2,
                "commit": "abc",
            },
        }

    monkeypatch.setattr("pipelines.reproduce.run", lambda config, *_: result(config))
    text = make_table("multvae-synthetic", Options(seeds=(0, 1)), tmp_path, None)
    folder = tmp_path / "multvae-synthetic-clean-short"
    assert (folder / "table.md").read_text() == text
    assert "| dsl | 0.2 | 0.200 | 0.0500 ± 0.0000 |" in text
    assert len(json.loads((folder / "table.json").read_text())) == 10
    assert (folder / "table.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_table_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="multvae-synthetic"):
        make_table("multvae", Options(), tmp_path, None)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("protocol", ["clean", "published"])
def test_every_tables_grid_has_distinct_runs(name, protocol):
    table: Table = TABLES[name]
    keys = [c.key for c in table.grid(Options(protocol=protocol, seeds=(0, 1)))]
    assert len(set(keys)) == len(keys)
    assert np.unique([k.split("-")[0] for k in keys]).tolist() == ["multvae"]
