"""Mult-VAE: a variational autoencoder of users' item sets, on sparse layers."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfdsl import checks
from tfdsl.layers import SparseDense
from tfdsl.models import philox
from tfdsl.models.sampled import SampledModel
from tfdsl.seeds import Seed


@keras.saving.register_keras_serializable(package="tfdsl")
class MultinomialLikelihood(keras.losses.Loss):
    """Negative multinomial log-likelihood of a user's items under logits over all items.

    -sum_i y_i * log softmax(logits)_i, summed over the items and averaged over the batch.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value a user; `y_true` (1 for the user's items), logits: (batch, items)."""
        log_probability = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        return -ops.sum(ops.cast(y_true, "float32") * log_probability, axis=-1)


@keras.saving.register_keras_serializable(package="tfdsl")
class MultVAE(SampledModel):
    """Mult-VAE: encoder n-hidden-[latent mean, latent log variance], decoder latent-hidden-n.

    Input: a user's items as a 0/1 row, (batch, n_items). Output: logits over all items, same
    shape. The input is scaled to unit length and dropped out; in training the latent vector is
    drawn, else it is the mean. beta * KL is added to the loss, beta rising linearly from 0 to
    `beta` over `anneal_steps` training batches. All four kernels have masks.

    It trains on (rows, rows); or, with a `sampler`, on what that makes rows of inside the compiled
    step, such as the users' numbers, so that the host sends no rows: see `RankingModel`, whose
    sampler is used alike, and `pipelines.batches.UserRows`.

    Reference: Liang et al., 2018, "Variational Autoencoders for Collaborative Filtering", WWW,
    arXiv 1802.05814. Defaults are those of the published DSL.

    Args:
        n_items: width of input and output.
        hidden: width of the hidden layer on either side.
        latent: width of the latent vector.
        dropout: share of the input that is dropped in training.
        beta: final weight of the KL term.
        anneal_steps: training batches until beta is reached.
        sparse_bias: whether biases have masks too, as the published DSL does.
        seed: seed of dropout and of the latent draws; also of the initial weights.

    Raises:
        ValueError: an argument outside its range; the message repeats it.

    Example:
        model = tfdsl.models.MultVAE(n_items=3668)
        model.compile(
            tfdsl.SparseOptimizer("adam", tfdsl.DSL(density=0.1, total_steps=63_000)),
            loss=tfdsl.models.MultinomialLikelihood(),
        )
    """

    def __init__(
        self,
        n_items: int,
        hidden: int = 600,
        latent: int = 200,
        dropout: float = 0.5,
        beta: float = 0.2,
        anneal_steps: int = 200_000,
        sparse_bias: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_items = n_items = checks.count("n_items", n_items)
        self.hidden = hidden = checks.count("hidden", hidden)
        self.latent = latent = checks.count("latent", latent)
        self.dropout = checks.number("dropout", dropout, "[0, 1)")
        self.beta = checks.number("beta", beta, "[0, inf)")
        self.anneal_steps = checks.count("anneal_steps", anneal_steps)
        self.sparse_bias = sparse_bias = checks.flag("sparse_bias", sparse_bias)
        self.seed = seed = checks.seed(seed)
        self._seed = Seed(seed)

        def dense(units: int, place: int, name: str, activation: str | None = None) -> SparseDense:
            return SparseDense(
                units,
                activation=activation,
                sparse_bias=sparse_bias,
                kernel_initializer=keras.initializers.GlorotNormal(seed=seed + place),
                bias_initializer=keras.initializers.RandomNormal(stddev=0.001, seed=seed + place),
                name=name,
            )

        self.encoder_hidden = dense(hidden, 2, "encoder_hidden", "tanh")
        self.encoder_latent = dense(2 * latent, 3, "encoder_latent")
        self.decoder_hidden = dense(hidden, 4, "decoder_hidden", "tanh")
        self.decoder_items = dense(n_items, 5, "decoder_items")

    def build(self, input_shape: Any) -> None:
        """Builds all layers; `input_shape` is (batch, n_items)."""
        batch = input_shape[0]
        self.batches = self.add_weight(
            shape=(), initializer="zeros", dtype="int64", trainable=False, name="batches"
        )
        self.encoder_hidden.build((batch, self.n_items))
        self.encoder_latent.build((batch, self.hidden))
        self.decoder_hidden.build((batch, self.latent))
        self.decoder_items.build((batch, self.hidden))
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns logits, (batch, n_items)."""
        return self.decoder_items(self.user_vectors(inputs, training))

    def user_vectors(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns what the last layer takes, (batch, hidden)."""
        # Unit length, and 0 for a user without items.
        x = inputs / ops.maximum(ops.norm(inputs, axis=-1, keepdims=True), 1e-12)
        if training:
            self.batches.assign_add(1)
            x = philox.drop(x, self.dropout, philox.fold(self._seed, 0, self.batches))
        x = self.encoder_latent(self.encoder_hidden(x))
        mean, log_variance = x[:, : self.latent], x[:, self.latent :]
        if training:
            self._add_divergence(mean, log_variance)
            noise = philox.normal(mean, philox.fold(self._seed, 1, self.batches))
            mean = mean + ops.cast(noise, mean.dtype) * ops.exp(0.5 * log_variance)
        return self.decoder_hidden(mean)

    def _add_divergence(self, mean: Any, log_variance: Any) -> None:
        """Adds beta * KL(N(mean, variance) || N(0, 1)), averaged over the batch, to the loss."""
        risen = ops.minimum(ops.cast(self.batches, "float32") / self.anneal_steps, 1.0)
        mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
        kl = 0.5 * ops.sum(ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance, axis=-1)
        self.add_loss(self.beta * risen * ops.mean(kl))

    @property
    def input_signature(self) -> tf.TensorSpec:
        """What an export takes."""
        return tf.TensorSpec((None, self.n_items), tf.float32, "items")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("n_items", "hidden", "latent", "dropout", "beta", "anneal_steps")
        own = {name: getattr(self, name) for name in (*names, "sparse_bias", "seed")}
        return super().get_config() | own
