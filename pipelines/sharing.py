"""What runs of a table have from each other: compiled programs and spectral factors."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

from pipelines import environment

_FACTORS = "TFDSL_FACTORS"


@contextlib.contextmanager
def shared(jobs: int) -> Iterator[None]:
    """Lets runs inside have from each other what is the same for several of them.

    Args:
        jobs: how many run at once; one that runs in this process has names of its own for all that
            it compiles.
    """
    with shared_factors(), shared_programs() if jobs > 1 else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def shared_programs() -> Iterator[None]:
    """Lets processes begun inside have from each other what XLA has compiled for a GPU.

    Runs that differ in their seed alone are one program, and with most algorithms those of other
    densities too; for a small model compiling takes as long as training. Programs are kept until
    the end, in the folder for temporary files; in XLA's own persistent cache where TF_XLA_FLAGS
    names one. On a CPU TensorFlow doubts of each program whether it is this processor's.
    """
    given = os.environ.get("TF_XLA_FLAGS", "")
    if not environment.gpus() or "tf_xla_persistent_cache_directory" in given:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="tfdsl-programs-") as folder:
        flags = f"{given} --tf_xla_persistent_cache_directory={folder}".strip()
        # At lower levels it is an error that a program is not written as text.
        with _environ({"TF_XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"}):
            yield


@contextlib.contextmanager
def shared_factors() -> Iterator[None]:
    """Lets runs inside, in this process and in others, have spectral factors from each other.

    They are of the data, the seed and a width alone, and making them takes a small model as long
    as it is trained. Kept until the end, in the folder for temporary files; in that of
    TFDSL_FACTORS where it names one.
    """
    if factors_folder():
        yield
        return
    with (
        tempfile.TemporaryDirectory(prefix="tfdsl-factors-") as folder,
        _environ({_FACTORS: folder}),
    ):
        yield


def factors_folder() -> str | None:
    """Returns the folder that runs share spectral factors in, if there is one."""
    return os.environ.get(_FACTORS) or None


@contextlib.contextmanager
def _environ(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
