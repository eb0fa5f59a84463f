"""What a table is: a title and the runs it is made from."""

import dataclasses
from collections.abc import Callable, Sequence

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

    @property
    def active_quirks(self) -> tuple[str, ...]:
        """The quirks that are on."""
        return protocols.active(self.protocol, self.quirks)

    @property
    def optimizer_state(self) -> str:
        """What becomes of moments under these quirks."""
        return protocols.optimizer_state(self.active_quirks)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table and its grid of runs.

    Attributes:
        name: as the command line knows it.
        title: one line for people.
        grid: options -> the runs, in the order of the rows.
        metrics: test metrics to show, the first is also drawn.
    """

    name: str
    title: str
    grid: Callable[[Options], Sequence[RunConfig]]
    metrics: tuple[str, ...] = ("ndcg@20", "recall@20", "truncated_recall@20", "recall@50")
