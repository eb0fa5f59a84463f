import dataclasses

import pytest

from data.errors import MissingDataError
from pipelines.config import RunConfig
from pipelines.grid import run_grid
from pipelines.processes import FailedCallError

SMALL = RunConfig(
    "synthetic",
    "lightgcn",
    "dense",
    1.0,
    epochs=1,
    batch_size=2048,
    settings={"width": 4, "layers": 0},
)
GRID = [SMALL, dataclasses.replace(SMALL, data="amazon-book"), dataclasses.replace(SMALL, seed=1)]


@pytest.mark.slow
def test_several_at_once_give_what_one_after_the_other_does(tmp_path):
    at_once, in_turn = (
        run_grid(GRID, tmp_path / str(jobs), str(tmp_path / "nowhere"), jobs) for jobs in (2, 1)
    )
    for config, here, there in zip(GRID, at_once, in_turn, strict=True):
        assert here["config"] == there["config"] == config.to_dict()
        assert here.get("test") == there.get("test")
    assert "missing" in at_once[1]
    assert at_once[0]["test"] != at_once[2]["test"]


def test_a_seed_of_every_run_comes_before_the_next_seed(tmp_path, monkeypatch):
    begun = []

    class Processes:
        def __init__(self, _, grid, *__):
            begun.extend(grid)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def result(self, place):
            return {"config": begun[place].to_dict()}, 0.0

    monkeypatch.setattr("pipelines.grid.Processes", Processes)
    other = dataclasses.replace(SMALL, batch_size=1024)
    grid = [dataclasses.replace(one, seed=seed) for one in (SMALL, other) for seed in (0, 1)]
    results = run_grid(grid, tmp_path, None, jobs=2)
    assert [(config.batch_size, config.seed) for config in begun] == [
        (2048, 0),
        (1024, 0),
        (2048, 1),
        (1024, 1),
    ]
    assert [result["config"] for result in results] == [config.to_dict() for config in grid]


def test_a_run_that_fails_again_and_again_does_not_keep_others_from_ending(
    tmp_path, monkeypatch, capsys
):
    class Processes:
        def __init__(self, _, grid, *__):
            self.grid = grid

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def result(self, place):
            if not self.grid[place].seed:
                raise FailedCallError("It failed again: no memory")
            return {"config": self.grid[place].to_dict()}, 0.0

    monkeypatch.setattr("pipelines.grid.Processes", Processes)
    grid = [dataclasses.replace(SMALL, seed=seed) for seed in (0, 1, 2)]
    with pytest.raises(FailedCallError, match=f"{SMALL.key} failed twice"):
        run_grid(grid, tmp_path, None, jobs=2)
    said = capsys.readouterr().err
    assert f"left out: {SMALL.key}: It failed again: no memory" in said
    assert [config.key in said for config in grid[1:]] == [True, True]


def test_data_that_cannot_be_had_is_asked_for_once(tmp_path, monkeypatch, capsys):
    asked = []

    def run(config, *_):
        asked.append(config.data)
        if config.data == "amazon-book":
            raise MissingDataError("it is not here")
        return {"test": config.seed}

    monkeypatch.setattr("pipelines.grid.run", run)
    absent = [dataclasses.replace(SMALL, data="amazon-book", seed=seed) for seed in (0, 1)]
    results = run_grid([absent[0], SMALL, absent[1]], tmp_path, None)
    assert asked == ["amazon-book", "synthetic"]
    assert [result.get("missing") for result in results] == [
        "it is not here",
        None,
        "it is not here",
    ]
    assert capsys.readouterr().err.count("it is not here") == 1
