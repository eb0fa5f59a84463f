"""What a result was made with: versions, commit, machine."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy")
_XLA_FLAGS = {
    # XLA's own list leaves out the two last: at every conditional the GPU waits for the host, and
    # a step of DSL has two.
    "--xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,WHILE",
    # All steps are one loop, which is one operation: too few for XLA to make a graph of, by itself.
    "--xla_gpu_graph_min_graph_size": "1",
    # What is fastest by the clock is another matrix product, with other bits, in every process.
    "--xla_gpu_autotune_level": "0",
    # Without the stopwatch XLA's own products have tiles of one size, which is slow for MultVAE's,
    # of few rows and many items; cuBLAS knows what to take by the shapes.
    "--xla_gpu_enable_triton_gemm": "false",
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
