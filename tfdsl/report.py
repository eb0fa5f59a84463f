"""What of a model is sparse, by how much, and what it costs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfdsl.layers.masking import mask_of
from tfdsl.layers.mlp import mlp_of
from tfdsl.layers.packed_table import PackedTable, is_growth, table_of
from tfdsl.optimizer import SparseOptimizer
from tfdsl.packed_weight import PackedWeight
from tfdsl.sparse_weight import SparseWeight


@dataclass(frozen=True)
class WeightRow:
    """One weight in a `Report`.

    Attributes:
        path: the variable's path, such as "dense/kernel".
        shape: its shape.
        masked: whether it has a mask.
        active: entries on the mask, or of neurons that are not pruned; else all of them.
        total: all entries.
        target: the density that the optimizer is to bring it to; None if unknown.
        bytes: what the active values take in the variable's dtype, their positions not counted.
        flops: inference FLOPs a sample and position: 2 * active for a matrix, 0 for an embedding
            table and a vector.
        exploration: share of entries that were ever active (ITOP's R); None if unknown.
        note: why the weight is dense, or whose neurons it has; empty if it is sparse.
    """

    path: str
    shape: tuple[int, ...]
    masked: bool
    active: int
    total: int
    target: float | None
    bytes: int
    flops: int
    exploration: float | None
    note: str

    @property
    def density(self) -> float:
        """Share of active entries as it is now, in [0, 1]."""
        return _share(self.active, self.total)


@dataclass(frozen=True)
class Report:
    """A model's weights and their sums; print it, or take `to_dict`. Made by `report`.

    Attributes:
        model: the model's name.
        rows: one a trainable weight, and one a masked weight that is not trained.
        non_trainable: entries of all other weights, such as moving averages; masks are not
            counted, and neither are these entries in the sums.
    """

    model: str
    rows: tuple[WeightRow, ...]
    non_trainable: int

    @property
    def active(self) -> int:
        """Active entries of the masked weights."""
        return sum(row.active for row in self.rows if row.masked)

    @property
    def total(self) -> int:
        """All entries of the masked weights."""
        return sum(row.total for row in self.rows if row.masked)

    @property
    def density(self) -> float:
        """Share of active entries among the masked weights; 1.0 if no weight has a mask."""
        return _share(self.active, self.total)

    @property
    def exploration(self) -> float | None:
        """Share of the masked weights' entries that were ever active; None if unknown."""
        masked = [row for row in self.rows if row.masked]
        if not masked or any(row.exploration is None for row in masked):
            return None
        ever = sum(round((row.exploration or 0.0) * row.total) for row in masked)
        return _share(ever, self.total)

    @property
    def parameters(self) -> int:
        """Active entries of all weights; of those without mask or neurons, all entries."""
        return sum(row.active for row in self.rows)

    @property
    def bytes(self) -> int:
        """Bytes of the parameters' values."""
        return sum(row.bytes for row in self.rows)

    @property
    def flops(self) -> int:
        """Inference FLOPs a sample, see `WeightRow.flops`; each weight is counted once."""
        return sum(row.flops for row in self.rows)

    @property
    def training_flops(self) -> int:
        """Training FLOPs a sample: forward, and two products of that size backward.

        Theoretical: what an engine could reach that skips every zero. In a step that updates the
        masks the gradient is dense.
        """
        return 3 * self.flops

    def to_dict(self) -> dict[str, Any]:
        """Returns rows and sums as numbers, strings, lists and dicts, ready for JSON."""
        rows = [
            asdict(row) | {"shape": list(row.shape), "density": row.density} for row in self.rows
        ]
        sums = ("density", "active", "total", "exploration", "parameters", "bytes", "flops")
        return {
            "model": self.model,
            **{name: getattr(self, name) for name in (*sums, "training_flops", "non_trainable")},
            "rows": rows,
        }

    def __str__(self) -> str:
        head = ("Weight", "Shape", "Active", "Density", "Target", "Bytes", "FLOPs", "Explored", "")
        lines = [head, *(_cells(row) for row in self.rows)]
        table = aligned(lines, "<<>>>>>><")
        rule = "-" * max(len(line) for line in table)
        explored = "" if self.exploration is None else f", {self.exploration:.4f} ever active"
        sums = [
            f"Masked weights: {self.active:,} of {self.total:,} active, density "
            f"{self.density:.4f}{explored}",
            f"Parameters: {self.parameters:,} ({self.bytes:,} bytes)",
            f"Non-trainable, not in the sums: {self.non_trainable:,}",
            f"FLOPs a sample: {self.flops:,} inference, {self.training_flops:,} training",
        ]
        return "\n".join([f'Model: "{self.model}"', table[0], rule, *table[1:], rule, *sums])


def aligned(lines: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Returns rows of cells as lines with columns, each to its side, "<" or ">"."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(f"{c:{s}{w}}" for c, s, w in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    ]


def report(model: keras.Model) -> Report:
    """Reports what is sparse in a model, by how much, and what it costs, as it is now.

    FLOPs are counted once for every matrix and for one position: a convolution or a matrix used
    twice costs more, and what a model computes without weights (a graph propagation) is not in
    them.

    Args:
        model: a built model; compiled or not, sparse or not.

    Returns:
        The report; `print` shows it as a table.

    Raises:
        ValueError: not a Keras model, or not built.

    Example:
        print(tfdsl.report(model))
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"report takes a keras.Model; received {model!r}.")
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} has no weights yet; build it first, for example by calling "
            "it on a batch."
        )
    optimizer = sparse_optimizer_of(model)
    managed = {id(s.weight): s for s in optimizer.sparse_weights} if optimizer else {}
    inner = (x for x in _layers(model, set()) if isinstance(x, keras.layers.Embedding))
    tables = {id(w) for layer in inner for w in layer.weights}
    masks = {id(mask_of(w)) for w in model.weights if mask_of(w) is not None}
    packed = {id(t): t for w in model.weights if (t := table_of(w)) is not None}
    parts = {id(part) for t in packed.values() for part in t.parts}
    listed = [w for w in model.weights if w.trainable or mask_of(w) is not None]
    shown = masks | parts | {id(w) for w in listed}
    # Of a packed table's parts the values stand for the whole.
    rows = [table_of(w) or w for w in listed if not is_growth(w)]
    tables |= packed.keys()
    return Report(
        model=model.name,
        rows=tuple(_row(w, id(w) in tables, managed.get(id(w)), optimizer) for w in rows),
        non_trainable=sum(math.prod(w.shape) for w in model.weights if id(w) not in shown),
    )


def sparse_optimizer_of(model: keras.Model) -> SparseOptimizer | None:
    """Returns the model's `SparseOptimizer`, also inside a `LossScaleOptimizer`; None if none."""
    optimizer = getattr(model, "optimizer", None)
    while optimizer is not None and not isinstance(optimizer, SparseOptimizer):
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return optimizer


def _row(
    weight: keras.Variable | PackedTable,
    is_table: bool,
    managed: SparseWeight | PackedWeight | None,
    optimizer: SparseOptimizer | None,
) -> WeightRow:
    mask = mask_of(weight)
    total = math.prod(weight.shape)
    active = total if mask is None else int(np.count_nonzero(mask.numpy()))
    mlp = mlp_of(weight)
    if mlp is not None:
        active = int(np.count_nonzero(mlp.is_active(weight)))
    target = exploration = None
    if managed is not None:
        target = managed.density
        exploration = _share(int(np.count_nonzero(managed.ever_active.numpy())), total)
    elif mask is not None and active == total and optimizer is not None and optimizer.built:
        target = exploration = 1.0  # the optimizer leaves such a weight dense for good
    return WeightRow(
        path=weight.path,
        shape=tuple(weight.shape),
        masked=mask is not None,
        active=active,
        total=total,
        target=target,
        bytes=active * tf.as_dtype(weight.dtype).size,
        flops=2 * active if len(weight.shape) >= 2 and not is_table else 0,
        exploration=exploration,
        note=_why_dense(weight, active == total, optimizer),
    )


def _why_dense(
    weight: keras.Variable | PackedTable, is_full: bool, optimizer: SparseOptimizer | None
) -> str:
    if mlp_of(weight) is not None:
        return "neurons: all in use" if is_full else "neurons: some are pruned now"
    if mask_of(weight) is None:
        return "no mask" if len(weight.shape) >= 2 else "no mask: bias/vector"
    if not is_full:
        return ""
    if optimizer is None:
        return "masks not made yet: no SparseOptimizer"
    return "density 1.0" if optimizer.built else "masks not made yet: optimizer not built"


def _layers(item: Any, visited: set[int]) -> Iterator[keras.layers.Layer]:
    """Yields `item` if it is a layer, and all layers in it, at any depth.

    Keras has no public list of the layers inside a layer, so its attributes are searched, and
    lists and dicts among them.
    """
    if id(item) in visited:
        return
    visited.add(id(item))
    if isinstance(item, keras.layers.Layer):
        yield item
        inner = [*vars(item).values(), *(item.layers if isinstance(item, keras.Model) else ())]
    elif isinstance(item, dict):
        inner = list(item.values())
    elif isinstance(item, list | tuple | set):
        inner = list(item)
    else:
        return
    for value in inner:
        yield from _layers(value, visited)


def _cells(row: WeightRow) -> tuple[str, ...]:
    return (
        row.path,
        str(row.shape),
        f"{row.active:,}",
        f"{row.density:.4f}",
        "-" if row.target is None else f"{row.target:.4f}",
        f"{row.bytes:,}",
        f"{row.flops:,}",
        "-" if row.exploration is None else f"{row.exploration:.4f}",
        row.note,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
