"""Which runs of a table are finished, here or elsewhere."""

import dataclasses
import pathlib
import shutil

import pytest
from made_results import result

from data.errors import DataError
from pipelines import config as configs
from pipelines import files, make_all
from pipelines.finished import Finished, known_in
from pipelines.make import folder_of, make_table
from pipelines.render import report
from pipelines.tables import TABLES, Options

TABLE = TABLES["spectral-gowalla"]
NAME = folder_of(TABLE.name, Options(), pathlib.Path()).name
GRID = TABLE.grid(Options(seeds=(0, 1)))


def made(config, metric=0.1, **more):
    """Returns the result of a run that never was."""
    run = {
        "config": config.to_dict(),
        "seconds": 7.0,
        "steps": 8,
        "best_epoch": 40,
        "test": dict.fromkeys(TABLE.metrics, metric),
        "validation": dict.fromkeys(TABLE.metrics, metric),
        "report": {"density": config.density, "parameters": 5, "bytes": 6, "flops": 7}
        | {"training_flops": 8},
        "masks": [],
    }
    return result() | run | more


def table_of(out, *runs):
    """Writes a table.json as it came from elsewhere."""
    files.write_lines(folder_of(TABLE.name, Options(), out) / "table.json", runs)
    return known_in(out)


def test_what_is_known_from_elsewhere_is_not_missing_and_stands_in_the_table(tmp_path, monkeypatch):
    known = table_of(tmp_path / "elsewhere", *(made(config) for config in GRID[:3]))
    assert set(known[NAME]) == {config.key for config in GRID[:3]}
    planned = make_all.plan_table(TABLE, Options(), tmp_path / "here", "cpu", known)
    assert planned.n_finished == 2  # of seed 0: dense, and spectral at 0.5
    ran = []

    def run(config, folder, _):
        ran.append(config.key)
        files.write_record(folder / "result.json", made(config))
        return made(config)

    monkeypatch.setattr("pipelines.grid.run", run)
    more = {"algorithms": ("dense", "spectral")}
    text = make_table(TABLE.name, Options(**more), tmp_path / "here", None, known=known)
    assert GRID[0].key not in ran
    assert len(ran) == 4
    (table,) = report.tables_in(tmp_path / "here")
    assert len(table.results) == 7  # with seed 1 of dense, which nobody asked for
    assert "0.1000 ± 0.0000" in text


def test_a_table_can_be_made_of_what_is_finished_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.grid.run", lambda *_: pytest.fail("it ran"))
    with pytest.raises(ValueError, match="Nothing of spectral-gowalla is finished"):
        make_table(TABLE.name, Options(), tmp_path, None, run=False, costs=True)
    known = table_of(tmp_path / "elsewhere", made(GRID[0]))
    text = make_table(TABLE.name, Options(), tmp_path, None, run=False, costs=True, known=known)
    assert "| dense |" in text
    assert "| dsl |" not in text


