import numpy as np
import pytest

from data import synthetic


@pytest.fixture(scope="module")
def pairs():
    return synthetic.interactions()


def test_pairs_are_unique_sorted_int32_and_in_range(pairs):
    users, items = pairs
    assert users.dtype == items.dtype == np.int32
    assert users.shape == items.shape
    assert (np.diff(users.astype(np.int64) * 800 + items) > 0).all()
    assert items.min() >= 0 and items.max() < 800


def test_every_user_has_at_least_five_items(pairs):
    assert (np.bincount(pairs[0], minlength=1500) >= 5).all()
    few, _ = synthetic.interactions(n_users=200, n_items=50, mean_items=5)
    assert np.bincount(few, minlength=200).min() == 5


def test_mean_items_is_met(pairs):
    assert len(pairs[0]) / 1500 == pytest.approx(40, rel=0.05)


def test_seed_alone_decides(pairs):
    again = synthetic.interactions()
    other = synthetic.interactions(seed=1)
    assert np.array_equal(pairs, again)
    assert not np.array_equal(pairs[1][:1000], other[1][:1000])


def test_block_size_does_not_change_the_draws(pairs, monkeypatch):
    monkeypatch.setattr(synthetic, "_BLOCK_CELLS", 7 * 800)
    assert np.array_equal(pairs, synthetic.interactions())


def test_popularity_and_activity_are_long_tailed(pairs):
    popularity = np.sort(np.bincount(pairs[1], minlength=800))[::-1]
    assert popularity[:160].sum() > 0.4 * popularity.sum()
    assert popularity[0] > 10 * np.median(popularity)
    activity = np.bincount(pairs[0])
    assert activity.mean() > 1.1 * np.median(activity)
    assert activity.max() > 4 * activity.mean()


def test_co_occurrence_beats_popularity_clearly_on_held_out_pairs(pairs):
    users, items = pairs
    hidden = np.random.default_rng(1).random(len(users)) < 0.2
    train = np.zeros((1500, 800))
    train[users[~hidden], items[~hidden]] = 1
    held_out = np.zeros(train.shape, bool)
    held_out[users[hidden], items[hidden]] = True

    def recall_at_20(scores):
        top = np.argsort(-np.where(train > 0, -np.inf, scores), axis=1)[:, :20]
        hits = np.take_along_axis(held_out, top, axis=1).sum(axis=1)
        n = held_out.sum(axis=1)
        return (hits[n > 0] / np.minimum(20, n[n > 0])).mean()

    together = train.T @ train
    count = np.sqrt(np.diag(together)) + 1e-9
    cosine = together / np.outer(count, count)
    np.fill_diagonal(cosine, 0)
    popularity = recall_at_20(np.broadcast_to(train.sum(axis=0), train.shape))
    assert recall_at_20(train @ cosine) > 2 * popularity > 0.1


def test_smallest_sizes_work():
    users, items = synthetic.interactions(n_users=1, n_items=5, n_groups=1, mean_items=5)
    assert users.tolist() == [0] * 5
    assert items.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_users": 0}, "n_users.*received 0"),
        ({"n_items": 4}, "n_items.*received 4"),
        ({"n_groups": 0}, "n_groups.*received 0"),
        ({"n_groups": 801}, "n_groups.*n_items=800.*received 801"),
        ({"mean_items": 4.5}, "mean_items.*received 4.5"),
        ({"mean_items": 801}, "mean_items.*n_items=800.*received 801"),
        ({"mean_items": float("nan")}, "mean_items.*received nan"),
    ],
)
def test_nonsense_sizes_are_refused_with_the_value_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic.interactions(**arguments)
