"""Where a budget of weights begins: first masks from what data says of a weight's entries.

An algorithm's `init` is the name of a way that needs no data, or an object with `scores`, as
`InitialScores` describes it.
"""

import math
import os
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from tfdsl import checks, distributions, schedules
from tfdsl.csr import CSRMatrix, check_csr
from tfdsl.factors import ROTATIONS, Factors, spectral_factors, unit_rows


@runtime_checkable
class InitialScores(Protocol):
    """Says which entries of a weight to begin with: those of highest absolute score."""

    def scores(self, path: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Returns scores of a weight's entries, of its shape; None where nothing is known."""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, but for data."""


def row_budgets(init: Any, path: str, shape: tuple[int, ...], total: int) -> np.ndarray | None:
    """Returns how many entries of each row of a weight are active at first, int32 (rows,).

    An `init` that has a method `row_budgets(path, shape, total)` is asked; None where it says
    nothing. Rows are those of `granularity="row"`: of a kernel its longer side; a vector is one.

    Raises:
        ValueError: what it says are no budgets of `total` entries in all.
    """
    ask = getattr(init, "row_budgets", None)
    given = None if ask is None else ask(path, shape, total)
    if given is None:
        return None
    budgets = np.asarray(given)
    others = math.prod(shape[:-1])
    rows, width = (shape[-1], others) if 1 < others < shape[-1] else (others, shape[-1])
    fits = budgets.shape == (rows,) and np.issubdtype(budgets.dtype, np.integer)
    if not fits or not 0 <= budgets.min() <= budgets.max() <= width or budgets.sum() != total:
        raise ValueError(
            f"`row_budgets` must be {rows} integers from 0 to {width} that make {total} for "
            f"{path!r}; received {budgets!r}."
        )
    return budgets.astype(np.int32)


@keras.saving.register_keras_serializable(package="tfdsl")
class Spectral(schedules.Serializable):
    """Scores from sparse spectral factors of the interactions.

    The interactions, normalised as D_u^-1/2 R D_i^-1/2, are factored by a truncated SVD of a
    weight's width, and users' and items' factors are turned together so that each row has few
    large coordinates (varimax). A user and an item that belong together then have theirs at the
    same places, where coordinates drawn at random hardly ever meet. An entry's score is its size
    relative to its row's.

    A weight's rows, or its columns, are told by their number: all users and items (users first),
    all users, or all items; that fits embedding tables, and an autoencoder's first and last layer.
    A weight with neither, such as an inner layer's, has no scores: its first mask is drawn at
    random. Factors beyond the rank of the interactions are zero, and what is chosen among them
    is drawn too.

    Needs scikit-learn: `pip install "tfdsl[spectral]"`. On one machine, with as many threads, the
    same arguments give the same bits, but for what a cache has from elsewhere; workers of
    `tf.distribute` must be alike.

    Args:
        interactions: a `scipy.sparse.csr_array` [users, items], of the training part: a stored
            entry is an interaction, whatever its value. None in what is loaded with a model, whose
            masks are loaded with it: no weight has scores then.
        rows: what a weight's rows are, by its path: "users", "items" or "nodes", where their number
            does not tell. Of as many users as items, those of a path with "item" in it are items.
        rotation: "varimax" or "none".
        users: share of a table of nodes' weights that its users' rows have, in (0, 1), each as
            many; None: users and items have as many. For granularity="row" and a constant density,
            and for models that make items of their users, as graph convolutions do.
        seed: of the randomised SVD.
        cache: a folder, made if need be, in which factors are kept and found again, also by other
            processes; no part of the configuration. None: each object makes its own.

    Raises:
        ValueError: an argument outside its range.
        ImportError: there is no scikit-learn; when scores are asked for.

    References: Halko et al., 2011, "Finding structure with randomness", arXiv 0909.4061 (the SVD,
    scikit-learn's); Kaiser, 1958, "The varimax criterion for analytic rotation in factor analysis",
    Psychometrika 23.
    """

    def __init__(
        self,
        interactions: CSRMatrix | None = None,
        *,
        rows: dict[str, str] | None = None,
        rotation: str = "varimax",
        users: float | None = None,
        seed: int = 0,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        if interactions is not None:
            check_csr("interactions", interactions)
        self.interactions = interactions
        if not isinstance(rows, dict | None):
            raise ValueError(f"`rows` must be a dictionary of paths; received {rows!r}.")
        self.rows = dict(rows or {})
        for name in self.rows.values():
            checks.choice("rows", name, ("nodes", "users", "items"))
        self.rotation = checks.choice("rotation", rotation, ROTATIONS)
        self.users = None if users is None else checks.number("users", users, "(0, 1)")
        self.seed = checks.seed(seed)
        self.cache = None if cache is None else checks.folder("cache", cache)
        self._factors: dict[int, Factors] = {}

    def scores(self, path: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Returns a weight's factors, float32, relative to its rows'; None where it has none.

        Args:
            path: the weight's.
            shape: the weight's.
        """
        if len(shape) != 2:
            return None
        for turned, (n, width) in enumerate((shape, shape[::-1])):
            of = self._kind(path, n)
            if of:
                users, items = self.factors(width)
                parts = {"nodes": (users, items), "users": (users,), "items": (items,)}[of]
                table = unit_rows(np.concatenate(parts))
                return table.T if turned else table
        return None

    def row_budgets(self, path: str, shape: tuple[int, ...], total: int) -> np.ndarray | None:
        """Returns how many entries of each row of a table of nodes are active; see `row_budgets`.

        As many as `users` says are the users', but for what does not fit in their rows or the
        items'.

        Args:
            path: the weight's.
            shape: the weight's.
            total: how many entries are active in all.
        """
        if self.users is None or self.interactions is None or len(shape) != 2:
            return None
        if self._kind(path, max(shape)) != "nodes":
            return None
        n_users, n_items = self.interactions.shape
        of_users = distributions.users_budget(self.users, total, (n_users, n_items), min(shape))
        each = ((of_users, n_users), (total - of_users, n_items))
        return np.concatenate([distributions.row_budgets(n, rows).numpy() for n, rows in each])

    def _kind(self, path: str, n: int) -> str | None:
        """Returns what the n rows of a weight are."""
        if self.interactions is None:
            return None
        n_users, n_items = self.interactions.shape
        sizes = {"nodes": n_users + n_items, "users": n_users, "items": n_items}
        if path in self.rows:
            return self.rows[path] if sizes[self.rows[path]] == n else None
        if n == n_users == n_items and "item" in path:
            return "items"
        return next((name for name, size in sizes.items() if size == n), None)

    def factors(self, width: int) -> Factors:
        """Returns turned factors of users and of items, float32 [users, width], [items, width].

        Raises:
            ValueError: there are no interactions.
        """
        if self.interactions is None:
            raise ValueError(
                "This Spectral has no interactions, as one that was loaded with a model: make a "
                "new one, Spectral(interactions)."
            )
        if width not in self._factors:
            given = self.interactions, width, self.rotation, self.seed
            self._factors[width] = spectral_factors(*given, self.cache)
        return self._factors[width]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, but for the interactions and the cache."""
        names = ("rows", "rotation", "users", "seed")
        return {name: getattr(self, name) for name in names}
