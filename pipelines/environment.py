"""What a result was made with: versions, commit, machine."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy")
_FACTORS = "TFDSL_FACTORS"
_XLA_FLAGS = {
    # XLA's own list leaves out the two last: at every conditional the GPU waits for the host, and
    # a step of DSL has two.
    "--xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,WHILE",
    # What is fastest by the clock is another matrix product, with other bits, in every process.
    "--xla_gpu_autotune_level": "0",
}


def prepare() -> None:
    """Lets processes share a GPU; sets what XLA should know of one, but for flags it has already.

    To be called before anything is computed or compiled: both are read once.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else the first takes all memory
    if not gpus():
        return
    given = os.environ.get("XLA_FLAGS", "")
    flags = [f"{name}={value}" for name, value in _XLA_FLAGS.items() if name not in given]
    os.environ["XLA_FLAGS"] = " ".join([given, *flags]).strip()


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
    if not gpus() or "tf_xla_persistent_cache_directory" in given:
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


def gpus() -> list[Any]:
    """Returns the GPUs that this process computes on, if any."""
    return list(tf.config.get_visible_devices("GPU"))


def describe() -> dict[str, Any]:
    """Returns versions, the project's commit, and the hardware, as JSON takes it."""
    return {
        "python": platform.python_version(),
        "packages": versions(_PACKAGES),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
            for gpu in gpus()
        ],
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Returns the versions of installed packages."""
    return {name: importlib.metadata.version(name) for name in packages}


def _commit() -> str:
    """The checked-out commit, marked where files differ from it; "unknown" outside git.

    Code that was copied without its history says in TFDSL_COMMIT what it is a copy of.
    """
    if "TFDSL_COMMIT" in os.environ:
        return os.environ["TFDSL_COMMIT"]
    root = pathlib.Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = "-modified" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
