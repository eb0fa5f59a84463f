import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdsl import masks

LARGE = 70_001  # above the size from which a sample guesses the cut


def seed(number=0):
    return masks.fold_seed(number)


def active(mask):
    return sorted(np.flatnonzero(mask.numpy()).tolist())


def in_mode(mode, fn):
    return fn if mode == "eager" else tf.function(fn, jit_compile=mode == "xla", autograph=False)


def top(scores, n):
    """The n highest entries of distinct scores, by a full sort."""
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(-scores.ravel())[:n]] = True
    return mask.reshape(scores.shape)


# ---- counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_count_is_the_number_of_active_entries(size):
    mask = np.arange(size) % 3 == 0
    assert masks.count(tf.constant(mask)) == mask.sum()


def test_keep_highest_drops_the_lowest_active_entries():
    mask = tf.constant([True, True, False, True, True])
    scores = tf.constant([0.3, 0.1, 9.0, 0.4, 0.2])
    assert active(masks.keep_highest(mask, scores, 2, seed())) == [0, 3]


@pytest.mark.parametrize(("n", "expected"), [(-1, []), (0, []), (1, [3]), (3, [0, 1, 3])])
def test_keep_highest_keeps_as_many_as_asked_for(n, expected):
    mask = tf.constant([True, True, False, True])
    scores = tf.constant([0.3, 0.1, 9.0, 0.4])
    assert active(masks.keep_highest(mask, scores, n, seed())) == expected


def test_keep_highest_keeps_all_active_entries_where_there_are_no_more():
    mask = tf.constant([True, True, False, True])
    kept = masks.keep_highest(mask, tf.constant([0.0, 0.1, 9.0, 0.4]), 100, seed())
    assert active(kept) == [0, 1, 3]


@pytest.mark.parametrize(
    ("n", "expected"), [(-1, [0]), (0, [0]), (1, [0, 2]), (2, [0, 1, 2]), (100, [0, 1, 2, 3])]
)
def test_grow_highest_adds_as_many_inactive_entries_as_asked_for(n, expected):
    mask = tf.constant([True, False, False, False])
    scores = tf.constant([9.0, 0.2, 0.3, 0.1])
    assert active(masks.grow_highest(mask, scores, n, seed())) == expected


def test_nothing_is_kept_of_an_empty_mask():
    mask = tf.zeros([5], tf.bool)
    assert active(masks.keep_highest(mask, tf.ones([5]), 3, seed())) == []


