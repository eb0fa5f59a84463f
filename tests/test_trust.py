"""The numbers on docs/trust.md are those of the tests."""

import importlib.util
import itertools
import pathlib
import re

import pytest

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "trust.md"
ROW = re.compile(r"\| \[(test_\w+)\]\(\.\./([\w/.]+)\) \| ([\d,]+) \| ([\d,]+) \|$")
ROWS = [found.groups() for line in PAGE.read_text().splitlines() if (found := ROW.search(line))]


def cases(file, name):
    """Returns how many cases a test tries for every change, and how many with --all."""
    spec = importlib.util.spec_from_file_location(f"trust_{pathlib.Path(file).stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = getattr(module, "pytestmark", [])
    marks = [*(own if isinstance(own, list) else [own])]
    marks += getattr(getattr(module, name), "pytestmark", [])
    columns = []
    for mark in (mark for mark in marks if mark.name == "parametrize"):
        names, values = mark.args
        drawn = names == "examples"
        sets = [v if hasattr(v, "marks") else pytest.param(v) for v in values]
        columns.append(
            [
                (one.values[0] if drawn else 1, any(m.name == "slow" for m in one.marks))
                for one in sets
            ]
        )
    quick = whole = 0
    for choice in itertools.product(*columns):
        n = 1
        for number, _ in choice:
            n *= number
        whole += n
        is_slow = any(mark.name == "slow" for mark in marks) or any(slow for _, slow in choice)
        quick += 0 if is_slow else n
    return quick, whole


def test_every_table_of_tests_is_read():
    lines = PAGE.read_text().splitlines()
    assert len(ROWS) == sum("](../tests/" in line and line.startswith("|") for line in lines) > 30


@pytest.mark.parametrize(("name", "path", "quick", "whole"), ROWS, ids=[row[0] for row in ROWS])
def test_the_page_says_how_many_cases_there_are(name, path, quick, whole):
    file = PAGE.parents[1] / path
    assert file.exists()
    assert cases(file, name) == (int(quick.replace(",", "")), int(whole.replace(",", "")))
