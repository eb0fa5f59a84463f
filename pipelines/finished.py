"""The runs of a table that are finished: here, in a table beside it, or known from elsewhere."""

import pathlib
from collections.abc import Mapping
from typing import Any, TypeAlias

from pipelines import files
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.render import report

# Results by the name of their table's folder and the key of their run.
Known: TypeAlias = Mapping[str, Mapping[str, dict[str, Any]]]


class Finished:
    """What is finished of a table's runs.

    Args:
        folder: the table's; its run folders are in "runs" there. What it has not, tables in
            folders beside it may have.
        known: results of tables made elsewhere. What is in the folders goes before, and then what
            this table has elsewhere, before what others have there.

    Attributes:
        runs: the folder of run folders.
        seeds: those of all that is known elsewhere.
    """

    def __init__(self, folder: pathlib.Path, known: Known | None = None) -> None:
        self.runs = folder / "runs"
        others = sorted(path for path in folder.parent.glob("*/runs") if path != self.runs)
        self._folders = (self.runs, *others)
        known = known or {}
        self._known: dict[str, dict[str, Any]] = {}
        for results in (*known.values(), known.get(folder.name, {})):
            for key, result in results.items():
                costs = {"costs": of} if (of := self._known.get(key, {}).get("costs")) else {}
                self._known[key] = costs | result
        self.seeds = {result["config"]["seed"] for result in self._known.values()}

    def result(self, config: RunConfig) -> dict[str, Any] | None:
        """Returns the result of a run, with what it costs where that was measured, or None.

        Raises:
            DataError: it is there and damaged.
        """
        result = self._record(config, "result.json") or self._known.get(config.key)
        costs = self.costs(config)
        return result | {"costs": costs} if result and costs else result

    def costs(self, config: RunConfig) -> dict[str, Any] | None:
        """Returns what was measured of what a run costs, or None; raises as `result` does."""
        found = self._record(config, "costs.json")
        return found or self._known.get(config.key, {}).get("costs")

    def _record(self, config: RunConfig, name: str) -> dict[str, Any] | None:
        found = (files.read_record(folder / config.key / name) for folder in self._folders)
        return next(filter(None, found), None)


def known_in(folder: pathlib.Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the results in the tables of a folder, such as this project's results/.

    Those of a run that is another one now, as its algorithm was changed since, are left out.

    Raises:
        ValueError: there is no table in it.
    """
    known = {made.folder.name: _by_key(made) for made in report.tables_in(folder)}
    if not known:
        raise ValueError(f"{folder} has no folder of a table with a table.json of finished runs.")
    return known


def _by_key(made: report.Made) -> dict[str, dict[str, Any]]:
    results = {}
    for result in made.results:
        config = result["config"]
        try:
            key = RunConfig(**config | {"quirks": tuple(config["quirks"])}).key
        except (TypeError, ValueError, KeyError) as error:
            say(f"left out: a run of {made.folder} is of another version ({error})")
            continue
        if "missing" not in result and result.get("key", key) == key:
            results[key] = result
    return results
