"""Masks that never change."""

import keras

from tfdsl.algorithms.base import Algorithm


@keras.saving.register_keras_serializable(package="tfdsl")
class StaticSparse(Algorithm):
    """Keeps the initial masks: the baseline that moving weights must beat.

    With `init="magnitude"` it prunes a trained model once and keeps it sparse while it is tuned.
    """