def test_nothing_is_grown_into_a_full_mask():
    mask = tf.ones([5], tf.bool)
    assert active(masks.grow_highest(mask, tf.ones([5]), 3, seed())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n", [0, 1, 60, 119, 120, 121])
def test_highest_mask_agrees_with_a_sort(n):
    scores = np.random.default_rng(0).random((10, 12), np.float32)
    np.testing.assert_array_equal(
        masks.highest_mask(tf.constant(scores), n, seed()), top(scores, n)
    )


@pytest.mark.parametrize("n", [0, 1, 60, 120, 121])
def test_random_mask_has_the_count_asked_for(n):
    assert masks.count(masks.random_mask((10, 12), n, seed())) == min(n, 120)


def test_random_mask_differs_by_seed_only():
    first = masks.random_mask((10, 12), 60, seed(1))
    assert active(first) == active(masks.random_mask((10, 12), 60, seed(1)))
    assert active(first) != active(masks.random_mask((10, 12), 60, seed(2)))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_scores_of_any_float_type_are_ranked(dtype):
    scores = tf.constant([3.0, 0.5, -0.0, 64.0, 2.0**-20, 0.25], dtype)
    assert active(masks.highest_mask(scores, 3, seed())) == [0, 1, 3]
    assert active(masks.highest_mask(scores, 5, seed())) == [0, 1, 3, 4, 5]


def test_an_infinite_score_ranks_highest():
    scores = tf.constant([1.0, np.inf, 3e38, 0.0])
    assert active(masks.highest_mask(scores, 1, seed())) == [1]


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(
    # Few distinct values, so that ties are the rule.
    scores=st.lists(
        st.sampled_from([0.0, -0.0, 1e-45, 0.5, 1.0, np.inf]), min_size=24, max_size=24
    ),
    mask=st.lists(st.booleans(), min_size=24, max_size=24),
    n=st.integers(0, 30),
    number=st.integers(0, 2**31 - 1),
)
def test_counts_are_exact_and_only_lower_or_equal_scores_lose(scores, mask, n, number):
    scores, mask = np.float32(scores), np.array(mask)
    kept = masks.keep_highest(tf.constant(mask), tf.constant(scores), n, seed(number)).numpy()
    grown = masks.grow_highest(tf.constant(mask), tf.constant(scores), n, seed(number)).numpy()
    for among, chosen in [(mask, kept), (~mask, grown & ~mask)]:
        assert chosen.sum() == min(n, among.sum())
        assert not (chosen & ~among).any()
        lost = among & ~chosen
        if chosen.any() and lost.any():
            assert scores[chosen].min() >= scores[lost].max()
    assert (grown[mask]).all()


# ---- ties -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros(40),
        np.full(40, -0.0),
        np.where(np.arange(40) % 2, 0.0, -0.0),
        np.full(40, 1e-45),
        np.full(40, 0.7),
        np.full(40, np.inf),
    ],
    ids=["zero", "minus zero", "both zeros", "subnormal", "equal", "infinite"],
)
@pytest.mark.parametrize("n", [0, 1, 13, 39, 40, 41])
def test_ties_give_exact_counts(scores, n):
    chosen = masks.highest_mask(tf.constant(scores, tf.float32), n, seed())
    assert masks.count(chosen) == min(n, 40)


def test_minus_zero_ties_with_zero():
    scores = tf.constant(np.where(np.arange(1000) < 500, 0.0, -0.0), tf.float32)
    chosen = masks.highest_mask(scores, 500, seed()).numpy()
    assert 200 < chosen[:500].sum() < 300


def test_subnormal_scores_rank_above_zero_and_among_themselves():
    scores = tf.constant([0.0, 1e-45, 3e-45, 0.0, 1e-40], tf.float32)
    assert active(masks.highest_mask(scores, 2, seed())) == [2, 4]
    assert active(masks.highest_mask(scores, 3, seed())) == [1, 2, 4]


def test_only_the_places_left_by_higher_scores_go_to_ties():
    scores = tf.constant([0.5] * 6 + [0.9, 0.1])
    chosen = active(masks.highest_mask(scores, 4, seed()))
    assert 6 in chosen
    assert 7 not in chosen
    assert len(chosen) == 4


def test_ties_are_decided_by_the_seed():
    chosen = {tuple(active(masks.highest_mask(tf.zeros([40]), 5, seed(i)))) for i in range(10)}
    assert len(chosen) == 10


def test_ties_of_zero_gradients_grow_all_over_a_table():
    # Lowest index first would give 8 rows; at random, about 56 of 64 get one or more of 128.
    grown = masks.grow_highest(tf.zeros([64, 16], tf.bool), tf.zeros([64, 16]), 128, seed())
    assert (grown.numpy().any(axis=1)).sum() > 48


def test_every_tie_is_as_likely_as_any_other():
    highest = in_mode("xla", masks.highest_mask)
    wins = sum(highest(tf.zeros([10]), 3, seed(i)).numpy().astype(int) for i in range(200))
    assert wins.sum() == 600
    assert wins.min() > 35  # 60 expected, standard deviation 6.5
    assert wins.max() < 85


