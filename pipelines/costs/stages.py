"""What a DLRM's training costs in FLOPs: what a sparse engine could reach, and what XLA does."""

from typing import Any

import tensorflow as tf

import tfdsl
from pipelines.clicks import Batch
from pipelines.costs import hlo
from tfdsl.algorithms import NeuronPruning
from tfdsl.models import DLRM
from tfdsl.report import sparse_optimizer_of


def training_flops(model: DLRM, batch: Batch, offline_steps: int, all_steps: int) -> dict[str, Any]:
    """Returns the FLOPs of matrix products in a run's training, of each stage.

    "theoretical" are three forward passes' with the neurons in use (`tfdsl.Report`); "realised" are
    those of XLA's optimised program for a step (`pipelines.costs.hlo`).

    Args:
        model: compiled and built.
        batch: one of training.
        offline_steps: steps of the offline stage.
        all_steps: steps of both stages.
    """
    optimizer = sparse_optimizer_of(model)
    algorithm = None if optimizer is None else optimizer.algorithm
    n_rows = len(batch[1])

    @tf.function(jit_compile=True)
    def step(dense: tf.Tensor, categorical: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return model.train_step(((dense, categorical), labels))["loss"]

    (dense, categorical), labels = batch
    small, full = hlo.matmul_flops(step, dense, categorical, labels)
    per_step = {
        "theoretical": [n_rows * _flops_a_row(model, pruned) for pruned in (True, False)],
        "realised": [small, full],
    }
    pruned = [0, 0]
    if isinstance(algorithm, NeuronPruning):
        pruned = [algorithm.updates.pruned_steps(n) for n in (offline_steps, all_steps)]
    steps = (offline_steps, all_steps - offline_steps)
    n_pruned = (pruned[0], pruned[1] - pruned[0])
    return {
        kind: {
            stage: of[0] * p + of[1] * (n - p)
            for stage, n, p in zip(("offline", "recurring"), steps, n_pruned, strict=True)
        }
        for kind, of in per_step.items()
    }


def _flops_a_row(model: DLRM, is_pruned: bool) -> int:
    """Returns the training FLOPs a row in one of the two sizes."""
    mlps = (model.bottom_mlp, model.top_mlp)
    before = [bool(mlp.is_pruned.numpy()) for mlp in mlps]
    try:
        for mlp in mlps:
            mlp.is_pruned.assign(is_pruned)
        return tfdsl.report(model).training_flops
    finally:
        for mlp, was in zip(mlps, before, strict=True):
            mlp.is_pruned.assign(was)
