"""How functions of tensors that each model has its own of are compiled."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled(fn: Callable[..., Any], **constants: Any) -> Any:
    """Returns a function compiled by XLA, whatever calls it.

    Masks are the same bits in every mode then, and an update outside XLA costs no more than inside.

    Args:
        fn: of tensors.
        **constants: arguments of `fn` that stay.
    """
    # Partial also without constants: by its code TensorFlow would take every model's own for one
    # that is traced again and again, and warn.
    return tf.function(functools.partial(fn, **constants), jit_compile=True, autograph=False)
