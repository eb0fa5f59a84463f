"""Whole runs, tiny: train, select, report; stop in the middle and go on."""

import csv
import dataclasses

import keras
import pytest
import tensorflow as tf

import tfdsl
from data import synthetic
from data.errors import DataError
from pipelines import files, fold_in, interactions, leave_one_out, protocols, train
from pipelines.config import RunConfig
from pipelines.epochs import Progress
from pipelines.tasks import TASKS, light_gcn, mult_vae, neu_mf

SLOW = pytest.mark.slow
CONFIG = RunConfig(
    data="tiny",
    model="multvae",
    algorithm="dsl",
    density=0.2,
    epochs=4,
    batch_size=20,
    update_interval=3,
    evaluate_every=2,
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    def load(*_):
        users, items = synthetic.interactions(120, 60, 4, 15, seed=1)
        return fold_in.split(users, items, n_validation=20, n_test=20)

    monkeypatch.setitem(mult_vae.DATA, "tiny", load)
    users, items = synthetic.interactions(120, 60, 4, 8, seed=1)
    had = interactions.to_matrix(users, items, (120, 60))

    def load_within_users(data_dir, validation_share):
        rest, test = interactions.hold_out(had, 0.2)
        return interactions.Interactions(*interactions.hold_out(rest, validation_share), test)

    def leave_last_out(data_dir):
        return leave_one_out.split_last(users, items, n_negatives=20)

    monkeypatch.setitem(light_gcn.DATA, "tiny", load_within_users)
    monkeypatch.setitem(neu_mf.DATA, "tiny", (leave_last_out, leave_last_out))


def _rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


class _Stop(Exception):
    pass


def _run_until(epoch, config, folder):
    """Runs, and dies when this epoch has been written."""
    with pytest.MonkeyPatch.context() as patch:
        on_epoch_end = Progress.on_epoch_end

        def stop(self, done, logs=None):
            on_epoch_end(self, done, logs)
            if done + 1 == epoch:
                raise _Stop

        patch.setattr(Progress, "on_epoch_end", stop)
        with pytest.raises(_Stop):
            train.run(config, folder)
    keras.backend.clear_session()


def _assert_same(parts, whole, folder):
    for name in ("config", "best_epoch", "validation", "test", "report", "steps", "masks"):
        assert parts[name] == whole[name], name
    metrics = [(folder / kind / "metrics.csv").read_text() for kind in ("whole", "parts")]
    assert metrics[0] == metrics[1]
    assert not (folder / "parts" / "checkpoint").exists()


@pytest.mark.slow
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path):
    whole = train.run(CONFIG, tmp_path / "whole")
    # After an epoch that has a row but no checkpoint: it is made again.
    _run_until(3, CONFIG, tmp_path / "parts")
    assert not (tmp_path / "parts" / "result.json").exists()
    assert [row["epoch"] for row in _rows(tmp_path / "parts")] == ["1", "2", "3"]
    _assert_same(train.run(CONFIG, tmp_path / "parts"), whole, tmp_path)
    assert whole["report"]["density"] == pytest.approx(0.2, abs=1e-3)


def test_every_epoch_has_a_row_and_a_run_without_a_checkpoint_begins_again(tmp_path):
    config = dataclasses.replace(CONFIG, algorithm="dense", density=1.0, epochs=3)
    whole = train.run(config, tmp_path / "whole")
    rows = _rows(tmp_path / "whole")
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "4"), ("2", "8"), ("3", "12")]
    assert [bool(row["ndcg@20"]) for row in rows] == [False, True, True]
    assert all(float(row["loss"]) > 0 for row in rows)
    _run_until(1, config, tmp_path / "parts")
    assert {p.name for p in (tmp_path / "parts").iterdir()} == {"config.json", "metrics.csv"}
    _assert_same(train.run(config, tmp_path / "parts"), whole, tmp_path)


