"""One report of all tables in a folder: a page in Markdown, and one HTML file without a network.

A table's folder is called NAME-PROTOCOL-BUDGET, with one word more where something else about its
runs is special, such as amgp-ml100k-clean-short-alone.
"""

import base64
import dataclasses
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Self

import jinja2
import markdown
import markupsafe

from pipelines import files
from pipelines.command_line import say
from pipelines.render import anchors, costs, density, lowest, parts, stages, where
from pipelines.render.sheet import Sheet
from pipelines.tables import BUDGETS, TABLES
from pipelines.tables.base import Table

# What a kind of table is made of: modules with a sheet (or none), and its picture.
_RENDERERS: dict[str, tuple[Any, ...]] = {
    "density": (density, costs, where),
    "stages": (stages,),
    "parts": (parts,),
}
_FOLDER = re.compile(rf"(.+)-(clean|published)-({'|'.join(BUDGETS)})(?:-(\w+))?")
_INTRODUCTION = (
    "Every figure is made by a run; `./reproduce.sh report` writes this page from the runs' own "
    "files. Quality is on the test part; ± is the standard deviation over seeds."
)
# Of a run's result what the report shows of it.
_SHOWN = ("config", "algorithm", "test", "validation", "best_epoch", "steps", "seconds", "costs")
_SHOWN += ("environment",)


@dataclasses.dataclass(frozen=True)
class Made:
    """A table that was made: its folder, what it is, and its runs.

    Its title says what the folder's name says of the runs, as in "(published, long)".
    """

    folder: pathlib.Path
    table: Table
    results: Sequence[dict[str, Any]]

    @classmethod
    def of(cls, folder: pathlib.Path, table: Table, results: Sequence[dict[str, Any]]) -> Self:
        """Returns what the runs in a folder make of a table."""
        match = _FOLDER.fullmatch(folder.name)
        words = match.groups()[1:] if match else ()
        more = ", ".join(word for word in words if word not in ("clean", "short", None))
        title = f"{table.title} ({more})" if more else table.title
        return cls(folder, dataclasses.replace(table, title=title), results)

    def sheets(self) -> list[Sheet]:
        """Returns what it is made of."""
        made = [renderer.sheet(self.table, self.results) for renderer in self._renderers]
        return [sheet for sheet in made if sheet]

    def text(self) -> str:
        """Returns it in Markdown."""
        first, *others = self.sheets()
        return "\n".join([first.markdown(), *(sheet.markdown(level=2) for sheet in others)])

    def write(self) -> str:
        """Writes table.md and the pictures into its folder; returns the Markdown."""
        drawn = {sheet.picture for sheet in self.sheets() if sheet.picture}
        for renderer in self._renderers:
            if renderer.PICTURE in drawn:
                renderer.picture(self.table, self.results, self.folder / renderer.PICTURE)
        text = self.text()
        files.write_text(self.folder / "table.md", text)
        return text

    @property
    def _renderers(self) -> tuple[Any, ...]:
        return _RENDERERS[self.table.kind]


def tables_in(folder: pathlib.Path) -> list[Made]:
    """Returns the tables in a folder, in the order of `TABLES`, shorter budgets first."""
    made, order = [], list(TABLES)
    for path in sorted(folder.glob("*/table.json")):
        match = _FOLDER.fullmatch(path.parent.name)
        if match and match[1] in TABLES:
            table = TABLES[match[1]]
            place = (order.index(table.name), BUDGETS.index(match[3]))
            results = _results(table, path)
            if results:
                made.append((place, Made.of(path.parent, table, results)))
    return [one for _, one in sorted(made, key=lambda pair: pair[0])]


def _results(table: Table, path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the runs of a table.json; none, with a word about it, where it is no longer one."""
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        for run in results:
            if "missing" not in run:
                _ = [run[name] for name in ("config", "environment", "seconds", "steps")]
                _ = [run["test"][metric] for metric in table.metrics]
                _ = run["validation"][table.metrics[0]]
    except (ValueError, TypeError, KeyError, RecursionError):
        results = []
    if not results:
        say(f"left out: {path} is damaged or of another version; make its table again")
    return results


def write(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes README.md and report.html for the tables in a folder; returns both paths.

    Raises:
        ValueError: there is no table.
    """
    made = tables_in(folder)
    if not made:
        raise ValueError(
            f"There is no table in {folder}; make one with ./reproduce.sh table NAME, or say with "
            "--out where they are."
        )
    page, html = folder / "README.md", folder / "report.html"
    files.write_text(page, markdown_of(made))
    files.write_text(html, _html(made))
    return [page, html]


def markdown_of(made: Sequence[Made]) -> str:
    """Returns the page of tables in Markdown, for the folder that theirs are in."""
    text = [
        f"# Results\n\n{_INTRODUCTION}\n",
        *(sheet.markdown(level=2) for sheet in _summaries(made)),
    ]
    for one in made:
        name = one.folder.name
        first, *others = one.sheets()
        text.append(first.markdown(level=2, folder=f"{name}/"))
        text += [sheet.markdown(level=3, folder=f"{name}/") for sheet in others]
        text.append(f"Files: [{name}]({name}).\n")
    return "\n".join(text)


def _summaries(made: Sequence[Made]) -> list[Sheet]:
    sparse = [(one.table, one.results) for one in made if one.table.kind == "density"]
    return [page for page in (lowest.sheet(sparse), anchors.sheet(sparse)) if page]


def _html(made: Sequence[Made]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    sections = [_section(page, None) for page in _summaries(made)]
    sections += [_section(sheet, one.folder) for one in made for sheet in one.sheets()]
    template = environment.get_template("report.html")
    return template.render(introduction=_as_html(_INTRODUCTION), sections=sections)


def _section(sheet: Sheet, folder: pathlib.Path | None) -> dict[str, Any]:
    data = None
    if folder and sheet.picture and (folder / sheet.picture).exists():
        data = base64.b64encode((folder / sheet.picture).read_bytes()).decode()
    rows = [
        {"cells": list(map(_linked, cells)), "runs": list(map(_shown, runs))}
        for cells, runs in zip(sheet.rows, sheet.runs, strict=True)
    ]
    return {
        "title": sheet.title,
        "anchor": re.sub(r"\W+", "-", sheet.title.lower()).strip("-"),
        "head": sheet.head,
        "rows": rows,
        "notes": _as_html(sheet.notes),
        "picture": data,
    }


def _shown(run: dict[str, Any]) -> dict[str, str]:
    content = {name: run[name] for name in _SHOWN if name in run}
    text = json.dumps(content or run, indent=1, sort_keys=True)
    return {"name": f"seed {run['config']['seed']}", "text": text}


def _linked(cell: str) -> Any:
    """Returns a cell with the links that are in it; without any it is no Markdown."""
    return _as_html(cell)[3:-4] if "](" in cell else cell  # without its <p>


def _as_html(text: str) -> Any:
    # Raw HTML in Markdown stays text.
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return markupsafe.Markup(markdown.markdown(escaped, extensions=["sane_lists"]))
