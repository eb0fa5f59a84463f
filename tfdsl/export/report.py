"""What an export holds, and in which forms."""

import dataclasses
import os
import pathlib

from tfdsl.export import folder, weights
from tfdsl.report import aligned


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What was exported, and how; print it.

    Attributes:
        path: the folder.
        rows: one a stored weight, in the order in which the model reads them.
        files: bytes of each file of the folder.
    """

    path: str
    rows: tuple[weights.WeightRow, ...]
    files: dict[str, int]

    @classmethod
    def of(cls, path: str | os.PathLike[str], rows: list[weights.WeightRow]) -> "ExportReport":
        """Returns the report of what was written to `path`."""
        files = {name: (pathlib.Path(path) / name).stat().st_size for name in folder.files(path)}
        return cls(os.fspath(path), tuple(rows), files)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    @property
    def weight_bytes(self) -> int:
        """Bytes of the stored weights, on disk and in memory."""
        return sum(row.bytes for row in self.rows)

    @property
    def dense_bytes(self) -> int:
        """Bytes of the same weights in the model."""
        return sum(row.dense_bytes for row in self.rows)

    def __str__(self) -> str:
        head = ("Weight", "Shape", "Density", "Form", "Bytes", "Dense bytes", "Considered")
        lines = [head, *(_cells(row) for row in self.rows)]
        share = self.weight_bytes / self.dense_bytes if self.dense_bytes else 1.0
        sums = (
            f"{self.weight_bytes:,} bytes of weights, {share:.3f} of dense; "
            f"{self.bytes:,} bytes on disk in {self.path}"
        )
        return "\n".join([*aligned(lines, "<<><>><"), sums])


def _cells(row: weights.WeightRow) -> tuple[str, ...]:
    considered = ", ".join(f"{form} {n:,}" for form, n in row.form_bytes.items())
    return (
        row.path,
        str(row.stored_shape),
        f"{row.density:.4f}",
        row.form,
        f"{row.bytes:,}",
        f"{row.dense_bytes:,}",
        considered,
    )
