"""Made-up interactions with planted tastes: the default that needs no download and no licence."""

import math

import numpy as np

_MIN_ITEMS = 5  # a user; enough for a fold-in and a held-out part
_MAX_TASTES = 3  # groups a user likes
_TASTE_SHARE = 0.85  # of a user's draws that come from the groups they like
_ZIPF_EXPONENT = 0.8  # of item popularity
_ACTIVITY_SIGMA = 0.6  # of the logarithm of a user's number of items
_BLOCK_CELLS = 4_000_000  # user-item cells scored at once: bounds memory, changes no draw


def interactions(
    n_users: int = 1500,
    n_items: int = 800,
    n_groups: int = 12,
    mean_items: float = 40,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws who interacted with what, so that a model can beat popularity by a lot.

    Item popularity is Zipf-like and user activity log-normal. Every item belongs to one group;
    every user likes one to three groups, unequally, and draws from them with probability 0.85,
    else from all items; always by popularity and without replacement. A rare item may not occur.

    Args:
        n_users: Number of users, ids 0 .. n_users - 1; all occur, with 5 items or more.
        n_items: Number of items, ids 0 .. n_items - 1.
        n_groups: Number of taste groups, all of nearly the same number of items.
        mean_items: Items of a user on average, before clipping to 5 .. n_items.
        seed: The same seed gives the same pairs.

    Returns:
        User ids and item ids, int32, one entry a pair; pairs are unique and sorted by user, then
        item.

    Raises:
        ValueError: If a size is not positive, there are fewer than 5 items or fewer items than
            groups, or `mean_items` is outside 5 .. n_items.
    """
    if n_users < 1:
        raise ValueError(f"n_users must be 1 or more, received {n_users}")
    if n_items < _MIN_ITEMS:
        raise ValueError(f"n_items must be {_MIN_ITEMS} or more, received {n_items}")
    if not 1 <= n_groups <= n_items:
        raise ValueError(f"n_groups must be from 1 to n_items={n_items}, received {n_groups}")
    if not _MIN_ITEMS <= mean_items <= n_items:
        raise ValueError(
            f"mean_items must be from {_MIN_ITEMS} to n_items={n_items}, received {mean_items}"
        )
    rng = np.random.default_rng(seed)
    popularity = rng.permutation(np.arange(1, n_items + 1) ** -_ZIPF_EXPONENT)
    popularity /= popularity.sum()
    group = rng.permutation(np.arange(n_items) % n_groups)
    within_group = popularity / np.bincount(group, weights=popularity)[group]
    tastes = _tastes(rng, n_users, n_groups)
    activity = rng.lognormal(
        math.log(mean_items) - _ACTIVITY_SIGMA**2 / 2, _ACTIVITY_SIGMA, size=n_users
    )
    n_drawn = np.clip(np.rint(activity), _MIN_ITEMS, n_items).astype(np.int64)

    users, items = [], []
    block = max(1, _BLOCK_CELLS // n_items)
    for start in range(0, n_users, block):
        mixture = tastes[start : start + block]
        probability = _TASTE_SHARE * mixture[:, group] * within_group
        probability += (1 - _TASTE_SHARE) * popularity
        # The n smallest of independent exponentials over their rates are a weighted draw of n
        # without replacement (Efraimidis and Spirakis 2006), for all users of the block at once.
        order = np.argsort(rng.exponential(size=probability.shape) / probability, axis=1)
        drawn = np.arange(n_items) < n_drawn[start : start + block, None]
        chosen = np.zeros_like(drawn)
        np.put_along_axis(chosen, order, drawn, axis=1)
        block_users, block_items = np.nonzero(chosen)
        users.append(block_users + start)
        items.append(block_items)
    return np.concatenate(users).astype(np.int32), np.concatenate(items).astype(np.int32)


def _tastes(rng: np.random.Generator, n_users: int, n_groups: int) -> np.ndarray:
    """Each user's mixture over groups: [n_users, n_groups], few non-zero, rows sum to 1."""
    n_liked = rng.integers(1, min(_MAX_TASTES, n_groups) + 1, size=n_users)
    rank = np.argsort(rng.random((n_users, n_groups)), axis=1)
    weights = rng.exponential(size=(n_users, n_groups)) * (rank < n_liked[:, None])
    mixture: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return mixture
