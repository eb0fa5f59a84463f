"""Runs that are killed: a process does what each line of its input says, in a child of its own.

A line is JSON: "folder", "config" (of `RunConfig`), and "kill_at": the tick after which the child
kills itself, or null. A tick is an execution of training steps or a batch taken from a data set. A
child that ends the run writes what its model and optimizer hold, `state.npz`, beside its folder.
The answer is a line: how the child ended, and its ticks.
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


def _child(job, answer):
    ticks = Ticks(job["kill_at"])
    ticks.watch()
    _tiny()
    states = []
    make = train.RunState

    def keep(*arguments):
        states.append(make(*arguments))
        return states[-1]

    train.RunState = keep
    folder = pathlib.Path(job["folder"])
    config = job["config"]
    train.run(RunConfig(**{**config, "quirks": tuple(config["quirks"])}), folder)
    if states:  # else the run had ended before
        np.savez(folder.parent / "state.npz", *(v.numpy() for v in states[0].variables))
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
