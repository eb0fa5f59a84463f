"""Runs killed by SIGKILL, anywhere, and started again: they end as runs that were not killed."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from killed_runs import POINTS
from killed_runs import __file__ as script

from pipelines.config import RunConfig

COMMON = {"update_interval": 3, "evaluate_every": 2, "epochs": 4, "batch_size": 20}
CONFIGS = {
    "multvae": RunConfig("tiny", "multvae", "dsl", 0.2, **COMMON),
    "lightgcn": RunConfig(
        "tiny", "lightgcn", "dsl", 0.2, **COMMON | {"batch_size": 64}, settings={"width": 8}
    ),
    "neumf": RunConfig(
        *("tiny", "neumf", "rigl", 0.3),
        **COMMON | {"batch_size": 64},
        settings={"factors": 8},
        algorithm_settings={"grow": "accumulated_gradient"},
    ),
    "dlrm": RunConfig(
        *("criteo-like", "dlrm", "amgp", 0.5),
        **COMMON | {"batch_size": 16, "learning_rate": 0.1},
        settings={
            **{"rows_per_day": 200, "max_rows": 50, "width": 4, "bottom": "8", "top": "8"},
            **{"optimizer": "adam", "pruned_share": 0.8},
        },
    ),
}


WAYS = ("run", "fit", "loop")


class Runner:
    """Does runs in processes of their own, and knows how the undisturbed ones end."""

    def __init__(self, folder):
        self.folder, self.ends = folder, {}
        root = pathlib.Path(__file__).parents[2]
        environment = os.environ | {"PYTHONPATH": str(root)}
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __call__(self, way, model, folder, at_tick=None, in_save=None):
        job = {"way": way, "config": CONFIGS[model].to_dict(), "folder": str(folder)}
        job |= {"at_tick": at_tick, "in_save": in_save}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def whole(self, *run):
        if run not in self.ends:
            folder = self.folder / "-".join(run) / "run"
            done = self(*run, folder)
            assert done["status"] == 0
            self.ends[run] = (done, ending(folder))
        return self.ends[run]


def ending(folder):
    """Returns what a run leaves, but for times: its files, and what it held."""
    texts = [path.read_text() for path in sorted(folder.glob("*.csv"))]
    if (folder / "result.json").exists():
        result = json.loads((folder / "result.json").read_text())
        for name in ("seconds", "environment", "step_milliseconds", "sha256"):
            result.pop(name, None)
        texts.append(result)
    with np.load(folder.parent / "state.npz") as state:
        return texts, [state[name] for name in state.files]


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    made = Runner(tmp_path_factory.mktemp("whole"))
    yield made
    made.process.communicate(timeout=60)


def killed_and_ended(runner, run, folder, draw, first):
    """Kills a run as `first` says, then anywhere or not, and looks at how it ends after that.

    Returns the ticks of the job that ended it.
    """
    done, end = runner.whole(*run)
    assert runner(*run, folder / "run", **first)["status"] == -9
    assert not (folder / "run" / "result.json").exists()
    last = {"status": -9}
    if draw.random() < 0.5:  # and once more, if it comes as far
        last = runner(*run, folder / "run", int(draw.integers(1, done["ticks"] + 1)))
    if last["status"] == -9:
        last = runner(*run, folder / "run")
    assert last["status"] == 0
    (texts, state), (its_texts, its_state) = ending(folder / "run"), end
    assert texts == its_texts
    assert len(state) == len(its_state)
    for mine, its in zip(state, its_state, strict=True):
        np.testing.assert_array_equal(mine, its)
    return last["ticks"]


def killed_anywhere(runner, run, seed, folder):
    draw = np.random.default_rng(seed)
    ticks = runner.whole(*run)[0]["ticks"]
    killed_and_ended(runner, run, folder, draw, {"at_tick": int(draw.integers(1, ticks + 1))})


def test_a_killed_run_ends_with_the_same_bits(runner, tmp_path):
    run = ("fit", "dlrm")
    ticks = runner.whole(*run)[0]["ticks"]
    draw = np.random.default_rng(1)
    ends = killed_and_ended(runner, run, tmp_path, draw, {"at_tick": ticks * 2 // 3})
    assert ends < ticks  # it went on from its backup


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("model", CONFIGS)
@pytest.mark.parametrize("way", WAYS)
def test_a_run_killed_anywhere_ends_with_the_same_bits(runner, way, model, seed, tmp_path):
    killed_anywhere(runner, (way, model), seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("model", CONFIGS)
@pytest.mark.parametrize("way", ["run", "loop"])  # BackupAndRestore does not write in one step
def test_a_run_killed_while_it_saves_ends_with_the_same_bits(
    runner, way, model, point, seed, tmp_path
):
    draw = np.random.default_rng(seed)
    number = int(draw.integers(1, runner.whole(way, model)[0]["savings"] + 1))
    killed_and_ended(runner, (way, model), tmp_path, draw, {"in_save": [number, point]})
