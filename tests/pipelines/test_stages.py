"""The two stages of a run, whole and interrupted."""

import dataclasses

import click_days
import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import stages, train
from pipelines.run_state import RunState
from pipelines.tasks import TASKS, dlrm
from tfdsl.click_evaluation import evaluate_clicks

CONFIG = click_days.CONFIG
OFFLINE = 3 * (199 // 16)  # steps: 3 passes over days 0 to 2, which have 199 rows


class _Stop(Exception):
    pass


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(dlrm.DATA, "tiny", lambda *_: click_days.data())
    dlrm._load.cache_clear()
    keras.backend.clear_session()  # so that models have the same names


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One run that nothing disturbed, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    keras.backend.clear_session()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(dlrm.DATA, "tiny", lambda *_: click_days.data())
        return train.run(CONFIG, folder), folder


def run_until(n_saved, folder, monkeypatch):
    """Runs, and dies after a number of savings; returns whether neurons were pruned then."""
    seen = []
    save = RunState.save

    def stop(self, progress):
        save(self, progress)
        seen.append([bool(v.numpy()) for v in self.variables if v.dtype == bool])
        if len(seen) == n_saved:
            raise _Stop

    with monkeypatch.context() as patch:
        patch.setattr(RunState, "save", stop)
        with pytest.raises(_Stop):
            train.run(CONFIG, folder)
    keras.backend.clear_session()
    return all(seen[-1])


# Inside the second pruned stretch, and then between two later days.
@pytest.mark.parametrize("savings", [(5,), pytest.param((5, 6), marks=pytest.mark.slow)])
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path, monkeypatch, whole, savings):
    monkeypatch.setattr(stages, "AT_ONCE", 3)  # however many steps an execution takes
    for n_saved in savings:
        assert run_until(n_saved, tmp_path, monkeypatch) is (n_saved == 5)
    assert not (tmp_path / "result.json").exists()
    result, (expected, folder) = train.run(CONFIG, tmp_path), whole
    for name in set(expected) - {"seconds", "step_milliseconds", "environment"}:
        assert result[name] == expected[name], name
    assert (tmp_path / "metrics.csv").read_text() == (folder / "metrics.csv").read_text()
    assert not (tmp_path / "checkpoint").exists()


def test_every_piece_and_day_has_a_row(whole):
    result, folder = whole
    lines = (folder / "metrics.csv").read_text().splitlines()
    names, rows = lines[0].split(","), [line.split(",") for line in lines[1:]]
    assert names[:5] == ["stage", "day", "step", "loss", "logloss"]
    assert [row[:2] for row in rows] == [["offline", ""]] * 10 + [
        ["recurring", day] for day in "345"
    ]
    steps = [int(row[2]) for row in rows]
    assert (steps[9], result["steps"]) == (OFFLINE, OFFLINE)
    assert np.diff(steps[9:]).tolist() == [90 // 16, 50 // 16, 0]
    assert result["recurring_steps"] == 90 // 16 + 50 // 16
    assert [row[3] == "" for row in rows] == [False] * 12 + [True]  # the last day is not trained on
    assert [day["day"] for day in result["days"]] == [3, 4, 5]
    assert [f"{day['logloss']}" for day in result["days"]] == [row[4] for row in rows[10:]]


def test_a_day_is_predicted_before_it_is_trained_on(whole):
    """The first later day is judged as its halves were at the end of the offline stage."""
    result, _ = whole
    n = len(click_days.data().days[3])
    halves = [result[part]["logloss"] * n / 2 for part in ("test", "validation")]
    assert result["days"][0]["logloss"] == pytest.approx(sum(halves) / n, rel=1e-12)
    assert n % 2 == 0


def test_the_model_is_at_full_size_in_the_end_and_knows_more_than_the_mean(whole):
    result, _ = whole
    notes = [row["note"] for row in result["report"]["rows"] if "neurons" in row["note"]]
    assert notes == ["neurons: all in use"] * 10
    assert result["test"]["normalized_entropy"] < 0.9


def test_judging_is_of_all_rows_whatever_the_batch(monkeypatch):
    task = TASKS["dlrm"](dataclasses.replace(CONFIG, algorithm="dense", density=1.0), None)
    model = task.build_model()
    rows = task.data.days[3]
    found = []
    for size in (7, 1000):
        monkeypatch.setattr(stages, "_BATCH", size)
        found.append(stages._judge(stages._predictor(model), rows))
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    logits = model.predict((rows.dense, rows.categorical), verbose=0)
    assert found[1] == pytest.approx(evaluate_clicks(logits, rows.labels[:, None]), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 41}, r"40 rows \(day 5\) do not fill a batch of 41"),
        ({"batch_size": 200}, r"199 rows \(offline\) do not fill a batch of 200"),
        ({"settings": {"offline_days": 6}}, "leave one of the 6 days to judge on; received 6"),
        ({"settings": {"offline_days": 0}}, "`n_days`.*at least 1; received 0"),
        ({"settings": {"rows_per_day": -1}}, "`rows_per_day`.*received -1"),
        ({"settings": {"bottom": "8,4"}}, "bottom names hidden layers, such as 512-256.*'8,4'"),
        ({"settings": {"cycles": 40}}, "too short for cycles=40"),
        ({"data": "ml-1m"}, "`data` must be one of criteo-like, ml-100k.*received 'ml-1m'"),
    ],
)
def test_a_refused_run_leaves_no_folder(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        train.run(dataclasses.replace(CONFIG, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_shuffled_rows_differ_by_seed_and_go_on_where_they_were():
    made = stages.Stages(CONFIG, click_days.data())
    pieces = list(made._pieces())
    assert sum(piece.steps for piece in pieces if piece.stage == "offline") == OFFLINE
    ends = np.cumsum([piece.steps for piece in pieces[:10]])
    assert [piece.first_step for piece in pieces[1:10]] == ends[:-1].tolist()


def test_steps_are_taken_once_and_timed_but_for_the_first_execution(monkeypatch):
    monkeypatch.setattr(stages, "AT_ONCE", 3)
    taken, loss = tf.Variable(0), keras.metrics.Mean()

    class Model:
        """Its loss is the number of the step."""

        reset_metrics = loss.reset_state

        def train_step(self, batch):
            taken.assign_add(1)
            loss.update_state(batch)

        def get_metrics_result(self):
            return {"loss": loss.result()}

    execute = stages._Executions(Model())
    numbers = tf.data.Dataset.range(9, output_type=tf.float32).batch(3)  # beyond the steps
    assert execute(numbers, 7) == 3.0  # of 0 to 6
    assert (int(taken), execute.steps) == (7, 4)
    assert execute(numbers, 8) == 3.5
    assert (int(taken), execute.steps) == (15, 8)
