"""Which checkpoints there are, and whether they are whole."""

import pathlib
import re

import tensorflow as tf

_NAME = re.compile(r"ckpt-(\d+)\.index")


def newest_first(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the checkpoints in a folder, without their endings.

    By their files: TensorFlow's list of them, the file `checkpoint`, can be damaged too.
    """
    found = [_NAME.fullmatch(path.name) for path in folder.glob("ckpt-*.index")]
    numbers = sorted((int(match[1]) for match in found if match), reverse=True)
    return [folder / f"ckpt-{number}" for number in numbers]


def damage(path: pathlib.Path) -> str | None:
    """Returns what is wrong with a checkpoint, or None: reads all of it, against its checksums."""
    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception as error:  # by what is wrong, TensorFlow raises IndexError, ValueError, ...
        return " ".join(str(error).split()) or type(error).__name__
    return None
