"""One run of one configuration: trains, judges, reports; can go on where it was interrupted.

    python -m pipelines.train [flags]

A run folder holds:
    config.json      the configuration
    metrics.csv      a row an epoch (DLRM: a piece of the offline stage, or a day): step, loss,
                     and where it was evaluated the metrics
    checkpoint/      the state after the last evaluation, until the run is done
    result.json      written last: a folder with it is a finished run
"""

import pathlib
import shutil
from typing import Any

import tensorflow as tf
from absl import app, flags

import tfdsl
from data.errors import DataError
from pipelines import baselines, command_line, environment, files, protocols
from pipelines.algorithms import ALGORITHM_SETTINGS, ALGORITHMS, BASELINES, DENSE, DYNAMIC
from pipelines.config import DISTRIBUTIONS, OPTIMIZER_STATES, SETTINGS, RunConfig
from pipelines.run_state import RunState
from pipelines.tasks import TASKS
from tfdsl import checks


def run(config: RunConfig, folder: pathlib.Path, data_dir: str | None = None) -> dict[str, Any]:
    """Runs a configuration, or what is left of it, and returns its result.

    Nothing is written before the data is read and the model built.

    Args:
        config: what to run.
        folder: the run's own folder. If it holds a result of this configuration, nothing is run;
            if it holds a checkpoint, the run goes on there.
        data_dir: folder with the data sets, or None for the cache.

    Raises:
        ValueError: the folder belongs to another configuration or another process is at work in it,
            there is no such model or data set, or the configuration does not fit the data.
        DataError: the data cannot be had or is damaged.
    """
    result = _finished(config, folder)
    if result is not None:
        return result
    if config.algorithm in BASELINES:
        with files.alone(folder):
            return _finished(config, folder) or baselines.run(config, folder, data_dir)
    environment.prepare()
    task = TASKS[config.model](config, data_dir)
    model = task.build_model()
    with files.alone(folder):
        return _finished(config, folder) or _run(config, folder, task, model)


def _finished(config: RunConfig, folder: pathlib.Path) -> dict[str, Any] | None:
    """Returns the result in a run's folder, if there is one; raises where it is another run's."""
    known = files.read_record(folder / "config.json")
    result = files.read_record(folder / "result.json")
    if known is None and result is None and (folder / "checkpoint").exists():
        raise ValueError(
            f"{folder} has the state of a run, but no config.json that says of which; use another "
            "folder or remove it."
        )
    for found in (known, (result or {}).get("config")):
        if found not in (None, config.to_dict()):
            raise ValueError(
                f"{folder} holds a run with another configuration; use another folder or remove it."
            )
    return result


def _run(config: RunConfig, folder: pathlib.Path, task: Any, model: Any) -> dict[str, Any]:
    files.write_record(folder / "config.json", config.to_dict())
    state = RunState(folder, model)
    result = {
        **_trained(task, model, state),
        "config": config.to_dict(),
        "key": config.key,
        "algorithm": _algorithm(model),
        "report": tfdsl.report(model).to_dict(),
        "seconds": round(state.seconds, 1),
        "environment": environment.describe(),
    }
    files.write_record(folder / "result.json", result)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return result


def _algorithm(model: Any) -> dict[str, Any] | None:
    """Returns all that the algorithm was made with, by itself or as it was told; None if dense."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, tfdsl.SparseOptimizer):
        return None
    return {"name": type(optimizer.algorithm).__name__} | optimizer.algorithm.get_config()


def _trained(task: Any, model: Any, state: RunState) -> dict[str, Any]:
    try:
        found: dict[str, Any] = task.train(model, state)
        return found
    except tf.errors.DataLossError as error:  # TensorFlow's checksums of the rows it reads
        raise DataError(
            f"the data set's cache is damaged ({error.message.splitlines()[0]}); delete the folder "
            "'cache' beside its files, and it is made again"
        ) from None


_FLAGS = {
    "data": (flags.DEFINE_string, "synthetic", "Data set, one that the model's task knows."),
    "model": (flags.DEFINE_string, "multvae", f"Model: {', '.join(TASKS)}."),
    "algorithm": (flags.DEFINE_string, "dsl", f"{', '.join((*DENSE, *ALGORITHMS, *BASELINES))}."),
    "density": (flags.DEFINE_float, 0.1, "Share of active weights; 1.0 with dense."),
    "epochs": (flags.DEFINE_integer, 200, "Passes over the training users, or interactions."),
    "batch_size": (flags.DEFINE_integer, 16, "Users, or interactions, a step."),
    "learning_rate": (flags.DEFINE_float, 1e-3, "The optimizer's learning rate."),
    "final_learning_rate": (flags.DEFINE_float, None, "Where a cosine brings it."),
    "update_interval": (
        flags.DEFINE_integer,
        None,
        "Steps between two mask updates (default: 100; spectral: 20 updates in all).",
    ),
    "optimizer_state": (
        flags.DEFINE_string,
        None,
        f"{', '.join(OPTIMIZER_STATES)} (default: keep with the quirk warm_moments, else reset).",
    ),
    "distribution": (flags.DEFINE_string, "uniform", f"{', '.join(DISTRIBUTIONS)}."),
    "settings": (flags.DEFINE_list, [], "The model's own, such as width=32,layers=2."),
    "algorithm_settings": (
        flags.DEFINE_list,
        [],
        f"Of {', '.join(DYNAMIC)}, such as grow=random: {', '.join(ALGORITHM_SETTINGS)}.",
    ),
    "evaluate_every": (flags.DEFINE_integer, 5, "Epochs between two evaluations."),
    "seed": (flags.DEFINE_integer, 0, "Seed of everything random."),
    "protocol": (flags.DEFINE_string, "clean", f"{', '.join(protocols.PROTOCOLS)}."),
    "quirks": (
        flags.DEFINE_list,
        None,
        f"Under published, those to keep of {', '.join(protocols.QUIRKS)} (default: all).",
    ),
}


def main(arguments: list[str]) -> None:
    """Runs the configuration that the flags describe."""
    if arguments:
        raise app.UsageError(f"Unexpected argument: {arguments[0]!r}.")
    values = {name: flags.FLAGS[name].value for name in _FLAGS}
    given = command_line.quirks(values["quirks"])
    checks.choice("model", values["model"], TASKS)
    values["quirks"] = protocols.active(values["protocol"], given, values["model"])
    values["settings"] = command_line.settings(values["settings"], SETTINGS[values["model"]])
    values["algorithm_settings"] = command_line.settings(
        values["algorithm_settings"], ALGORITHM_SETTINGS, "algorithm_settings"
    )
    values["optimizer_state"] = values["optimizer_state"] or protocols.optimizer_state(
        values["quirks"]
    )
    if values["update_interval"] is None and values["algorithm"] != "spectral":
        values["update_interval"] = 100
    config = RunConfig(**values)
    folder = pathlib.Path(flags.FLAGS.run_dir or f"runs/single/{config.key}")
    result = run(config, folder, flags.FLAGS.data_dir)
    for name, value in result["test"].items():
        print(f"{name}: {value:.4f}")
    print(f"run folder: {folder}")


if __name__ == "__main__":
    for _name, (_define, _default, _help) in _FLAGS.items():
        _define(_name, _default, _help)
    flags.DEFINE_string("data_dir", None, "Folder with the data sets; downloaded if not given.")
    flags.DEFINE_string("run_dir", None, "The run's folder (default: runs/single/<its key>).")
    command_line.run(main, "python -m pipelines.train --help")
