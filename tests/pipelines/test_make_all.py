"""What `all` plans and does; the runs themselves are made up."""

import json

import pytest
from made_results import result

from data.errors import DataError
from pipelines import files, make_all
from pipelines.make import folder_of
from pipelines.processes import FailedCallError
from pipelines.tables import TABLES, Options


@pytest.fixture(autouse=True)
def nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(make_all, "RESULTS", tmp_path / "results")


def finish(out, table, config, seconds):
    """Leaves a finished run as a table's command would, in its folder and in table.json."""
    metrics = dict.fromkeys(table.metrics, 0.1)
    made = {"config": config.to_dict(), "seconds": seconds, "steps": 8}
    run = result() | made | {"test": metrics, "validation": metrics}
    folder = folder_of(table.name, Options(protocol=table.protocol, quirks=table.quirks), out)
    files.write_record(folder / "runs" / config.key / "result.json", run)
    files.write_lines(folder / "table.json", [run])


def test_a_cpu_makes_the_tables_that_suit_it_and_a_gpu_all(tmp_path):
    names = [one.table.name for one in make_all.plan("short", tmp_path, "cpu", None)]
    assert names == ["multvae-synthetic", "amgp-criteo-like", "amgp-ml100k", "amgp-criteo"]
    names = [one.table.name for one in make_all.plan("short", tmp_path, "gpu", None)]
    assert names == list(TABLES)
    long = [one.table.name for one in make_all.plan("long", tmp_path, "gpu", None)]
    assert "lightgcn-gowalla" in long
    assert "multvae-ml1m" not in long


def test_each_table_has_its_own_seeds_and_protocol(tmp_path):
    planned = {one.table.name: one for one in make_all.plan("short", tmp_path, "gpu", None)}
    assert planned["lightgcn-gowalla"].options.seeds == (0,)
    assert planned["multvae-ml1m"].options.seeds == (0, 1, 2)
    assert planned["parts-multvae-ml1m"].options.seeds == (0, 1, 2)
    assert planned["lightgcn-gowalla"].options.quirks == ("test_selection",)
    assert all(len(one.options.seeds) == 2 for one in make_all.plan("short", tmp_path, "gpu", 2))


def test_what_is_finished_is_not_run_and_says_how_long_others_take(tmp_path):
    table = TABLES["multvae-synthetic"]
    dense, *_, static = table.grid(Options())
    finish(tmp_path, table, dense, 120.0)
    planned, *others = make_all.plan("short", tmp_path, "cpu", None)
    assert planned.n_finished == 1
    assert dense.key not in [config.key for config, _ in planned.missing]
    # Those that `finish` wrote down, of no clock.
    assert dict((config.key, seconds) for config, seconds in planned.missing)[static.key] == 120.0
    assert planned.lines(2) == [
        "multvae-synthetic: 4 to run, 1 finished, about 4 min with 2 at once",
        *(f"  {config.key}: about 2 min" for config, _ in planned.missing),
    ]
    assert others[0].lines(2)[0].endswith(", 0 finished, time unknown with 2 at once")
    assert make_all.plan_table(table, planned.options, tmp_path, "cpu") == planned


def test_a_run_of_several_tables_is_planned_once(tmp_path):
    planned = {one.table.name: one for one in make_all.plan("short", tmp_path, "gpu", None)}
    keys = [config.key for one in planned.values() for config, _ in one.missing]
    assert len(set(keys)) == len(keys)
    parts, of = planned["parts-multvae-ml1m"], planned["multvae-ml1m"]
    whole = {config.key for config in parts.table.grid(parts.options)}
    there = whole & {config.key for config, _ in of.missing}
    assert parts.n_shared == len(there) > 0
    assert f" 0 finished, {len(there)} more with tables before it, " in parts.lines(1)[0]
    assert make_all.plan_table(parts.table, parts.options, tmp_path, "gpu").n_shared == 0


def test_what_a_gpu_took_says_nothing_of_a_cpu(tmp_path):
    table = TABLES["multvae-synthetic"]
    finish(tmp_path, table, table.grid(Options())[0], 120.0)
    planned = make_all.plan("short", tmp_path, "gpu", None)[0]
    assert {seconds for _, seconds in planned.missing} == {None}  # what is expected, of no clock


def test_runs_that_hold_out_other_users_take_as_long(tmp_path):
    table = TABLES["multvae-ml1m"]
    finish(tmp_path, table, table.grid(Options())[0], 120.0)
    splits = make_all.plan_table(TABLES["splits-multvae-ml1m"], Options(), tmp_path, "cpu")
    of_dense = {n for config, n in splits.missing if config.algorithm == "dense"}
    assert of_dense == {120.0}  # what `finish` wrote down


def test_the_time_left_is_by_the_runs_before(tmp_path, monkeypatch):
    clock = iter([0.0, 60.0, 300.0])
    monkeypatch.setattr(make_all.time, "perf_counter", lambda: next(clock))
    table = TABLES["multvae-synthetic"]
    grid = table.grid(Options())
    planned = make_all.Planned(table, Options(), [(config, 30.0) for config in grid[1:]], 1)
    left = make_all.TimeLeft([planned], jobs=1)
    assert left(grid[0]) == ""  # it had ended before
    assert left(grid[1]) == "; about 3 min left for all"
    assert left(grid[2]) == "; about 5 min left for all"


def test_each_gpu_has_room_for_as_many_runs(tmp_path, monkeypatch):
    table = TABLES["lightgcn-gowalla"]
    runs = [(config, 60.0) for config in table.grid(Options())[:12]]
    planned = make_all.Planned(table, Options(), runs, 0)
    assert make_all.total([planned], 16) == "in all: 12 to run, 0 finished, about 4 min"
    monkeypatch.setattr(make_all.environment, "gpus", lambda: ["one", "another"])
    assert [make_all.at_once(table, jobs) for jobs in (4, 16)] == [4, 6]
    assert make_all.total([planned], 16) == "in all: 12 to run, 0 finished, about 2 min"
    # `table` makes as many as it is told.
    assert "about 1 min with 12 at once" in planned.lines(12)[0]


@pytest.mark.parametrize("failure", [DataError, FailedCallError])
def test_a_table_that_cannot_be_made_is_left_out_and_named_in_the_end(
    failure, tmp_path, monkeypatch, capsys
):
    asked = []

    def make(name, options, out, data_dir, jobs, *, note, costs, known):
        assert costs
        assert known is None
        asked.append((name, jobs))
        if name == "amgp-ml100k":
            raise failure("u.data is damaged")
        folder = folder_of(name, options, out)
        folder.mkdir(parents=True)
        missing = {"config": TABLES[name].grid(options)[0].to_dict(), "missing": "not here"}
        (folder / "table.json").write_text(json.dumps([missing]))

    monkeypatch.setattr(make_all, "make_table", make)
    planned = make_all.plan("short", tmp_path, "cpu", None)
    with pytest.raises(failure, match=r"not made: amgp-ml100k \(u.data is damaged\)"):
        make_all.make_all(planned, tmp_path, None, jobs=20)
    assert asked == [(one.table.name, one.table.at_once) for one in planned]
    assert (tmp_path / "report.html").exists()
    assert "table 1 of 4: multvae-synthetic" in capsys.readouterr().err


def test_a_budget_that_no_table_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(make_all, "TABLES", {})
    with pytest.raises(ValueError, match="No table for a cpu has the budget 'short'"):
        make_all.plan("short", tmp_path, "cpu", None)
