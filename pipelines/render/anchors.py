"""Our dense models beside public figures of the same model, data and metric."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import Table

_PAPER = "[arXiv 2002.02126](https://arxiv.org/abs/2002.02126)"
_PYTORCH = "[LightGCN-PyTorch](https://github.com/gusye1234/LightGCN-PyTorch)"
_BARS = "[BARS](https://openbenchmark.github.io/BARS)"
_NCF = "[arXiv 1708.05031, without pre-training](https://arxiv.org/abs/1708.05031)"


class Anchor(NamedTuple):
    """A public figure: of which table and metric, and whose."""

    table: str
    metric: str
    value: str
    source: str


# LightGCN of three layers, 64 wide: what is public is of the epoch that is best on the test part.
ANCHORS = (
    Anchor("lightgcn-gowalla", "recall@20", "0.1830", _PAPER),
    Anchor("lightgcn-gowalla", "recall@20", "0.1824", _PYTORCH),
    Anchor("lightgcn-gowalla", "recall@20", "0.1820", _BARS),
    Anchor("lightgcn-gowalla", "ndcg@20", "0.1554", _PAPER),
    Anchor("lightgcn-gowalla", "ndcg@20", "0.1547", _PYTORCH),
    Anchor("lightgcn-gowalla", "ndcg@20", "0.1547", _BARS),
    Anchor("lightgcn-yelp2018", "recall@20", "0.0649", _PAPER),
    Anchor("lightgcn-yelp2018", "recall@20", "0.0635", _PYTORCH),
    Anchor("lightgcn-yelp2018", "recall@20", "0.0653", _BARS),
    Anchor("lightgcn-yelp2018", "ndcg@20", "0.0530", _PAPER),
    Anchor("lightgcn-yelp2018", "ndcg@20", "0.0524", _PYTORCH),
    Anchor("lightgcn-yelp2018", "ndcg@20", "0.0532", _BARS),
    Anchor("lightgcn-amazon-book", "recall@20", "0.0411", _PAPER),
    Anchor("lightgcn-amazon-book", "recall@20", "0.0411", _BARS),
    Anchor("lightgcn-amazon-book", "ndcg@20", "0.0315", _PAPER),
    Anchor("lightgcn-amazon-book", "ndcg@20", "0.0318", _BARS),
    Anchor("neumf-ml1m", "sampled_hit_rate@10", "0.701", _NCF),
    Anchor("neumf-ml1m", "sampled_ndcg@10", "0.425", _NCF),
)


def sheet(tables: Sequence[tuple[Table, Sequence[dict[str, Any]]]]) -> Sheet | None:
    """Returns a row a table and metric that there are public figures of; None without any.

    Args:
        tables: of each what it is, and its results.
    """
    page = Sheet(
        "Dense models beside public figures",
        ["table", "metric", "ours, dense", "public"],
        notes="What differs between ours and theirs is in docs/deviations.md.",
    )
    for table, results in tables:
        made = [run for run in results if "missing" not in run]
        dense = [run["test"] for run in made if run["config"]["algorithm"] == "dense"]
        for metric in table.metrics if dense else ():
            public = [a for a in ANCHORS if (a.table, a.metric) == (table.name, metric)]
            if public:
                ours = figures.spread([test[metric] for test in dense])
                theirs = ", ".join(f"{anchor.value} ({anchor.source})" for anchor in public)
                page.add([table.title, metric, ours, theirs], [])
    return page if page.rows else None
