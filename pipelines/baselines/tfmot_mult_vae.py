"""MultVAE in tf_keras, pruned by tensorflow-model-optimization: a run in a process of its own.

    python -m pipelines.baselines.tfmot_mult_vae --run_dir=FOLDER [--data_dir=DIR]

FOLDER has the configuration, config.json; metrics.csv and result.json are written into it. Data,
batches, the model's sizes, loss, learning rate and evaluation are those of `pipelines.tasks`, the
schedule is that of `tfdsl.GradualMagnitude`, cubic over three quarters of the steps. Dropout and
latent draws are TensorFlow's own. Steps are compiled by XLA on a GPU; on a CPU, where that makes
tfmot's sort several times slower, they run as graphs.
"""

import functools
import os
import pathlib
import sys
import time
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # tfmot is for Keras 2, which tf.keras then is

import numpy as np
import tensorflow as tf
from absl import app, flags

from data.errors import DataError, MissingDataError
from pipelines import baselines, environment, files
from pipelines.config import RunConfig
from pipelines.run_state import write_metrics
from pipelines.tasks.mult_vae import MultVAETask
from tfdsl import evaluation

try:
    import tensorflow_model_optimization.sparsity.keras as tfmot
except ImportError:
    sys.exit(baselines.NO_LIBRARY)

_RUN_DIR = flags.DEFINE_string("run_dir", None, "The run's folder.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the data sets.")
_BETA, _DROPOUT = 0.2, 0.5


class PrunedMultVAE(tf.keras.Model):
    """As `tfdsl.models.MultVAE`, with every Dense in tfmot's wrapper.

    Args:
        n_items: width of input and output.
        anneal_steps: batches until the divergence has its whole weight.
        schedule: tfmot's, for all kernels.
        hidden: width of the hidden layers.
        latent: width of the latent vector.
    """

    def __init__(
        self, n_items: int, anneal_steps: int, schedule: Any, hidden: int = 600, latent: int = 200
    ) -> None:
        super().__init__()
        self.latent, self.anneal_steps = latent, anneal_steps

        def dense(units: int, activation: str | None = None) -> Any:
            layer = tf.keras.layers.Dense(
                units,
                activation=activation,
                kernel_initializer="glorot_normal",
                bias_initializer=tf.keras.initializers.RandomNormal(stddev=0.001),
            )
            return tfmot.prune_low_magnitude(layer, pruning_schedule=schedule)

        self.encoder_hidden, self.encoder_latent = dense(hidden, "tanh"), dense(2 * latent)
        self.decoder_hidden, self.decoder_items = dense(hidden, "tanh"), dense(n_items)
        self.batches = tf.Variable(0.0, trainable=False)

    @property
    def wrappers(self) -> list[Any]:
        """The pruned layers."""
        names = ("encoder_hidden", "encoder_latent", "decoder_hidden", "decoder_items")
        return [getattr(self, name) for name in names]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns logits, (batch, n_items)."""
        x = inputs / tf.maximum(tf.norm(inputs, axis=-1, keepdims=True), 1e-12)
        if training:
            x = tf.nn.dropout(x, _DROPOUT)
        x = self.encoder_latent(self.encoder_hidden(x, training=training), training=training)
        mean, log_variance = x[:, : self.latent], x[:, self.latent :]
        if training:
            self.batches.assign_add(1.0)
            weight = _BETA * tf.minimum(self.batches / self.anneal_steps, 1.0)
            kl = tf.exp(log_variance) + mean**2 - 1.0 - log_variance
            self.add_loss(weight * tf.reduce_mean(0.5 * tf.reduce_sum(kl, axis=-1)))
            mean += tf.random.normal(tf.shape(mean)) * tf.exp(0.5 * log_variance)
        x = self.decoder_hidden(mean, training=training)
        return self.decoder_items(x, training=training)


def likelihood(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Returns the negative multinomial log-likelihood of each user."""
    return -tf.reduce_sum(y_true * tf.nn.log_softmax(y_pred), axis=-1)


