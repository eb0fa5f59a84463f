"""A table as it is written: its cells, the runs behind each row, and what must be known of it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

NO_DATA = "data not available here"


@dataclasses.dataclass
class Sheet:
    """A table before it is Markdown or HTML.

    Attributes:
        title: one line.
        head: names of the columns.
        rows: the cells of each row.
        runs: of each row, the results it is made of.
        notes: what a reader must know, in Markdown.
        picture: name of the file with its picture, in the table's folder.
    """

    title: str
    head: Sequence[str]
    rows: list[list[str]] = dataclasses.field(default_factory=list)
    runs: list[list[dict[str, Any]]] = dataclasses.field(default_factory=list)
    notes: str = ""
    picture: str | None = None

    def add(self, cells: Sequence[str], runs: Sequence[dict[str, Any]]) -> None:
        """Adds a row; of runs without data it has the first cells alone, and says so."""
        cells = list(cells)
        if any("missing" in run for run in runs):
            cells.append(NO_DATA)
        self.rows.append([*cells, *[""] * (len(self.head) - len(cells))])
        self.runs.append(list(runs))

    def markdown(self, level: int = 1, folder: str = "") -> str:
        """Returns the table in Markdown, under a heading of a level, and its picture.

        Args:
            level: of the heading.
            folder: of the table, as seen from where the text will be; ends with /.
        """
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        picture = f"\n![{self.title}]({folder}{self.picture})\n" if self.picture else ""
        return f"{'#' * level} {self.title}\n\n{table}\n\n{self.notes}\n{picture}"