@pytest.mark.parametrize(
    ("algorithm", "distribution", "first"),
    [
        pytest.param("dense", "uniform", 1, marks=SLOW),
        pytest.param("static", "global", 1, marks=SLOW),
        pytest.param("oneshot", "global", 2, marks=SLOW),
        pytest.param("gradual", "global", 3, marks=SLOW),
        ("gradual", "uniform", 3),
    ],
)
def test_no_epoch_counts_before_a_model_is_pruned(
    tmp_path, monkeypatch, algorithm, distribution, first
):
    falling = iter(range(100, 0, -1))  # the earliest is the best

    def evaluate(part):
        return {"ndcg@20": next(falling) if part == "validation" else 0.0}

    monkeypatch.setattr(mult_vae.MultVAETask, "evaluator", lambda *_: evaluate)
    change = {"algorithm": algorithm, "density": 1.0 if algorithm == "dense" else 0.2}
    change |= {"evaluate_every": 1, "update_interval": 2, "distribution": distribution}
    result = train.run(dataclasses.replace(CONFIG, **change), tmp_path)
    assert result["best_epoch"] == first
    assert result["report"]["density"] == pytest.approx(change["density"], abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "ml-100k"}, "`data` must be one of .*ml-1m.*; received 'ml-100k'"),
        ({"batch_size": 100}, "80 users do not fill a batch of 100; use a smaller one"),
        ({"algorithm": "gradual", "update_interval": 99}, "Use a smaller update_interval"),
    ],
)
def test_a_refused_run_leaves_no_folder(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        train.run(dataclasses.replace(CONFIG, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_run_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    files.write_record(folder / "config.json", CONFIG.to_dict())
    files.write_record(folder / "result.json", {"made": "before"})
    assert train.run(CONFIG, folder) == {"made": "before"}


def test_a_folder_of_another_run_is_refused(tmp_path):
    files.write_record(tmp_path / "config.json", CONFIG.to_dict() | {"density": 0.5})
    with pytest.raises(ValueError, match="another configuration"):
        train.run(CONFIG, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_a_run_folder_whose_files_changed_is_refused_by_the_file(tmp_path, name):
    files.write_record(tmp_path / "config.json", CONFIG.to_dict())
    files.write_record(tmp_path / "result.json", {"test": {"ndcg@20": 0.5}})
    content = (tmp_path / name).read_text()
    (tmp_path / name).write_text(content.replace("0.", "1.", 1))
    with pytest.raises(DataError, match=rf"{name} is damaged or was changed; remove its folder"):
        train.run(CONFIG, tmp_path)


def test_a_folder_that_lost_its_configuration_is_not_taken_for_another_runs(tmp_path):
    files.write_record(tmp_path / "done" / "result.json", {"config": CONFIG.to_dict()})
    other = dataclasses.replace(CONFIG, seed=5)
    with pytest.raises(ValueError, match="holds a run with another configuration"):
        train.run(other, tmp_path / "done")
    (tmp_path / "begun" / "checkpoint").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"has the state of a run, but no config\.json"):
        train.run(CONFIG, tmp_path / "begun")


def test_a_folder_that_another_process_is_at_work_in_is_refused(tmp_path):
    with files.alone(tmp_path), pytest.raises(ValueError, match="Another process is at work in"):
        train.run(dataclasses.replace(CONFIG, algorithm="static"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_damaged_rows_of_a_cache_are_one_line_with_the_remedy(tmp_path, monkeypatch):
    def broken(task, model, state):
        raise tf.errors.DataLossError(None, None, "corrupted record at 12\nDetected at node")

    monkeypatch.setattr(TASKS["multvae"], "train", broken)
    message = r"cache is damaged \(corrupted record at 12\); delete the folder 'cache' [^\n]*$"
    with pytest.raises(DataError, match=message):
        train.run(CONFIG, tmp_path / "run")


RANKING = {
    "lightgcn": RunConfig(
        data="tiny",
        model="lightgcn",
        algorithm="dsl",
        density=0.2,
        epochs=2,
        batch_size=200,
        learning_rate=0.02,
        final_learning_rate=0.001,
        update_interval=3,
        evaluate_every=1,
        settings={"width": 8, "layers": 1},
    ),
    "neumf": RunConfig(
        data="tiny",
        model="neumf",
        algorithm="dsl",
        density=0.2,
        epochs=2,
        batch_size=200,
        update_interval=3,
        evaluate_every=1,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", RANKING)
def test_an_interrupted_run_on_samples_ends_as_one_that_was_not(tmp_path, model):
    config = RANKING[model]
    whole = train.run(config, tmp_path / "whole")
    _run_until(1, config, tmp_path / "parts")
    _assert_same(train.run(config, tmp_path / "parts"), whole, tmp_path)
    assert whole["report"]["density"] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("model", ["multvae", "lightgcn", "neumf"])
def test_a_narrow_model_has_the_parameters_of_a_sparse_one(tmp_path, model):
    base = CONFIG if model == "multvae" else RANKING[model]
    base = dataclasses.replace(base, density=0.25)
    total = {}
    for algorithm in ("narrow", "static"):
        config = dataclasses.replace(base, algorithm=algorithm)
        report = tfdsl.report(TASKS[model](config, None).build_model())
        total[algorithm] = sum(row.active for row in report.rows if row.masked)
    assert total["narrow"] == pytest.approx(total["static"], rel=0.02)


@pytest.mark.parametrize("model", [pytest.param("neumf", marks=pytest.mark.slow), "lightgcn"])
def test_the_published_protocol_runs_with_all_its_quirks(tmp_path, model):
    quirks = protocols.of_model(model)
    config = dataclasses.replace(
        RANKING[model],
        protocol="published",
        quirks=quirks,
        optimizer_state="keep",
        epochs=1,
        batch_size=50,
    )
    result = train.run(config, tmp_path)
    if model == "lightgcn":  # chosen on the test part
        assert result["validation"].items() <= result["test"].items()
    else:
        n_users = len(TASKS[model](config, None).split.test.users)
        hits = result["test"]["sampled_hit_rate@20"] * (n_users % 50)
        assert hits == pytest.approx(round(hits))
