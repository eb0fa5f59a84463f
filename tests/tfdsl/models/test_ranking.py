import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfdsl.models import BPRLoss, LightGCN, NeuMF, RankingModel


def test_bpr_compares_every_negative_with_the_positive_wherever_it_stands():
    scores = np.array([[2.0, 1.0, 3.0], [0.5, -1.0, 0.0]], np.float32)
    labels = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    pairs = np.log1p(np.exp([[1.0 - 2.0, 3.0 - 2.0], [0.5, -1.0]]))
    assert float(BPRLoss()(labels, scores)) == pytest.approx(pairs.mean(), rel=1e-6)


def test_bpr_is_finite_for_scores_far_apart():
    loss = BPRLoss()(np.array([[1.0, 0.0]]), np.array([[-1e4, 1e4]], np.float32))
    assert float(loss) == pytest.approx(2e4)


def test_bpr_without_a_negative_is_refused():
    with pytest.raises(ValueError, match=r"needs a negative.*received scores of shape \(2, 1\)"):
        BPRLoss()(np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32))


def test_bpr_takes_rows_whose_length_is_not_known_before():
    @tf.function(input_signature=[tf.TensorSpec([None, None])] * 2)
    def loss(labels, scores):
        return BPRLoss()(labels, scores)

    labels, scores = np.array([[1.0, 0, 0]], np.float32), np.array([[1.0, 2, 3]], np.float32)
    assert float(loss(labels, scores)) == pytest.approx(float(BPRLoss()(labels, scores)))


@pytest.fixture
def model():
    model = LightGCN(sparse.csr_array(np.eye(4, 5, dtype=np.float32)), width=2)
    model.compile("sgd", loss=BPRLoss())
    return model


@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_without_a_sampler_it_takes_no_numbers_of_steps(model, use):
    with pytest.raises(ValueError, match=r"takes \(users, items\).*set `model.sampler`"):
        getattr(model, use)(tf.data.Dataset.range(4).batch(2), verbose=0)


def test_users_and_items_of_another_rank_are_refused(model):
    with pytest.raises(ValueError, match=r"`items` \(batch, n\); received \(2,\) and \(2,\)"):
        model.call(([0, 1], [0, 1]))


def test_a_functional_model_around_it_is_saved_and_loaded(tmp_path):
    matrix = sparse.csr_array(np.eye(4, 5, dtype=np.float32))
    for inner in (LightGCN(matrix, width=2), NeuMF(4, 5)):
        inputs = keras.Input((), dtype="int32"), keras.Input((5,), dtype="int32")
        outer = keras.Model(inputs, inner(inputs))
        outer.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        data = np.arange(4), np.tile(np.arange(5), (4, 1))
        np.testing.assert_array_equal(again(data), inner(data))


def test_the_scores_of_no_user_are_none():
    for model in (LightGCN(sparse.csr_array(np.eye(4, 5))), NeuMF(4, 5)):
        assert model.scorer()([]).shape == (0, 5)


def test_a_model_must_say_how_it_scores():
    with pytest.raises(NotImplementedError, match="RankingModel must define `scorer`"):
        RankingModel().scorer()
