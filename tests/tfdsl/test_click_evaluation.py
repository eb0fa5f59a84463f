import numpy as np
import pytest
from sklearn import metrics

from tfdsl.click_evaluation import evaluate_clicks

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("decimals", [0, 1, 8])  # with 0 there are few distinct logits
@pytest.mark.parametrize("column", [False, True])
def test_metrics_are_those_of_scikit_learn(decimals, column):
    logits = RNG.normal(-1.0, 2.0, 500).round(decimals)
    labels = (RNG.random(500) < 0.3).astype(np.float32)
    shaped = [x[:, None] if column else x for x in (logits, labels)]
    found = evaluate_clicks(*shaped)
    chances = 1 / (1 + np.exp(-logits))
    assert found["logloss"] == pytest.approx(metrics.log_loss(labels, chances), rel=1e-12)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, logits), rel=1e-12)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, logits > 0))


def test_predicting_the_mean_has_a_normalized_entropy_of_one():
    labels = np.array([1, 0, 0, 0, 1], np.float32)
    found = evaluate_clicks(np.full(5, np.log(0.4 / 0.6)), labels)
    assert found["normalized_entropy"] == pytest.approx(1.0, rel=1e-12)
    assert found["auc"] == 0.5


def test_large_logits_have_a_finite_loss():
    found = evaluate_clicks(np.array([1e4, -1e4, 1e4]), np.array([1, 0, 0]))
    assert found["logloss"] == pytest.approx(1e4 / 3)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([0.0, 1.0], [0.0], r"one shape.*received \(2,\) and \(1,\)"),
        ([[0.0, 1.0]], [[0.0, 1.0]], r"one shape.*received \(1, 2\)"),
        (0.0, 0.0, r"one shape.*received \(\)"),
        ([0.0, np.nan], [0.0, 1.0], "finite; received nan in row 1. Has the training diverged"),
        ([0.0, 1.0], [0.0, 0.5], "`labels` must be 0 or 1; received 0.5"),
        ([0.0, 1.0], [0.0, np.nan], "`labels` must be 0 or 1; received nan"),
        ([0.0, 1.0], [1.0, 1.0], "clicks and others; received 2 rows with 2 clicks"),
        ([], [], "clicks and others; received 0 rows"),
    ],
)
def test_what_cannot_be_judged_is_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        evaluate_clicks(np.array(logits), np.array(labels))
