import numpy as np
import pytest

from tfdsl.models import BPRLoss, RankingModel


def test_bpr_compares_every_negative_with_the_positive_wherever_it_stands():
    scores = np.array([[2.0, 1.0, 3.0], [0.5, -1.0, 0.0]], np.float32)
    labels = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    pairs = np.log1p(np.exp([[1.0 - 2.0, 3.0 - 2.0], [0.5, -1.0]]))
    assert float(BPRLoss()(labels, scores)) == pytest.approx(pairs.mean(), rel=1e-6)


def test_bpr_is_finite_for_scores_far_apart():
    loss = BPRLoss()(np.array([[1.0, 0.0]]), np.array([[-1e4, 1e4]], np.float32))
    assert float(loss) == pytest.approx(2e4)


def test_a_model_must_say_how_it_scores():
    with pytest.raises(NotImplementedError, match="RankingModel must define `scorer`"):
        RankingModel().scorer()
