"""Runs a worker's script; kills this process after so many training steps, if it is told to.

Arguments: the script, the step (0 for none), a file for what model and optimizer hold in the end,
and the script's own.
"""

import os
import pathlib
import signal
import sys

import numpy as np
import tensorflow as tf


def main():
    script, kill_at, ending, *arguments = sys.argv[1:]
    kill_at, done, make = int(kill_at), 0, tf.function

    def counted(function=None, **kwargs):
        made = make(function, **kwargs)
        if kwargs or function.__module__ != "__main__":
            return made

        def call(*args):
            nonlocal done
            made(*args)
            done += 1
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        return call

    tf.function = counted
    sys.argv = [script, *arguments]
    names = {"__name__": "__main__"}
    exec(compile(pathlib.Path(script).read_text(), script, "exec"), names)
    variables = (*names["model"].variables, *names["optimizer"].variables)
    np.savez(ending, *(variable.numpy() for variable in variables))


if __name__ == "__main__":
    main()
