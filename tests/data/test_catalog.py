import dataclasses
import re

import pytest

from data import catalog

PAPER_DATA_SETS = {
    "ml-1m",
    "citeulike-t",
    "foursquare",
    "gowalla",
    "yelp2018",
    "amazon-book",
    "criteo-kaggle",
}


def test_every_data_set_of_both_papers_is_listed():
    assert PAPER_DATA_SETS | {"ml-100k", "ml-1m-ncf"} == set(catalog.CATALOG)


@pytest.mark.parametrize("name", sorted(catalog.CATALOG))
def test_entry_says_where_it_is_from_and_how_it_is_checked(name):
    entry = catalog.get(name)
    assert entry.name == name
    for text in (entry.title, entry.licence, entry.citation, entry.checksum_note, entry.folder):
        assert text.strip()
    assert entry.homepage.startswith("https://")
    assert entry.url is None or entry.url.startswith("https://")
    for digest in (entry.sha256, entry.content_sha256):
        assert digest is None or re.fullmatch("[0-9a-f]{64}", digest)


@pytest.mark.parametrize("name", sorted(catalog.CATALOG))
def test_what_can_be_downloaded_can_be_checked(name):
    entry = catalog.get(name)
    assert entry.url is None or entry.sha256 or entry.counts


@pytest.mark.parametrize("name", sorted(catalog.CATALOG))
def test_parts_with_a_checksum_have_a_count(name):
    entry = catalog.get(name)
    for part, digest in entry.pairs_sha256.items():
        assert re.fullmatch("[0-9a-f]{64}", digest)
        assert (f"{part}_interactions" if part else "interactions") in entry.counts


def test_folders_are_distinct_and_plain_names():
    folders = [entry.folder for entry in catalog.CATALOG.values()]
    assert len(set(folders)) == len(folders)
    assert all("/" not in folder and not folder.startswith(".") for folder in folders)


def test_train_and_test_interactions_add_up():
    for name in ("gowalla", "yelp2018", "amazon-book"):
        counts = catalog.get(name).counts
        parts = counts["train_interactions"] + counts["test_interactions"]
        assert counts["interactions"] == parts


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'ml-2m'.*citeulike-t.*ml-1m"):
        catalog.get("ml-2m")


def test_entries_cannot_be_changed_and_can_be_hashed():
    entry = catalog.get("ml-1m")
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.url = "https://example.org"
    assert hash(entry) == hash(dataclasses.replace(entry))