def test_a_run_of_its_own_goes_before_one_from_elsewhere_and_has_its_costs(tmp_path):
    folder, costs = tmp_path / NAME, {"step_ms": 1.0}
    known = {NAME: {GRID[0].key: made(GRID[0], 0.1, costs=costs)}}
    run = folder / "runs" / GRID[0].key
    files.write_record(run / "result.json", made(GRID[0], 0.2))
    finished = Finished(folder, known)
    assert finished.result(GRID[0]) == made(GRID[0], 0.2, costs=costs)
    files.write_record(run / "costs.json", {"step_ms": 2.0})
    assert finished.costs(GRID[0]) == {"step_ms": 2.0}
    (run / "result.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        finished.result(GRID[0])
    assert finished.result(GRID[1]) is finished.costs(GRID[1]) is None


def test_a_run_of_a_table_beside_it_is_not_made_again(tmp_path):
    runs = {name: tmp_path / name / "runs" / GRID[0].key for name in ("a-table", NAME)}
    beside, own = runs.values()
    finished = Finished(tmp_path / NAME)
    assert finished.result(GRID[0]) is None
    files.write_record(beside / "result.json", made(GRID[0], 0.1))
    files.write_record(beside / "costs.json", {"step_ms": 1.0})
    (tmp_path / "report.html").write_text("no table")
    finished = Finished(tmp_path / NAME, {NAME: {GRID[0].key: made(GRID[0], 0.3)}})
    assert finished.result(GRID[0]) == made(GRID[0], 0.1, costs={"step_ms": 1.0})
    assert finished.result(GRID[1]) is None
    assert finished.runs == own.parent
    files.write_record(own / "result.json", made(GRID[0], 0.2))
    assert finished.result(GRID[0])["test"]["recall@20"] == 0.2


def test_a_run_of_a_table_beside_it_is_taken_and_stays(tmp_path):
    beside = tmp_path / "a-table" / "runs" / GRID[0].key
    files.write_record(beside / "result.json", made(GRID[0]))
    (beside / "metrics.csv").write_text("epoch\n1\n")
    make_table(TABLE.name, Options(algorithms=("dense",)), tmp_path, None, run=False)
    files.write_record(beside / "costs.json", {"step_ms": 1.0})  # measured later
    Finished(tmp_path / NAME).take(GRID[0])
    shutil.rmtree(tmp_path / "a-table")
    finished = Finished(tmp_path / NAME)
    assert finished.result(GRID[0]) == made(GRID[0], costs={"step_ms": 1.0})
    assert (finished.runs / GRID[0].key / "metrics.csv").read_text() == "epoch\n1\n"


def test_a_damaged_run_of_a_table_beside_it_is_not_there(tmp_path, capsys):
    files.write_record(tmp_path / "b-table" / "runs" / GRID[0].key / "result.json", made(GRID[0]))
    damaged = tmp_path / "a-table" / "runs" / GRID[0].key
    damaged.mkdir(parents=True)
    (damaged / "result.json").write_text("{}")
    (damaged / "costs.json").mkdir()
    finished = Finished(tmp_path / NAME)
    assert finished.result(GRID[0]) == made(GRID[0])
    assert "left out: " in capsys.readouterr().err
    finished.take(GRID[0])
    (finished.runs / GRID[0].key / "result.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged or was changed"):
        finished.result(GRID[0])


def test_another_tables_run_is_known_but_after_the_tables_own(tmp_path):
    known = {
        NAME: {GRID[0].key: made(GRID[0], 0.1)},
        "z-clean-short": {one.key: made(one, 0.2, costs={"step_ms": 1.0}) for one in GRID[:2]},
    }
    finished = Finished(tmp_path / NAME, known)
    assert finished.result(GRID[0]) == made(GRID[0], 0.1, costs={"step_ms": 1.0})
    assert finished.result(GRID[1])["test"]["recall@20"] == 0.2


def test_runs_of_an_algorithm_that_was_another_are_not_known(tmp_path, monkeypatch, capsys):
    spectral = next(config for config in GRID if config.algorithm == "spectral")
    runs = [made(one, key=one.key) for one in (GRID[0], spectral)]
    assert set(table_of(tmp_path, *runs)[NAME]) == {GRID[0].key, spectral.key}
    monkeypatch.setitem(configs.REVISIONS, "spectral", lambda config: 99)
    assert set(known_in(tmp_path)[NAME]) == {GRID[0].key}
    of_other_fields = made(GRID[0])
    of_other_fields["config"] = GRID[0].to_dict() | {"colour": "red"}
    known = table_of(tmp_path, of_other_fields, made(dataclasses.replace(GRID[0], seed=5)))
    assert [run["config"]["seed"] for run in known[NAME].values()] == [5]
    assert "left out: a run of" in capsys.readouterr().err


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no folder of a table with a table\.json"):
        known_in(tmp_path)
