"""Runs that are killed: a process does what each line of its input says, in a child of its own.

A line is JSON: "way", one of `WAYS`; "folder", where it keeps what it goes on from; "what" it
trains; and "kill_at": the tick after which the child kills itself, or null. A tick is an execution
of training steps or a batch taken from a data set. A child that ends writes what its model and
optimizer hold, `state.npz`, beside its folder. The answer is a line: how the child ended, and its
ticks.
"""

import json
import os
import pathlib
import signal
import sys
from multiprocessing import Pipe

import keras
import numpy as np
import small_mlps
import small_runs
import tensorflow as tf

import tfdsl
from data import synthetic
from pipelines import fold_in, interactions, leave_one_out, train
from pipelines.config import RunConfig
from pipelines.tasks import light_gcn, mult_vae, neu_mf

_users, _items = synthetic.interactions(120, 60, 4, 8, seed=1)


def _within_users(data_dir, validation_share):
    had = interactions.to_matrix(_users, _items, (120, 60))
    rest, test = interactions.hold_out(had, 0.2)
    return interactions.Interactions(*interactions.hold_out(rest, validation_share), test)


def _last_out(data_dir):
    return leave_one_out.split_last(_users, _items, n_negatives=20)


def _folded_in(data_dir):
    return fold_in.split(*synthetic.interactions(120, 60, 4, 15, seed=1), 20, 20)


def _tiny():
    mult_vae.DATA["tiny"] = _folded_in
    light_gcn.DATA["tiny"] = _within_users
    neu_mf.DATA["tiny"] = (_last_out, _last_out)


class Ticks:
    """Counts, and kills this process, as a scheduler or the kernel does, without a word."""

    def __init__(self, kill_at):
        self.kill_at, self.count = kill_at, 0

    def __call__(self):
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

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


def _run(folder, config):
    """Does a run of the project's own; returns what it holds, or None if it had ended before."""
    _tiny()
    states = []
    make = train.RunState

    def keep(*arguments):
        states.append(make(*arguments))
        return states[-1]

    train.RunState = keep
    train.run(RunConfig(**{**config, "quirks": tuple(config["quirks"])}), folder)
    return states[0].variables if states else None


def _model(what):
    """Returns a compiled model, the batches of an epoch, and how many epochs it is trained."""
    keras.utils.set_random_seed(1)
    if what == "amgp":  # pruned in steps 3 to 8 and 11 to 16
        model, _ = small_mlps.make()
        rows = tf.data.Dataset.from_tensor_slices((small_mlps.X[:5], small_mlps.Y[:5]))
        return model, rows, 4
    model = small_runs.compiled(algorithm=small_runs.dsl(total_steps=48))
    rows = tf.data.Dataset.from_tensor_slices((small_runs.X, small_runs.Y))
    return model, rows.batch(small_runs.BATCH), 4


def _fit(folder, what):
    """Trains by Keras's `fit` with its `BackupAndRestore`, and a log."""
    model, data, epochs = _model(what)
    callbacks = [keras.callbacks.BackupAndRestore(folder / "backup")]
    if what == "dsl":
        callbacks.append(tfdsl.callbacks.SparsityLogger(folder))
    model.fit(data, epochs=epochs, verbose=0, callbacks=callbacks)
    return [v.value for v in (*model.variables, *model.optimizer.variables)]


def _loop(folder, what):
    """Trains in a loop of its own, with TensorFlow's `CheckpointManager`."""
    model, data, epochs = _model(what)
    model.optimizer.build(model.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, step=step)
    manager = tf.train.CheckpointManager(checkpoint, folder / "checkpoints", max_to_keep=2)
    manager.restore_or_initialize()
    model.make_train_function()
    for batch in data.repeat(epochs).skip(step.numpy()):
        model.train_function(iter([batch]))
        if step.assign_add(1) % 5 == 0:
            manager.save()
    return [v.value for v in (*model.variables, *model.optimizer.variables)]


WAYS = {"run": _run, "fit": _fit, "loop": _loop}


def _child(job, answer):
    ticks = Ticks(job["kill_at"])
    ticks.watch()
    folder = pathlib.Path(job["folder"])
    held = WAYS[job["way"]](folder, job["what"])
    if held is not None:
        np.savez(folder.parent / "state.npz", *(value.numpy() for value in held))
    answer.send(ticks.count)


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
        print(json.dumps(ended | {"ticks": ours.recv() if ours.poll() else None}), flush=True)


if __name__ == "__main__":
    main()
