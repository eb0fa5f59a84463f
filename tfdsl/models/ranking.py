"""What models that rank items for users share: their loss, and training on what they draw."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfdsl.models.sampled import SampledModel


@keras.saving.register_keras_serializable(package="tfdsl")
class BPRLoss(keras.losses.Loss):
    """Bayesian personalised ranking: the mean of softplus(negative's score - positive's).

    Labels, (batch, n), are 1 for the one positive of a row and 0 for its negatives; scores have
    the same shape.

    Raises:
        ValueError: when called, for rows of a positive alone.

    Reference: Rendle et al., 2009, "BPR: Bayesian Personalized Ranking from Implicit Feedback",
    UAI, arXiv 1205.2618.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value a row."""
        if y_pred.shape[-1] == 1:
            raise ValueError(
                "BPRLoss needs a negative beside each row's positive; received scores of shape "
                f"{tuple(y_pred.shape)}."
            )
        is_positive = ops.cast(y_true, "float32")
        scores = ops.cast(y_pred, "float32")
        positive = ops.sum(is_positive * scores, axis=-1, keepdims=True)
        losses = (1.0 - is_positive) * ops.softplus(scores - positive)
        return ops.sum(losses, axis=-1) / ops.cast(ops.shape(scores)[-1] - 1, "float32")


class RankingModel(SampledModel):
    """Scores items for users: (users (batch,), items (batch, n)) -> (batch, n).

    It trains on ((users, items), labels); or, with a sampler, on the numbers of steps, and draws
    the rest inside the compiled step. Many numbers at once are as many steps in one execution, so
    that a GPU never waits for the host:

        model.sampler = sampler  # step -> ((users, items), labels), tensor operations alone
        model.compile(..., jit_compile=True)
        model.fit(tf.data.Dataset.range(100_000).batch(100))

    The sampler is not saved with the model: set it again on one that was loaded. Ids out of range
    are refused where they are numbers (in eager calls and by scorers); in compiled code, a training
    step among it, they are whatever `tf.gather` makes of them.
    """

    @property
    def input_signature(self) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        """What an export takes: (users, items)."""
        return (
            tf.TensorSpec((None,), tf.int64, "users"),
            tf.TensorSpec((None, None), tf.int64, "items"),
        )

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns what a symbolic call gives: scores are of the items' shape."""
        return keras.KerasTensor(inputs[1].shape, dtype=self.compute_dtype)

    def scorer(self) -> Callable[[Any], tf.Tensor]:
        """Returns a compiled function from users, integers (batch,), to (batch, items) scores.

        What scores share, such as propagated embeddings, is computed here, once.
        """
        # Not abstract for Python: training needs none, and Keras's models have another metaclass.
        raise NotImplementedError(f"{type(self).__name__} must define `scorer`.")


def check_pairs(inputs: Any, n_users: int, n_items: int) -> tuple[Any, Any]:
    """Returns users (batch,) and items (batch, n) as tensors; see `check_ids`.

    Raises:
        ValueError: the inputs are something else.
    """
    if not isinstance(inputs, tuple | list) or len(inputs) != 2:
        raise ValueError(
            "A ranking model takes (users, items), and trains on ((users, items), labels); "
            f"received {type(inputs).__name__}. To train on the numbers of steps, set "
            "`model.sampler` (it is not saved with a model)."
        )
    users = check_ids("users", inputs[0], n_users)
    items = check_ids("items", inputs[1], n_items)
    if users.shape.rank not in (1, None) or items.shape.rank not in (2, None):
        raise ValueError(
            "`users` must have shape (batch,) and `items` (batch, n); received "
            f"{tuple(users.shape)} and {tuple(items.shape)}."
        )
    return users, items


def check_ids(name: str, ids: Any, n: int) -> Any:
    """Returns ids as a tensor, int32 or int64; all are below `n`, or their values not known yet.

    Raises:
        ValueError: they are not integers, or one is out of range.
    """
    none = isinstance(ids, list | tuple) and not ids  # a tensor of it would be a float one
    ids = tf.convert_to_tensor(ids, tf.int32 if none else None)
    if tf.distribute.in_cross_replica_context() and not tf.executing_eagerly():
        # Keras builds a model for replicas with the mean of their batches, which are floats then.
        ids = tf.cast(ids, tf.int32)
    if not ids.dtype.is_integer:
        raise ValueError(f"`{name}` must be integers; received {ids.dtype.name}.")
    if tf.executing_eagerly() and tf.size(ids):
        values = ids.numpy()
        if values.min() < 0 or values.max() >= n:
            wrong = values[(values < 0) | (values >= n)].flat[0]
            raise ValueError(f"`{name}` must be in 0..{n - 1}; received {wrong}.")
    return ids if ids.dtype in (tf.int32, tf.int64) else tf.cast(ids, tf.int64)
