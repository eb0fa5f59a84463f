"""`evaluate_sampled`: one relevant item among others."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfdsl.evaluation import evaluate_sampled


def sampled(scores, items=None, **arguments):
    scores = np.array(scores, np.float32)
    if items is None:
        items = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    table = {user: row for user, row in enumerate(scores)}

    def score(users, items):
        return np.stack([table[user] for user in users])

    return evaluate_sampled(score, np.arange(len(scores)), items, **arguments)


def test_sampled_metrics_by_hand():
    # Ranks 1, 3 and 2.
    metrics = sampled([[5, 1, 2, 3], [2, 3, 4, 1], [2, 1, 3, 0]], ks=(1, 2))
    assert metrics == pytest.approx(
        {
            "sampled_hit_rate@1": 1 / 3,
            "sampled_ndcg@1": 1 / 3,
            "sampled_hit_rate@2": 2 / 3,
            "sampled_ndcg@2": (1 + 1 / np.log2(3)) / 3,
        }
    )


def test_of_equal_scores_the_relevant_item_ranks_last():
    assert sampled([[1, 1, 0]], ks=(1, 2))["sampled_hit_rate@1"] == 0
    assert sampled([[1, 1, 0]], ks=(1, 2))["sampled_hit_rate@2"] == 1
    assert sampled(np.zeros((4, 11)), ks=(10,))["sampled_hit_rate@10"] == 0


def test_the_relevant_item_among_the_others_is_not_counted():
    assert sampled([[1, 1, 0]], items=[[7, 7, 8]], ks=(1,))["sampled_hit_rate@1"] == 1


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_batches_change_no_sampled_metric(batch_size):
    scores = np.random.default_rng(0).random((7, 20))
    assert sampled(scores, batch_size=batch_size) == sampled(scores)


@pytest.mark.parametrize(
    ("scores", "arguments", "message"),
    [
        ([[1.0, 2.0]], {"ks": (3,)}, "`k` must not be more than the 2 items"),
        ([[1.0, np.nan]], {"ks": (1,)}, "not finite"),
        ([[1.0, 2.0]], {"ks": (1,), "items": [[1, 2, 3]]}, r"shape \(1, 3\); received shape"),
        (np.zeros((0, 2)), {"ks": (1,)}, "at least one user"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, arguments, message):
    with pytest.raises(ValueError, match=message):
        sampled(scores, **arguments)


def test_standard_errors_of_sampled_metrics():
    users, items = np.arange(4), np.tile(np.arange(3), (4, 1))
    places = np.array([[3.0, 2, 1], [2, 3, 1], [1, 3, 2], [3, 2, 1]])  # ranks 1, 2, 3, 1

    def score(of, _):
        return tf.constant(places[of])

    values = evaluate_sampled(score, users, items, ks=[2], standard_errors=True)
    assert values["sampled_hit_rate@2"] == 0.75
    assert values["sampled_hit_rate@2_se"] == pytest.approx(scipy.stats.sem([1, 1, 0, 1]))
    second = 1 / np.log2(3)
    assert values["sampled_ndcg@2_se"] == pytest.approx(scipy.stats.sem([1, second, 0, 1]))
    assert math.isnan(
        evaluate_sampled(score, users[:1], items[:1], [2], standard_errors=True)[
            "sampled_ndcg@2_se"
        ]
    )
