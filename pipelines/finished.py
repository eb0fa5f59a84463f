"""The runs of a table that are finished: here, in a table beside it, or known from elsewhere."""

import contextlib
import pathlib
from collections.abc import Mapping
from typing import Any, TypeAlias

from data.errors import DataError
from pipelines import files
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.render import report

_RESULT, _COSTS = "result.json", "costs.json"
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
        self._beside = sorted(path for path in folder.parent.glob("*/runs") if path != self.runs)
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
            DataError: this table has it, and it is damaged. In a table beside it, it counts as not
                there.
        """
        result = self._record(config, _RESULT) or self._known.get(config.key)
        costs = self.costs(config)
        return result | {"costs": costs} if result and costs else result

    def costs(self, config: RunConfig) -> dict[str, Any] | None:
        """Returns what was measured of what a run costs, or None; raises as `result` does."""
        found = self._record(config, _COSTS)
        return found or self._known.get(config.key, {}).get("costs")

    def take(self, config: RunConfig) -> None:
        """Copies what a table beside this one has of a finished run, where this one has it not."""
        own = self.runs / config.key
        for name, more in ((_COSTS, ()), (_RESULT, ("config.json", "metrics.csv"))):
            found = None if (own / name).exists() else self._found_beside(config, name)
            if not found:
                continue
            folder, record = found
            for each in more:
                with contextlib.suppress(FileNotFoundError):
                    files.write_text(own / each, (folder / each).read_text(encoding="utf-8"))
            files.write_record(own / name, record)  # the last: it says that all is there

    def _record(self, config: RunConfig, name: str) -> dict[str, Any] | None:
        own = files.read_record(self.runs / config.key / name)
        found = None if own else self._found_beside(config, name)
        return found[1] if found else own

    def _found_beside(
        self, config: RunConfig, name: str
    ) -> tuple[pathlib.Path, dict[str, Any]] | None:
        """Returns the run's folder in a table beside this one, and its record, if that is sound."""
        for folder in (runs / config.key for runs in self._beside):
            try:
                record = files.read_record(folder / name)
            except (DataError, OSError) as error:
                say(f"left out: {error}")
                continue
            if record:
                return folder, record
        return None


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
