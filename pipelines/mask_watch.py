"""Where a run's weights go: what its masks look like at each of its evaluations."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfdsl.layers import mask_of
from tfdsl.report import sparse_optimizer_of

GROUPS = 10
_DIGITS = 5


class Places(NamedTuple):
    """Whose a masked weight's rows or columns are.

    Attributes:
        name: such as "users".
        weight: two-dimensional.
        axis: 0 where each has a row, 1 where a column.
        first: of the first of them.
        popularity: interactions in training of each, [n].
    """

    name: str
    weight: keras.Variable
    axis: int
    first: int
    popularity: np.ndarray


class MaskWatch:
    """Looks at the masks of a model under a `SparseOptimizer`; without one there are no records.

    Args:
        model: compiled and built.
        places: what to look at group by group.

    Attributes:
        records: one a look. "epoch" and "step"; "exploration", the share of entries that were ever
            active (ITOP's R, arXiv 2102.02887); "overlap", the share of the active entries of the
            look before, first of the beginning, that are active still; "density", by name of the
            places, of `GROUPS` groups of as many users or items, the least popular first.
    """

    def __init__(self, model: keras.Model, places: Sequence[Places]) -> None:
        optimizer = sparse_optimizer_of(model)
        self._weights = optimizer.sparse_weights if optimizer else []
        self._places = [place for place in places if mask_of(place.weight) is not None]
        self._before: list[np.ndarray] = []
        self.records: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Remembers the masks as they are, for the first overlap."""
        self._before = [sparse.mask.numpy() for sparse in self._weights]

    def look(self, epoch: int, step: int) -> None:
        """Adds a record."""
        if not self._weights:
            return
        now = [sparse.mask.numpy() for sparse in self._weights]
        stayed = sum(np.count_nonzero(a & b) for a, b in zip(self._before, now, strict=True))
        ever = sum(np.count_nonzero(sparse.ever_active.numpy()) for sparse in self._weights)
        self.records.append(
            {
                "epoch": epoch,
                "step": step,
                "exploration": round(ever / sum(mask.size for mask in now), _DIGITS),
                "overlap": round(stayed / sum(map(np.count_nonzero, self._before)), _DIGITS),
                "density": {place.name: density_by_popularity(place) for place in self._places},
            }
        )
        self._before = now


def density_by_popularity(place: Places) -> list[float]:
    """Returns the share of active entries in each of `GROUPS` groups, the least popular first.

    Groups have as many members as each other, or one more; there are fewer where fewer members are.
    Who is as popular as another is as near
    to the beginning as it stands.
    """
    mask = mask_of(place.weight)
    assert mask is not None
    share = np.moveaxis(mask.numpy(), place.axis, 0).mean(axis=1)
    share = share[place.first : place.first + len(place.popularity)]
    order = np.argsort(place.popularity, kind="stable")
    groups = np.array_split(order, min(GROUPS, len(order)))
    return [round(float(share[group].mean()), _DIGITS) for group in groups]


def counts(train: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the number of interactions of each user and of each item of a CSR matrix."""
    n_items = train.shape[1]
    return np.diff(train.indptr), np.bincount(train.indices, minlength=n_items)
