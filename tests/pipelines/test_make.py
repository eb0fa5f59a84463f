"""Tables, made of runs."""

import json

import pytest

from pipelines import files
from pipelines.make import make_table
from pipelines.tables import TABLES, Options


def test_a_table_is_written_with_its_picture(tmp_path, monkeypatch):
    def result(config):
        share = config.density if config.algorithm != "dense" else 1.0
        metrics = dict.fromkeys(TABLES["multvae-synthetic"].metrics, 0.25 * share)
        return {
            "config": config.to_dict(),
            "test": metrics,
            "validation": metrics,
            "best_epoch": 3,
            "report": {"density": share, "parameters": 100},
            "seconds": 1.0,
            "steps": 10,
            "environment": {
                "packages": {"tensorflow": "2", "keras": "3"},
                "python": "3",
                "gpus": [],
                "processor": "a processor",
                "cores": 2,
                "commit": "abc" if config.seed == 0 else "def",
            },
        }

    def run(config, folder, _):
        files.write_record(folder / "result.json", result(config))
        return result(config)

    monkeypatch.setattr("pipelines.grid.run", run)
    text = make_table("multvae-synthetic", Options(seeds=(0, 1)), tmp_path, None)
    folder = tmp_path / "multvae-synthetic-clean-short"
    assert (folder / "table.md").read_text() == text
    assert "| dsl | 0.2 | 0.200 | 0.0500 ± 0.0000 |" in text
    assert "on a processor (2 cores), commit abc (5), def (5).\n" in text
    assert len(json.loads((folder / "table.json").read_text())) == 10
    assert (folder / "table.png").read_bytes().startswith(b"\x89PNG")
    some = Options(seeds=(0, 1), algorithms=("dense",))
    assert make_table("multvae-synthetic", some, tmp_path, None) == text
    fewer = make_table("multvae-synthetic", some, tmp_path / "new", None)
    assert "| dense |" in fewer
    assert "| dsl |" not in fewer


def test_an_unknown_table_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="multvae-synthetic"):
        make_table("multvae", Options(), tmp_path, None)


def test_a_set_that_is_not_there_gives_rows_that_say_so(tmp_path):
    text = make_table("lightgcn-amazon-book", Options(), tmp_path, str(tmp_path / "nowhere"))
    assert "| dense | 1 | data not available here |" in text
    assert "Amazon-book (LightGCN's split) is not in" in text
    folder = tmp_path / "lightgcn-amazon-book-clean-short"
    assert sorted(path.name for path in folder.iterdir()) == ["table.json", "table.md"]
    assert not (folder / "runs").exists()
