"""What is written in results/ is what the code makes of the runs there."""

import pathlib

import pytest

from pipelines.render import report

RESULTS = pathlib.Path(__file__).parents[1] / "results"
MADE = report.tables_in(RESULTS)


@pytest.mark.parametrize("made", MADE, ids=[made.folder.name for made in MADE])
def test_a_table_is_that_of_its_runs(made):
    assert (made.folder / "table.md").read_text() == made.text()
    for run in made.results:
        assert run["environment"]["commit"] != "unknown"


def test_the_page_is_that_of_the_tables():
    assert (RESULTS / "README.md").read_text() == report.markdown_of(MADE)


def test_the_readme_has_the_first_table_of_the_page():
    page, readme = ((folder / "README.md").read_text() for folder in (RESULTS, RESULTS.parent))
    start = page.index("| table |")
    assert page[start : page.index("\n\n", start)] in readme
