"""Memory that this process takes where it trains."""

import gc
import pathlib

import tensorflow as tf

from pipelines import environment


def used(peak: bool = False) -> int:
    """Returns bytes: what TensorFlow has allocated on a GPU, or without one the resident memory.

    Args:
        peak: the most that ever was, instead of what is now.
    """
    if environment.gpus():
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak" if peak else "current"])
    return resident("VmHWM" if peak else "VmRSS")


def resident(name: str = "VmRSS") -> int:
    """Returns the bytes of this process that are in memory, or with "VmHWM" ever were."""
    gc.collect()
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))
