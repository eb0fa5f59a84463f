"""Calls in processes of their own, several at once, that outlive one that is stopped."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Self

import tensorflow as tf

from pipelines import environment
from pipelines.command_line import say


class LostDeviceError(OSError):
    """A process finds no GPU where there was one before."""


# What a call fails with that is not its own doing: memory is short where others have it.
STOPS = (
    LostDeviceError,
    ChildProcessError,
    tf.errors.InternalError,
    tf.errors.ResourceExhaustedError,
)
# NumPy's linear algebra takes all cores in every process, and waits for them busily.
_THREADS = "OPENBLAS_NUM_THREADS"
_GPUS = "CUDA_VISIBLE_DEVICES"


class Processes:
    """Calls with one argument each, several at once, every one in a process of its own.

    A process that is stopped takes those beside it along, as one that leaves a GPU in a state that
    they cannot use does: all that have not ended are begun again then.

    Each has its share of the cores for NumPy's linear algebra, unless the environment says how many
    (OPENBLAS_NUM_THREADS). Where this process has GPUs, each has one of them, in turns; one that
    does not find it does not call.

    Args:
        call: of one argument; both can be pickled.
        arguments: one a call.
        jobs: how many run at once.
        stops: errors of a call that count as a stopped process.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        arguments: Sequence[Any],
        jobs: int,
        stops: Sequence[type[Exception]] = STOPS,
    ) -> None:
        self._call, self._gpus = call, _names_of_gpus()
        self._arguments, self._jobs = arguments, jobs
        self._stops = (BrokenProcessPool, *stops)
        self._futures: list[concurrent.futures.Future[Any] | None] = [None] * len(arguments)
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
            OSError: processes were stopped twice, and none has ended in between.
        """
        while True:
            future = self._futures[place]
            assert future
            try:
                return future.result()
            except self._stops as error:
                self._begin_again(error)

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = concurrent.futures.ProcessPoolExecutor(
            self._jobs, context, max_tasks_per_child=1
        )
        for place, argument in enumerate(self._arguments):
            if not _has_ended(self._futures[place]):
                gpu = self._gpus[place % len(self._gpus)] if self._gpus else None
                self._futures[place] = self._pool.submit(_on_gpu, gpu, self._call, argument)

    def _begin_again(self, error: Exception) -> None:
        self._pool.shutdown(cancel_futures=True)
        ended = sum(_has_ended(future) for future in self._futures)
        if ended == self._n_ended:
            raise ChildProcessError(
                f"Processes were stopped again, and none has ended since ({error}). Where memory "
                "is short, fewer at once need less of it (--jobs). The same command goes on from "
                "here."
            ) from error
        self._n_ended = ended
        say(f"a process was stopped ({error}); those that have not ended are begun again")
        self._begin()


def _names_of_gpus() -> list[str]:
    """Returns what CUDA calls the GPUs of this process."""
    given = os.environ.get(_GPUS)
    n_gpus = len(environment.gpus())
    return given.split(",")[:n_gpus] if given else [str(place) for place in range(n_gpus)]


def _on_gpu(gpu: str | None, call: Callable[[Any], Any], argument: Any) -> Any:
    """Calls in a process that has not asked for its GPUs before, and has this one alone then."""
    if gpu is not None:
        os.environ[_GPUS] = gpu
        if not environment.gpus():
            raise LostDeviceError("TensorFlow finds no GPU, where it found one before")
    return call(argument)


def _has_ended(future: concurrent.futures.Future[Any] | None) -> bool:
    return bool(future and future.done() and not future.cancelled() and not future.exception())
