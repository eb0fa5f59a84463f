"""What a table is: a title and the runs it is made from."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pipelines import checks, protocols
from pipelines.config import RunConfig

BUDGETS = ("short", "full")


@dataclasses.dataclass(frozen=True)
class Options:
    """What a caller may choose about a table.

    Attributes:
        budget: "short" fits two cores; "full" is the published length.
        protocol: "clean" or "published".
        quirks: quirks to keep under "published"; all that there are if None.
        seeds: one run of every configuration a seed.
    """

    budget: str = "short"
    protocol: str = "clean"
    quirks: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        checks.one_of("budget", self.budget, BUDGETS)
        protocols.check(self.protocol, self.quirks or ())

    def grid(
        self, model: str, cases: Sequence[tuple[str, float]], **fields: Any
    ) -> list[RunConfig]:
        """Returns the runs of a model under these options, one a case and seed.

        Args:
            model: name of the model.
            cases: algorithm and density of each row.
            **fields: more of `RunConfig`'s, the same for all.
        """
        quirks = protocols.active(self.protocol, self.quirks, model)
        return [
            RunConfig(
                model=model,
                algorithm=algorithm,
                density=density,
                seed=seed,
                protocol=self.protocol,
                quirks=quirks,
                optimizer_state=protocols.optimizer_state(quirks),
                **fields,
            )
            for algorithm, density in cases
            for seed in self.seeds
        ]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table and its grid of runs.

    Attributes:
        name: as the command line knows it.
        title: one line for people.
        grid: options -> the runs, in the order of the rows.
        metrics: test metrics to show, the first is also drawn.
        notes: what a reader must know of them.
    """

    name: str
    title: str
    grid: Callable[[Options], Sequence[RunConfig]]
    metrics: tuple[str, ...]
    notes: str