def train(config: RunConfig, data_dir: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Trains and judges; returns the result and the rows of metrics.csv."""
    environment.prepare()
    task = MultVAETask(config, data_dir)
    tf.keras.utils.set_random_seed(config.seed)
    total_steps = task.steps_per_epoch * config.epochs
    interval = config.update_interval
    end = max(total_steps * 3 // 4 // interval, 1) * interval
    schedule = tfmot.PolynomialDecay(
        0.0, 1.0 - config.density, begin_step=0, end_step=end, power=3, frequency=interval
    )
    model = PrunedMultVAE(task.split.n_items, config.settings["anneal_steps"], schedule)
    adam = tf.keras.optimizers.Adam(config.learning_rate, epsilon=1e-8)
    model.compile(adam, loss=likelihood, jit_compile=bool(environment.gpus()))
    score = tf.function(functools.partial(model, training=False))
    score(tf.zeros([1, task.split.n_items]))  # builds the wrappers
    rows: list[dict[str, Any]] = []
    best: dict[str, Any] = {}

    def evaluate(part: str) -> dict[str, float]:
        users = getattr(task.split, part)

        def logits(of: Any) -> tf.Tensor:
            return score(tf.constant(users.fold_in[np.asarray(of)].toarray()))

        return evaluation.evaluate(
            logits, users.fold_in, users.held_out, standard_errors=part == "test"
        )

    def on_epoch_end(epoch: int, logs: dict[str, float]) -> None:
        done, step = epoch + 1, (epoch + 1) * task.steps_per_epoch
        rows.append({"epoch": done, "step": step, "loss": logs["loss"]})
        if done % config.evaluate_every == 0 or done == config.epochs:
            validation = evaluate("validation")
            rows[-1] |= validation
            better = not best or validation[task.select] > best["validation"][task.select]
            # Before its end a pruning model has the metrics of a denser one.
            if better and (step >= end or done == config.epochs):
                best.update(epoch=done, validation=validation, test=evaluate("test"))

    started = time.perf_counter()
    model.fit(
        task.row_batches(),
        epochs=config.epochs,
        steps_per_epoch=task.steps_per_epoch,
        callbacks=[
            tfmot.UpdatePruningStep(),
            tf.keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end),
        ],
        verbose=0,
    )
    result = {
        "best_epoch": best["epoch"],
        "validation": best["validation"],
        "test": best["test"],
        "steps": total_steps,
        "masks": [],
        "seconds": round(time.perf_counter() - started, 1),
        "report": _report(model),
        "algorithm": {"name": type(schedule).__name__} | schedule.get_config()["config"],
    }
    return result, rows


def _report(model: PrunedMultVAE) -> dict[str, Any]:
    """Returns of `tfdsl.Report` what tables show, of weights as they will be used."""
    masks = [mask for wrapper in model.wrappers for _, mask, _ in wrapper.pruning_vars]
    kernels = [weight for wrapper in model.wrappers for weight, _, _ in wrapper.pruning_vars]
    used = [mask * kernel for mask, kernel in zip(masks, kernels, strict=True)]
    active = sum(int(tf.math.count_nonzero(kernel)) for kernel in used)
    total = sum(int(tf.size(mask)) for mask in masks)
    biases = sum(int(tf.size(wrapper.layer.bias)) for wrapper in model.wrappers)
    return {
        "model": model.name,
        "active": active,
        "total": total,
        "density": active / total,
        "parameters": active + biases,
        "bytes": 4 * (active + biases),
        "flops": 2 * active,
        "training_flops": 6 * active,
    }


def main(arguments: list[str]) -> None:
    """Runs what the folder's config.json says."""
    folder = pathlib.Path(_RUN_DIR.value)
    known = files.read_record(folder / "config.json")
    assert known
    config = RunConfig(**(known | {"quirks": tuple(known["quirks"])}))
    try:
        result, rows = train(config, _DATA_DIR.value)
    except MissingDataError as error:
        print(error, file=sys.stderr)
        sys.exit(baselines.NO_DATA)
    except DataError as error:
        sys.exit(str(error))
    made = environment.describe()
    made["packages"] |= environment.versions(("tf-keras", "tensorflow-model-optimization"))
    write_metrics(folder / "metrics.csv", rows)
    record = result | {"config": config.to_dict(), "key": config.key, "environment": made}
    files.write_record(folder / "result.json", record)


if __name__ == "__main__":
    app.run(main)
