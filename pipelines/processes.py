"""Calls in processes of their own, several at once, that outlive one that is stopped."""

import concurrent.futures
import functools
import itertools
import multiprocessing
import os
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Self

import tensorflow as tf

from pipelines import environment
from pipelines.command_line import say


class LostDeviceError(OSError):
    """A process finds no GPU where there was one before."""


class FailedCallError(ChildProcessError):
    """A call has failed twice, though others beside it may do well."""


# With these a GPU may be in a state that no process of the pool can use.
_TAKE_ALL_ALONG = (BrokenProcessPool, LostDeviceError, tf.errors.InternalError)
# These may be of what else ran at the time: no memory was left, or a program of the call's own that
# had none.
_MAY_PASS = (tf.errors.ResourceExhaustedError, ChildProcessError)
# NumPy's linear algebra takes all cores in every process, and waits for them busily.
_THREADS = "OPENBLAS_NUM_THREADS"
_GPUS = "CUDA_VISIBLE_DEVICES"
_LONGEST = 300  # characters of an error that are said


class Processes:
    """Calls with one argument each, several at once, every one in a process of its own.

    A process that is stopped takes those beside it along, as one that leaves a GPU in a state that
    they cannot use does: all that have not ended are begun again then. A call that has no memory,
    or whose own program fails, is begun again by itself, once.

    Each has its share of the cores for NumPy's linear algebra, unless the environment says how many
    (OPENBLAS_NUM_THREADS). Where this process has GPUs, each has one of them, all as many as can
    be; one that does not find it does not call.

    Args:
        call: of one argument; both can be pickled.
        arguments: one a call.
        jobs: how many run at once.
        n_gpus: how many of the GPUs they are spread over; all if None.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        arguments: Sequence[Any],
        jobs: int,
        n_gpus: int | None = None,
    ) -> None:
        self._call, self._arguments, self._jobs = call, arguments, jobs
        self._gpus = _names_of_gpus()[:n_gpus]
        self._futures: list[concurrent.futures.Future[Any] | None] = [None] * len(arguments)
        self._failed: set[int] = set()
        self._n_ended = -1  # when they were last begun again
        self._sets_threads = _THREADS not in os.environ
        if self._sets_threads:
            os.environ[_THREADS] = str(max((os.cpu_count() or 1) // jobs, 1))
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._sets_threads:
            del os.environ[_THREADS]

    def result(self, place: int) -> Any:
        """Returns what the call of an argument returns.

        Raises:
            FailedCallError: it had no memory, or its own program failed, twice.
            OSError: processes were stopped twice, and none has ended in between.
        """
        while True:
            future = self._futures[place]
            assert future
            try:
                return future.result()
            except _TAKE_ALL_ALONG as error:
                self._begin_again(error)
            except _MAY_PASS as error:
                if place in self._failed:
                    raise FailedCallError(f"It failed again: {_line(error)}") from error
                self._failed.add(place)
                say(f"one failed, and is begun again: {_line(error)}")
                self._submit(place)

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        free: Any = None
        if self._gpus:
            # A new one, since a process that is killed does not give its GPU back.
            free = context.SimpleQueue()
            for gpu in itertools.islice(itertools.cycle(self._gpus), self._jobs):
                free.put(gpu)
        self._pool = concurrent.futures.ProcessPoolExecutor(
            self._jobs, context, _share_gpus, (free,), max_tasks_per_child=1
        )
        for place, future in enumerate(self._futures):
            if not _has_ended(future):
                self._submit(place)

    def _submit(self, place: int) -> None:
        call = functools.partial(_on_gpu, self._call) if self._gpus else self._call
        self._futures[place] = self._pool.submit(call, self._arguments[place])

    def _begin_again(self, error: Exception) -> None:
        self._pool.shutdown(cancel_futures=True)
        ended = sum(_has_ended(future) for future in self._futures)
        if ended == self._n_ended:
            raise ChildProcessError(
                f"Processes were stopped again, and none has ended since ({_line(error)}). Where "
                "memory is short, fewer at once need less of it (--jobs). The same command goes on "
                "from here."
            ) from error
        self._n_ended = ended
        say(f"a process was stopped ({_line(error)}); those that have not ended are begun again")
        self._begin()


def _names_of_gpus() -> list[str]:
    """Returns what CUDA calls the GPUs of this process."""
    given = os.environ.get(_GPUS)
    n_gpus = len(environment.gpus())
    return given.split(",")[:n_gpus] if given else [str(place) for place in range(n_gpus)]


_free: Any = None  # in a process of the pool: a queue of GPUs, one for each process


def _share_gpus(free: Any) -> None:
    global _free
    _free = free


def _on_gpu(call: Callable[[Any], Any], argument: Any) -> Any:
    """Calls with a free GPU, in a process that has not asked for its GPUs before."""
    gpu = _free.get()
    os.environ[_GPUS] = gpu
    try:
        if not environment.gpus():
            raise LostDeviceError("TensorFlow finds no GPU, where it found one before")
        return call(argument)
    finally:
        _free.put(gpu)


def _has_ended(future: concurrent.futures.Future[Any] | None) -> bool:
    return bool(future and future.done() and not future.cancelled() and not future.exception())


def _line(error: Exception) -> str:
    # By the name where there is no text; TensorFlow's go over many lines.
    return textwrap.shorten(str(error) or type(error).__name__, _LONGEST)
