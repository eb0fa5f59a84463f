import keras_rs
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from scipy import sparse
from sklearn.metrics import ndcg_score

from tfdsl.evaluation import evaluate, top_k_metrics

DCG = 1 / np.log2(np.arange(2, 60))


def csr(rows, n_items):
    dense = np.zeros((len(rows), n_items), np.float32)
    for row, items in enumerate(rows):
        dense[row, items] = 1
    return sparse.csr_array(dense)


def scorer(scores):
    return lambda rows: tf.constant(scores[rows], tf.float32)


@pytest.fixture(scope="module")
def users():
    """Scores without ties, and disjoint seen and relevant items, of 83 users and 60 items."""
    rng = np.random.default_rng(5)
    scores = rng.permuted(np.tile(np.arange(60.0), (83, 1)), axis=1)
    kind = rng.choice(3, size=(83, 60), p=[0.5, 0.25, 0.25])
    kind[7] = np.where(kind[7] == 2, 0, kind[7])  # one user with nothing to find
    return scores, sparse.csr_array(kind == 1), sparse.csr_array(kind == 2)


def brute_force(scores, seen, relevant, k):
    """The four metrics by sets and sorted lists, user by user."""
    values = []
    for row in range(len(scores)):
        wanted = set(relevant[[row]].indices.tolist())
        if not wanted:
            continue
        unseen = sorted(set(range(scores.shape[1])) - set(seen[[row]].indices.tolist()))
        ranking = sorted(unseen, key=lambda item: -scores[row, item])[:k]
        hits = [item in wanted for item in ranking]
        dcg = sum(gain for gain, hit in zip(DCG, hits, strict=False) if hit)
        values.append(
            (
                sum(hits) / len(wanted),
                sum(hits) / min(k, len(wanted)),
                dcg / DCG[: min(k, len(wanted))].sum(),
                any(hits),
            )
        )
    names = ("recall", "truncated_recall", "ndcg", "hit_rate")
    return {f"{n}@{k}": v for n, v in zip(names, np.mean(values, axis=0), strict=True)}


def test_metrics_of_hand_worked_rankings():
    hits = tf.constant(
        [[True, False, True, True], [False, False, False, True], [False, True, False, False]]
    )
    values = top_k_metrics(hits, tf.constant([5, 1, 2]), k=3)
    found = {name: value.numpy() for name, value in values.items()}
    np.testing.assert_allclose(found["recall@3"], [2 / 5, 0, 1 / 2])
    np.testing.assert_allclose(found["truncated_recall@3"], [2 / 3, 0, 1 / 2])
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(
        found["ndcg@3"], [1.5 / (ideal + 0.5), 0, (1 / np.log2(3)) / ideal], rtol=1e-6
    )
    assert found["hit_rate@3"].tolist() == [1, 0, 1]


def test_metrics_of_a_user_with_nothing_to_find_are_zero():
    values = top_k_metrics(tf.constant([[False, False]]), tf.constant([0]), k=2)
    assert {float(value[0]) for value in values.values()} == {0.0}


def test_recall_has_both_denominators():
    # Three relevant items, a list of two that holds two of them.
    values = evaluate(scorer(np.array([[4.0, 3, 2, 1]])), csr([[]], 4), csr([[0, 1, 2]], 4), [2])
    assert values["recall@2"] == pytest.approx(2 / 3)
    assert values["truncated_recall@2"] == 1.0


def test_evaluate_agrees_with_brute_force(users):
    values = evaluate(scorer(users[0]), *users[1:], ks=(1, 5, 20, 60))
    expected = {}
    for k in (1, 5, 20, 60):
        expected |= brute_force(*users, k)
    assert values == pytest.approx(expected, abs=1e-6)


def test_standard_errors_are_those_of_means_over_users(users):
    scores, seen, relevant = users
    rows = np.flatnonzero(np.diff(relevant.indptr))
    alone = [evaluate(scorer(scores[[row]]), seen[[row]], relevant[[row]], ks=[20]) for row in rows]
    values = evaluate(scorer(scores), seen, relevant, ks=[20], batch_size=9, standard_errors=True)
    assert len(values) == 2 * len(alone[0])
    for name in alone[0]:
        error = scipy.stats.sem([metrics[name] for metrics in alone])
        assert values[f"{name}_se"] == pytest.approx(error, abs=1e-6)


def test_ndcg_agrees_with_scikit_learn(users):
    scores, seen, relevant = users
    rows = np.flatnonzero(np.diff(relevant.indptr))
    masked = np.where(seen.toarray(), -100, scores)[rows]
    values = evaluate(scorer(scores), seen, relevant, ks=(10, 20))
    for k in (10, 20):
        expected = ndcg_score(relevant.toarray()[rows], masked, k=k, ignore_ties=True)
        assert values[f"ndcg@{k}"] == pytest.approx(expected, abs=1e-6)


