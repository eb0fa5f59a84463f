"""What a table is: a title and the runs it is made from."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pipelines import protocols
from pipelines.config import RunConfig
from tfdsl import checks

BUDGETS = ("short", "long", "full")
DENSITIES = (0.8, 0.5, 0.3, 0.2, 0.1, 0.05)
# What the papers compare, and a dense model of equal size; "spectral" is what we have beyond them.
PUBLISHED = ("dsl", "rigl", "set", "static", "gradual", "oneshot", "narrow")
METHODS = ("spectral", *PUBLISHED)
# Algorithm and density of each row, and where it is not like the others its own fields.
Cases: TypeAlias = list[tuple[Any, ...]]
SPECTRAL: dict[str, Any] = {"update_interval": None}  # SpectralDSL's own


def cases(
    methods: Sequence[str],
    densities: Sequence[float] = DENSITIES,
    spectral: dict[str, Any] = SPECTRAL,
) -> Cases:
    """Returns the rows of a table of densities: dense, then all methods at each density.

    Args:
        methods: in the order of the rows.
        densities: likewise.
        spectral: fields of its own that "spectral" has.
    """
    own = {"spectral": spectral}
    rows = [(method, density) for density in densities for method in methods]
    return [("dense", 1.0), *((method, d, own.get(method, {})) for method, d in rows)]


@dataclasses.dataclass(frozen=True)
class Options:
    """What a caller may choose about a table.

    Attributes:
        budget: "short" fits two cores (LightGCN: a GPU); "long", which some tables have, is four
            or five times "short"; "full" is the published length, or all of the data.
        protocol: "clean" or "published".
        quirks: quirks to keep under "published"; all that there are if None.
        seeds: one run of every configuration a seed.
        algorithms: those of the table's to run; all of them if None.
        densities: likewise; dense rows are run with any.
    """

    budget: str = "short"
    protocol: str = "clean"
    quirks: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    algorithms: tuple[str, ...] | None = None
    densities: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        checks.choice("budget", self.budget, BUDGETS)
        protocols.check(self.protocol, self.quirks or ())

    def only_clean(self, name: str) -> None:
        """Raises ValueError for a table that has the clean protocol alone, if this is another."""
        if self.protocol != "clean":
            raise ValueError(
                f"Tables of {name} have the protocol clean alone; received {self.protocol!r}."
            )

    def grid(self, model: str, cases: Sequence[tuple[Any, ...]], **fields: Any) -> list[RunConfig]:
        """Returns the runs of a model under these options, one a case and seed.

        Args:
            model: name of the model.
            cases: algorithm and density of each row, and where it is not like the others a dict of
                its own fields of `RunConfig`.
            **fields: more of `RunConfig`'s, the same for all.

        Raises:
            ValueError: an algorithm or a density was chosen that no case has, or none at all.
        """
        algorithms = _chosen("algorithms", self.algorithms, [case[0] for case in cases])
        sparse = [case[1] for case in cases if case[1] != 1.0]
        densities = {1.0, *_chosen("densities", self.densities, sparse)}
        quirks = protocols.active(self.protocol, self.quirks, model)
        return [
            RunConfig(
                model=model,
                algorithm=algorithm,
                density=density,
                seed=seed,
                protocol=self.protocol,
                quirks=quirks,
                **{"optimizer_state": protocols.optimizer_state(quirks)} | fields | _only(own),
            )
            for algorithm, density, *own in cases
            if algorithm in algorithms and density in densities
            for seed in self.seeds
        ]


def _chosen(name: str, chosen: Sequence[Any] | None, there: Sequence[Any]) -> Sequence[Any]:
    """Returns what is chosen of what there is, all of it if None.

    Raises:
        ValueError: nothing is chosen, or what is not there.
    """
    if chosen is None:
        return there
    unknown = [str(one) for one in chosen if one not in there]
    if unknown or not chosen:
        known = ", ".join(dict.fromkeys(map(str, there)))
        received = ", ".join(unknown) or "none"
        raise ValueError(f"`{name}` must be some of {known}; received {received}.")
    return chosen


def _only(own: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return own[0] if own else {}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table and its grid of runs.

    Attributes:
        name: as the command line knows it.
        title: one line for people.
        grid: options -> the runs, in the order of the rows.
        metrics: test metrics to show, the first is also drawn.
        notes: what a reader must know of them.
        budgets: those it has.
        seeds: how many every run is made with if the caller does not say.
        kind: how it is written: "density" of runs by epochs, "stages" of runs in two stages,
            "parts" of a run and what becomes of it when one thing is changed.
        protocol: the one that `all` makes it under.
        quirks: and those that it keeps then.
        suits_cpu: whether two cores make it in less than half an hour at the short budget.
        at_once: how many of its runs a GPU has room for; `all` makes no more at once on each, nor
            on a processor.
    """

    name: str
    title: str
    grid: Callable[[Options], Sequence[RunConfig]]
    metrics: tuple[str, ...]
    notes: str
    budgets: tuple[str, ...] = ("short", "full")
    seeds: int = 1
    kind: str = "density"
    protocol: str = "clean"
    quirks: tuple[str, ...] | None = None
    suits_cpu: bool = False
    at_once: int = 8
