"""What models that rank items for users share: their loss, and training on what they draw."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfdsl")
class BPRLoss(keras.losses.Loss):
    """Bayesian personalised ranking: the mean of softplus(negative's score - positive's).

    Labels, (batch, n), are 1 for the one positive of a row and 0 for its negatives; scores have
    the same shape.

    Reference: Rendle et al., 2009, "BPR: Bayesian Personalized Ranking from Implicit Feedback",
    UAI, arXiv 1205.2618.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value a row."""
        is_positive = ops.cast(y_true, "float32")
        scores = ops.cast(y_pred, "float32")
        positive = ops.sum(is_positive * scores, axis=-1, keepdims=True)
        losses = (1.0 - is_positive) * ops.softplus(scores - positive)
        return ops.sum(losses, axis=-1) / (ops.shape(scores)[-1] - 1)


class RankingModel(keras.Model):
    """Scores items for users: (users (batch,), items (batch, n)) -> (batch, n).

    It trains on ((users, items), labels); or, with a sampler, on the numbers of steps, and draws
    the rest inside the compiled step. Many numbers at once are as many steps in one execution, so
    that a GPU never waits for the host:

        model.sampler = sampler  # step -> ((users, items), labels), tensor operations alone
        model.compile(..., jit_compile=True)
        model.fit(tf.data.Dataset.range(100_000).batch(100))
    """

    sampler: Callable[[tf.Tensor], tuple[Any, Any]] | None = None

    def train_step(self, data: Any) -> dict[str, Any]:
        """Takes a step on data; or one a number, on what the sampler draws for it."""
        if self.sampler is None:
            return super().train_step(data)
        numbers, take, draw = tf.reshape(data, [-1]), super().train_step, self.sampler

        def step(place: tf.Tensor) -> tuple[tf.Tensor]:
            take(draw(numbers[place]))
            return (place + 1,)

        # One loop for all of them, inside what is compiled: the host's own, as Keras's
        # steps_per_execution has it, waits for the GPU after each.
        tf.while_loop(lambda place: place < tf.size(numbers), step, (tf.constant(0),))
        return self.get_metrics_result()

    def scorer(self) -> Callable[[Any], tf.Tensor]:
        """Returns a compiled function from users, integers (batch,), to (batch, items) scores.

        What scores share, such as propagated embeddings, is computed here, once.
        """
        # Not abstract for Python: training needs none, and Keras's models have another metaclass.
        raise NotImplementedError(f"{type(self).__name__} must define `scorer`.")