# ---- large tensors --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["eager", "xla"])
def test_a_large_tensor_agrees_with_a_sort(mode):
    scores = np.random.default_rng(0).permutation(LARGE).astype(np.float32)
    highest = in_mode(mode, masks.highest_mask)
    for n in [0, 1, 50, LARGE // 2, LARGE - 1, LARGE, LARGE + 5]:
        chosen = highest(tf.constant(scores), tf.constant(n), seed())
        np.testing.assert_array_equal(chosen, top(scores, n))


def test_a_large_tensor_of_mostly_zeros_keeps_exact_counts():
    scores = tf.constant(
        np.maximum(np.random.default_rng(0).normal(size=LARGE) - 2.0, 0.0), tf.float32
    )
    positive = int(tf.math.count_nonzero(scores))
    for n in [1, positive - 1, positive, positive + 1, LARGE // 2, LARGE - 1]:
        chosen = masks.highest_mask(scores, n, seed())
        assert masks.count(chosen) == n
        above = masks.count(chosen & (scores > 0))
        assert above == min(n, positive)


def test_a_large_tensor_keeps_the_highest_of_a_sparse_mask():
    scores = np.random.default_rng(0).permutation(LARGE).astype(np.float32)
    mask = np.arange(LARGE) % 7 == 0
    kept = masks.keep_highest(tf.constant(mask), tf.constant(scores), 100, seed())
    np.testing.assert_array_equal(kept, top(np.where(mask, scores, -1.0), 100))


# ---- randomness -----------------------------------------------------------------------------


def test_random_scores_hardly_ever_tie():
    scores = masks.random_scores((LARGE,), seed()).numpy()
    assert len(np.unique(scores)) > LARGE - 10  # distinct keys, less one bit


@pytest.mark.parametrize("number", [0, 1, 2**31])
def test_random_scores_are_uniform(number):
    scores = masks.random_scores((LARGE,), seed(number)).numpy() / 2.0**31
    counts, _ = np.histogram(scores, bins=20, range=(0.0, 1.0))
    expected = LARGE / 20
    assert counts.sum() == LARGE
    assert ((counts - expected) ** 2 / expected).sum() < 50  # chi-squared, 19 degrees of freedom


def test_random_scores_of_two_seeds_are_unrelated():
    first, second = (masks.random_scores((LARGE,), seed(i)).numpy().astype(float) for i in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_random_scores_of_neighbours_are_unrelated():
    scores = masks.random_scores((LARGE,), seed()).numpy().astype(float)
    assert abs(np.corrcoef(scores[1:], scores[:-1])[0, 1]) < 0.02


def test_prefer_ranks_preferred_entries_first():
    preferred = np.arange(100) % 4 == 0
    scores = masks.prefer(masks.random_scores((100,), seed()), tf.constant(preferred)).numpy()
    assert scores[preferred].min() > scores[~preferred].max()


def test_bernoulli_mask_has_about_the_density():
    mask = masks.bernoulli_mask((LARGE,), 0.2, seed())
    deviation = (LARGE * 0.2 * 0.8) ** 0.5
    assert abs(int(masks.count(mask)) - 0.2 * LARGE) < 4 * deviation


def test_bernoulli_mask_of_density_one_is_full():
    assert masks.count(masks.bernoulli_mask((1000,), 1.0, seed())) == 1000


def test_fold_seed_depends_on_every_part_and_their_order():
    seeds = [masks.fold_seed(*parts) for parts in [(0,), (1,), (0, 1), (1, 0), (0, 0), (0, 1, 0)]]
    assert len({int(s) for s in seeds}) == 6


def test_forked_seeds_differ():
    assert len({int(masks.fork(seed(), tag)) for tag in range(10)}) == 10


# ---- P3 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_masks_are_the_same_bits_in_every_mode(mode):
    rng = np.random.default_rng(0)
    weights = np.round(rng.normal(size=(37, 29)), 1).astype(np.float32)  # with many ties

    def update(weights, step):
        start = masks.random_mask((37, 29), 400, masks.fold_seed(3, step, 0))
        kept = masks.keep_highest(start, tf.abs(weights), 200, masks.fork(masks.fold_seed(step), 1))
        grown = masks.grow_highest(kept, tf.zeros([37, 29]), 200, masks.fold_seed(step))
        return start, kept, grown, masks.bernoulli_mask((37, 29), 0.3, masks.fold_seed(step))

    compiled = in_mode(mode, update)
    for step in (1, 2):
        step = tf.constant(step, tf.int64)
        for ours, eager in zip(compiled(weights, step), update(weights, step), strict=True):
            np.testing.assert_array_equal(ours, eager)