def test_recall_and_ndcg_agree_with_keras_rs(users):
    scores, seen, relevant = users
    rows = np.flatnonzero(np.diff(relevant.indptr))
    truth = relevant.toarray()[rows].astype("float32")
    masked = np.where(seen.toarray(), -100, scores)[rows].astype("float32")
    values = evaluate(scorer(scores), seen, relevant, ks=[10])
    for name, metric in (("recall", keras_rs.metrics.RecallAtK), ("ndcg", keras_rs.metrics.NDCG)):
        theirs = metric(k=10)
        theirs.update_state(truth, masked)
        assert values[f"{name}@10"] == pytest.approx(float(theirs.result()), abs=1e-6)


def test_seen_items_are_never_recommended():
    values = evaluate(scorer(np.array([[9.0, 8, 7, 6]])), csr([[0, 1]], 4), csr([[2]], 4), ks=[1])
    assert values["hit_rate@1"] == 1.0


def test_a_relevant_item_that_was_seen_is_missed_even_in_a_list_as_long_as_the_catalogue():
    values = evaluate(scorer(np.zeros((1, 3))), csr([[0]], 3), csr([[0, 1]], 3), ks=[3])
    assert values["recall@3"] == 0.5


def test_equal_scores_rank_the_lower_item_first():
    relevant = csr([[1], [2]], 4)
    values = evaluate(scorer(np.ones((2, 4))), csr([[0], []], 4), relevant, ks=[1, 3])
    assert values["hit_rate@1"] == 0.5
    assert values["ndcg@3"] == pytest.approx((1 + 0.5) / 2)


def test_users_with_no_relevant_item_are_left_out_and_not_scored(users):
    asked = []

    def score(rows):
        asked.extend(rows.tolist())
        return users[0][rows]

    evaluate(score, *users[1:], ks=[5], batch_size=41)
    assert sorted(asked) == [row for row in range(83) if row != 7]


@pytest.mark.parametrize("batch_size", [1, 25, 82, 500])
def test_batch_size_and_padding_do_not_change_the_result(users, batch_size):
    shapes = set()

    def score(rows):
        shapes.add(rows.shape)
        return users[0][rows]

    values = evaluate(score, *users[1:], ks=(5, 20), batch_size=batch_size)
    same = evaluate(scorer(users[0]), *users[1:], ks=(5, 20), batch_size=10)
    assert values == pytest.approx(same, abs=1e-7)  # rounding may follow the shape
    assert len(shapes) == 1


def test_ranking_is_traced_once_for_all_batches_and_calls(users):
    traces = []

    @tf.function
    def graph(rows):
        traces.append(rows.shape)
        return tf.gather(tf.constant(users[0], tf.float32), rows)

    def score(rows):
        return graph(tf.constant(rows))

    for _ in range(2):
        evaluate(score, *users[1:], batch_size=25)
    assert traces == [(25,)]


def test_stored_zeros_and_doubled_entries_count_as_one_item():
    relevant = sparse.csr_array(
        (np.array([0.0, 1, 1]), np.array([1, 2, 2]), np.array([0, 3])), shape=(1, 4)
    )
    values = evaluate(scorer(np.array([[4.0, 3, 2, 1]])), csr([[]], 4), relevant, ks=[2])
    assert values["recall@2"] == 0.5


def nan_in_row_three():
    scores = np.ones((5, 4))
    scores[3, 2] = np.nan
    return scores


@pytest.mark.parametrize(
    ("scores", "seen", "relevant", "ks", "message"),
    [
        (np.ones((1, 4)), csr([[]], 4), csr([[1]], 4), [5], "4 items there are; received 5"),
        (np.ones((1, 4)), csr([[]], 4), csr([[1]], 4), [0], "received 0"),
        (np.ones((1, 4)), csr([[]], 4), csr([[1]], 4), 2, "received 2"),
        (np.ones((1, 4)), [[]], csr([[1]], 4), [1], "`seen` must be .*received list"),
        (np.ones((4, 4)), csr([[]] * 4, 4), csr([[1]] * 4, 4).tocsc(), [1], "csc_array"),
        (np.ones((1, 4)), csr([[]], 4), csr([[1]], 4), [], r"received \[\]"),
        (np.ones((1, 4)), csr([[]], 5), csr([[1]], 4), [2], r"\(1, 5\) and \(1, 4\)"),
        (np.ones((1, 4)), csr([[]], 4), csr([[1]], 4).tocsc(), [2], "received csc_array"),
        (np.ones((1, 4)), csr([[]], 4).tocoo(), csr([[1]], 4), [2], "received coo_array"),
        (np.ones((2, 4)), csr([[1], []], 4), csr([[], []], 4), [2], "None of the 2 users"),
        (np.ones((1, 3)), csr([[]], 4), csr([[1]], 4), [2], r"received shape \(1, 3\)"),
        (nan_in_row_three(), csr([[]] * 5, 4), csr([[1]] * 5, 4), [2], "user row 3 are not"),
    ],
)
def test_wrong_input_stops_with_the_value_received(scores, seen, relevant, ks, message):
    with pytest.raises(ValueError, match=message):
        evaluate(scorer(scores), seen, relevant, ks)


def test_more_ranks_than_given_are_refused():
    with pytest.raises(ValueError, match="received 3"):
        top_k_metrics(tf.constant([[True, False]]), tf.constant([1]), k=3)
