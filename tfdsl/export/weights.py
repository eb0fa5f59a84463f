"""Which form each weight of a model is stored in, and the stored weights themselves."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from tfdsl.export import packing, stored
from tfdsl.export.at_load import Unpacked
from tfdsl.layers.masking import mask_of
from tfdsl.layers.mlp import mlp_of
from tfdsl.layers.packed_table import is_growth, table_of

T = TypeVar("T")
STORAGES = ("dense", "packed")
KERNELS = ("rows", "bitmap")
UNPACK = ("request", "load")


@dataclasses.dataclass(frozen=True)
class WeightRow:
    """One weight in an `ExportReport`.

    Attributes:
        path: of the weight, such as "dense/kernel".
        shape: of the weight in the model.
        stored_shape: the same, but smaller where neurons are pruned.
        density: share of active entries.
        form: "whole", "rows" or "bitmap"; see `tfdsl.export.saved_model`.
        bytes: what is stored.
        form_bytes: what each form would take; the smallest of those considered is taken. Of kernels
            in rows "bitmap" was not, which is slower.
        dense_bytes: what the weight takes in the model.
    """

    path: str
    shape: tuple[int, ...]
    stored_shape: tuple[int, ...]
    density: float
    form: str
    bytes: int
    form_bytes: dict[str, int]
    dense_bytes: int


class Weights:
    """The weights that an exported function reads: each is stored when it is first asked for.

    Args:
        model: whose weights they are.
        storage: "dense": all whole; "packed": the smallest form.
        values: dtype of matrices' and tables' values, see `packing.pack`.
        kernels: which packed form weights have that are no tables.
        tables: the weights whose rows are read by number.
        unpack: when packed weights are unpacked that are no tables: for each "request", or at
            "load".
    """

    def __init__(
        self,
        model: keras.Model,
        storage: str,
        values: str,
        kernels: str,
        tables: list[keras.Variable],
        unpack: str,
    ) -> None:
        self.storage, self._values, self._kernels = storage, values, kernels
        self._unpack = unpack
        self._tables = {id(table) for table in tables}
        # A packed table's place is that of its values.
        self._places = {
            id(table_of(weight) or weight): place
            for place, weight in enumerate(model.weights)
            if not is_growth(weight)
        }
        self.model_name = type(model).__name__
        self._made: dict[int, Any] = {}
        self.is_making = False  # whether variables have their own values just now
        self.stored: list[stored.Stored] = []
        self.entries: list[dict[str, Any]] = []
        self.rows: list[WeightRow] = []
        self.others: list[Any] = []  # what else a function needs, to be saved with it

    def of(self, weight: keras.Variable) -> stored.Stored | Unpacked:
        """Returns the stored form of a weight."""
        return self.once(weight, lambda: self._add(weight))

    def value_of(self, weight: keras.Variable) -> tf.Tensor | None:
        """Returns the value of a weight's stored form; None while it is stored."""
        return None if self.is_making else self.of(weight).value()

    def keep_state(self, layer: keras.layers.Layer) -> None:
        """Stores a layer's weights that inference does not read, for whoever loads the model."""
        for weight in layer.weights:
            self.of(weight)

    def once(self, owner: Any, make: Callable[[], T]) -> T:
        """Returns what `make` makes, on the first call for an owner.

        It is made outside of the function that is traced, with the variables' own values.
        """
        if id(owner) not in self._made:
            before, self.is_making = self.is_making, True
            try:
                with tf.init_scope():
                    self._made[id(owner)] = make()
            finally:
                self.is_making = before
        made: T = self._made[id(owner)]
        return made

    @property
    def is_plain(self) -> bool:
        """Whether everything is stored as it is in the model."""
        return self.storage == "dense" and self._values == "float32"

    def add(self, path: str, value: np.ndarray) -> stored.Stored:
        """Stores what is no weight of the model, whole."""
        packed = packing.pack(value, values=self._values)
        return self._append(path, value.shape, 1.0, value.nbytes, {"whole": packed})

    def pattern(
        self, path: str, indptr: np.ndarray, columns: np.ndarray, n_columns: int
    ) -> stored.StoredRows:
        """Stores which entries a CSR matrix has; what is equal to one before is stored once."""
        packed = packing.pack_pattern(indptr, columns, n_columns)
        for before, entry in zip(self.stored, self.entries, strict=True):
            if "values" not in entry["arrays"] and _equal(before, packed):
                assert isinstance(before, stored.StoredRows)
                return before
        density = packed.arrays["columns"].size / max(packed.size, 1)
        made = self._append(path, packed.shape, density, packed.bytes, {"rows": packed})
        assert isinstance(made, stored.StoredRows)
        return made

    def hold(self, trackables: list[Any], path: str, value: np.ndarray | None) -> None:
        """Adds what another library holds, and in the report the array that it was given."""
        self.others.extend(trackables)
        if value is not None:
            n = value.nbytes
            row = WeightRow(path, value.shape, value.shape, 1.0, "whole", n, {"whole": n}, n)
            self.rows.append(row)

    def _add(self, weight: keras.Variable) -> stored.Stored | Unpacked:
        value, mask = _cut(weight)
        if mask is not None and value[~mask].any():
            raise ValueError(
                f"The weight {weight.path!r} has values off its mask, which the model reads and an "
                "export leaves out. Set them to zero: weight.assign(weight.constraint(weight))."
            )
        kept = value.size if mask is None else int(np.count_nonzero(mask))
        forms = {form: self._pack(weight, value, mask, form) for form in self._forms(weight, mask)}
        not_taken = {}
        if "rows" in forms and id(weight) not in self._tables:
            not_taken["bitmap"] = self._pack(weight, value, mask, "bitmap").bytes
        packed = self._append(
            weight.path,
            tuple(weight.shape),
            kept / max(int(np.prod(weight.shape)), 1),
            weight.numpy().nbytes,
            forms,
            self._places.get(id(weight)),
            not_taken,
        )
        if self._unpack == "request" or id(weight) in self._tables or type(packed) is stored.Stored:
            return packed
        unpacked = Unpacked(packed)
        self.others.append(unpacked)
        return unpacked

    def _append(
        self,
        path: str,
        shape: tuple[int, ...],
        density: float,
        dense_bytes: int,
        forms: dict[str, packing.Packed],
        index: int | None = None,
        not_taken: Mapping[str, int] = MappingProxyType({}),
    ) -> stored.Stored:
        packed = min(forms.values(), key=lambda one: one.bytes)
        row = WeightRow(
            path=path,
            shape=shape,
            stored_shape=packed.shape,
            density=density,
            form=packed.form,
            bytes=packed.bytes,
            form_bytes={form: one.bytes for form, one in forms.items()} | dict(not_taken),
            dense_bytes=dense_bytes,
        )
        place = len(self.stored)
        self.rows.append(row)
        self.entries.append(
            dataclasses.asdict(row)
            | {
                "index": index,
                "dtype": packed.dtype,
                "width": packed.width,
                "block": packed.block,
                "arrays": {name: _key(place, name) for name in packed.arrays},
            }
        )
        self.stored.append(stored.store(packed, path))
        return self.stored[-1]

    def _forms(self, weight: keras.Variable, mask: np.ndarray | None) -> tuple[str, ...]:
        if self.storage == "dense" or mask is None:
            return ("whole",)
        return ("whole", "rows" if id(weight) in self._tables else self._kernels)

    def _pack(
        self, weight: keras.Variable, value: np.ndarray, mask: np.ndarray | None, form: str
    ) -> packing.Packed:
        values = self._values if value.ndim >= 2 else "float32"
        try:
            return packing.pack(value, mask, form, values, id(weight) in self._tables)
        except ValueError as error:
            raise ValueError(f"The weight {weight.path!r} cannot be exported. {error}") from error


def _cut(weight: keras.Variable) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the value of a weight, of neurons in use alone, and its mask if it has one."""
    value, mask = weight.numpy(), mask_of(weight)
    mlp = mlp_of(weight)
    if mlp is not None:
        active = np.asarray(mlp.is_active(weight))
        axes = [active.any(axis=1 - axis) for axis in (0, 1)] if active.ndim == 2 else [active]
        return value[np.ix_(*axes)], None
    return value, None if mask is None else mask.numpy()


def _equal(one: stored.Stored, packed: packing.Packed) -> bool:
    return one.shape == packed.shape and all(
        np.array_equal(one.arrays[name].numpy(), array) for name, array in packed.arrays.items()
    )


def _key(place: int, name: str) -> str:
    """Returns the name that a stored array has in the SavedModel's checkpoint."""
    return f"weights/{place}/arrays/{name}/.ATTRIBUTES/VARIABLE_VALUE"
