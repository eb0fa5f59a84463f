"""Runs that are killed: a process does what each line of its input says, in a child of its own.

A line is JSON: "way", one of `WAYS`; "config", of the run; "folder", where it keeps what it goes on
from; and when the child kills itself: "at_tick", after that one, or "in_save", [n, point]: in its
n-th saving, at one of `POINTS`. A tick is a training step (MultVAE, LightGCN and NeuMF), an
execution of some (DLRM in run folders), or a batch taken from a data set. A child that ends writes
what its model and optimizer hold, `state.npz`, beside its folder. The answer is a line: how the
child ended, its ticks and savings.
"""

import json
import os
import pathlib
import signal
import sys
from multiprocessing import Pipe

import keras
import numpy as np
import tensorflow as tf

# Private, for nothing public stands between the parts of a saving: see POINTS.
from tensorflow.python.checkpoint import checkpoint_management
from tensorflow.python.ops import gen_io_ops

import tfdsl
from data import synthetic
from pipelines import fold_in, interactions, leave_one_out, train
from pipelines.config import RunConfig
from pipelines.tasks import TASKS, light_gcn, mult_vae, neu_mf, ranking

_users, _items = synthetic.interactions(120, 60, 4, 8, seed=1)


def _within_users(data_dir, validation_share):
    had = interactions.to_matrix(_users, _items, (120, 60))
    rest, test = interactions.hold_out(had, 0.2)
    return interactions.Interactions(*interactions.hold_out(rest, validation_share), test)


def _last_out(data_dir):
    return leave_one_out.split_last(_users, _items, n_negatives=20)


def _folded_in(*_):
    return fold_in.split(*synthetic.interactions(120, 60, 4, 15, seed=1), 20, 20)


def _tiny():
    mult_vae.DATA["tiny"] = _folded_in
    light_gcn.DATA["tiny"] = _within_users
    neu_mf.DATA["tiny"] = (_last_out, _last_out)
    ranking.MOST_AT_ONCE = 1  # so that there is a tick after every step


class Ticks:
    """Counts, and kills this process, as a scheduler or the kernel does, without a word."""

    def __init__(self, kill_at):
        self.kill_at, self.count = kill_at, 0

    def __call__(self):
        self.count += 1
        if self.count == self.kill_at:
            _kill()

    def watch(self):
        make = keras.Model.make_train_function

        def make_counted(model, force=False):
            make(model, force)
            function = model.train_function

            def counted(iterator):
                logs = function(iterator)
                keras.tree.map_structure(np.asarray, logs)  # it has run
                self()
                return logs

            model.train_function = counted

        keras.Model.make_train_function = make_counted
        iterator = type(iter(tf.data.Dataset.range(0)))
        following = iterator.__next__

        def counted_next(one):
            self()
            return following(one)

        iterator.__next__ = counted_next


# Where in a saving: values are written beside their place; they are in it, and the list of
# checkpoints is not; the list is, and what is to go has not gone. By TensorFlow's own parts of it,
# as there is nothing public between them.
POINTS = {
    "written": (gen_io_ops, "merge_v2_checkpoints"),
    "in place": (checkpoint_management, "update_checkpoint_state_internal"),
    "listed": (tf.train.CheckpointManager, "_sweep"),
}


class Savings:
    """Counts them, and kills this process inside one, at one of `POINTS`."""

    def __init__(self, kill_in):
        self.number, self.point = kill_in or (0, None)
        self.count = 0

    def watch(self):
        save = tf.train.CheckpointManager.save

        def counted(manager, *arguments, **named):
            self.count += 1
            return save(manager, *arguments, **named)

        tf.train.CheckpointManager.save = counted
        if self.point is None:
            return
        place, name = POINTS[self.point]
        go_on = getattr(place, name)

        def reached(*arguments, **named):
            if self.count == self.number:
                _kill()
            return go_on(*arguments, **named)

        setattr(place, name, reached)


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _run(folder, config):
    """Does a run of the project's own; returns what it holds, or None if it had ended before."""
    states = []
    make = train.RunState

    def keep(*arguments):
        states.append(make(*arguments))
        return states[-1]

    train.RunState = keep
    train.run(config, folder)
    return states[0].variables if states else None


def _made(config):
    """Returns a run's model, compiled and built, its task, and the elements of an epoch."""
    task = TASKS[config.model](config, None)
    model = task.build_model()
    if config.model == "dlrm":
        return model, task, task.stages.offline_steps // config.epochs
    return model, task, task.elements_per_epoch


def _batches(task, first, end):
    """Returns the elements of a run from one to another: other ones in every epoch."""
    if task.config.model != "dlrm":
        return task.batches(0).skip(first).take(end - first)
    rows, config = task.stages.split.train, task.config
    return rows.batches(config.batch_size, config.seed, first, end - first)


def _fit(folder, config):
    """Trains by Keras's `fit` with its `BackupAndRestore`, and a log."""
    model, task, elements = _made(config)
    callbacks = [keras.callbacks.BackupAndRestore(folder / "backup")]
    if config.algorithm != "amgp":
        callbacks.append(tfdsl.callbacks.SparsityLogger(folder))
    # Of `fit` with BackupAndRestore a data set begins anew in every epoch.
    data = _batches(task, 0, elements)
    model.fit(data, epochs=config.epochs, verbose=0, callbacks=callbacks)
    return [v.value for v in (*model.variables, *model.optimizer.variables)]


def _loop(folder, config):
    """Trains in a loop of its own, with TensorFlow's `CheckpointManager`."""
    model, task, elements = _made(config)
    done = tf.Variable(0, dtype=tf.int64)  # elements
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, done=done)
    manager = tf.train.CheckpointManager(checkpoint, folder / "checkpoints", max_to_keep=2)
    manager.restore_or_initialize()
    model.make_train_function()
    end = config.epochs * elements
    batches = iter(_batches(task, int(done), end))
    while done < end:
        model.train_function(batches)
        if done.assign_add(1) % max(end // 8, 1) == 0:
            manager.save()
    return [v.value for v in (*model.variables, *model.optimizer.variables)]


WAYS = {"run": _run, "fit": _fit, "loop": _loop}


def _child(job, answer):
    ticks, savings = Ticks(job["at_tick"]), Savings(job["in_save"])
    ticks.watch()
    savings.watch()
    _tiny()
    folder = pathlib.Path(job["folder"])
    config = RunConfig(**job["config"] | {"quirks": tuple(job["config"]["quirks"])})
    held = WAYS[job["way"]](folder, config)
    if held is not None:
        np.savez(folder.parent / "state.npz", *(value.numpy() for value in held))
    answer.send({"ticks": ticks.count, "savings": savings.count})


def main():
    """Answers line by line."""
    for line in sys.stdin:
        ours, theirs = Pipe(duplex=False)
        # TensorFlow is imported here and started in the child: a child is there at once.
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            try:
                _child(json.loads(line), theirs)
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ended = {"status": os.waitstatus_to_exitcode(status)}
        print(json.dumps(ended | (ours.recv() if ours.poll() else {})), flush=True)


if __name__ == "__main__":
    main()
