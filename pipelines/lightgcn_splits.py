"""The data sets that come in LightGCN's split: Gowalla, Yelp2018, Amazon-book."""

import os

from data import catalog, fetch
from pipelines import id_pairs, interactions, pair_files
from pipelines.interactions import Interactions


def load(
    name: str, data_dir: str | os.PathLike[str] | None = None, validation_share: float = 0.1
) -> Interactions:
    """Finds, reads and checks a data set; its training part is divided again by `hold_out`.

    Args:
        name: "gowalla", "yelp2018" or "amazon-book".
        data_dir: folder with the data sets' folders, or None for the cache.
        validation_share: share of every user's training items to select the model by. With 0
            there are none, and all training items are trained on.

    Raises:
        DataError: it cannot be found, downloaded or read, a test pair is a training pair too, or
            it is not what the catalogue knows.
    """
    folder = fetch.locate(name, data_dir)
    counts = catalog.get(name).counts
    shape = (counts["users"], counts["items"])
    paths = {part: folder / f"{part}.txt" for part in ("train", "test")}
    parts = {part: pair_files.read_adjacency(path, *shape) for part, path in paths.items()}
    # First, since it names the line: such a pair is also none that the catalogue knows.
    id_pairs.refuse_overlap(paths["test"], parts["train"], parts["test"], shape[1])
    for part, path in paths.items():
        id_pairs.check_content(path, parts[part], name, part)
    matrix = interactions.to_matrix(parts["train"].users, parts["train"].items, shape)
    train, validation = interactions.hold_out(matrix, validation_share)
    test = interactions.to_matrix(parts["test"].users, parts["test"].items, shape)
    return Interactions(train, validation, test)
