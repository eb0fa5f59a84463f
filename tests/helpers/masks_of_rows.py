"""Masks of a table's rows, first ones and later ones, and candidates."""

import numpy as np
import tensorflow as tf

from tfdsl import DSL
from tfdsl.algorithms import WeightState

SHAPE = (50, 8)


def first(algorithm, *shapes):
    weights = [tf.constant(np.random.default_rng(0).normal(size=s), tf.float32) for s in shapes]
    return [mask.numpy() for mask in algorithm.initial_masks(weights)]


def state(mask, seed):
    draw = np.random.default_rng(seed)
    weight, gradient = (draw.normal(size=mask.shape).astype("f4") for _ in range(2))
    return WeightState(*map(tf.constant, (weight * mask, mask, mask, gradient)))


def after(algorithm, now, step):
    (mask,) = algorithm.next_masks([now], tf.constant(step, tf.int64))
    return mask.numpy()


def drawn(algorithm, mask, step=0):
    (candidates,) = algorithm.draw_candidates([tf.constant(mask)], step)
    return candidates.numpy()


def with_candidates(number=2, **kwargs):
    return DSL(0.25, granularity="row", candidates=number, total_steps=100, **kwargs)
