"""The code of docs/ runs, block after block, page by page."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
import tensorflow as tf

from pipelines import environment
from pipelines.render import figures

PAGES = sorted((pathlib.Path(__file__).resolve().parent.parent / "docs").glob("*.md"))
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_pages_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Two strategies of one process use the same keys for their sums, which fails: a key of its own.
    monkeypatch.setattr(tf.distribute.MirroredStrategy, "_collective_key_base", 1000)
    names = {}
    for kind, code in BLOCK.findall(page.read_text()):
        if kind == "python":
            exec(compile(code, page.name, "exec"), names)
        else:
            _run(code)


def _run(line):
    """Runs a command of this environment, which must print something."""
    program, *arguments = line.split()
    command = [pathlib.Path(sys.executable).parent / program, *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout


def test_the_page_on_models_has_the_flags_of_a_gpu_that_the_tables_set(monkeypatch):
    monkeypatch.setattr(environment, "gpus", lambda: ["a GPU"])
    monkeypatch.setenv("XLA_FLAGS", "")
    environment.prepare()
    page = (PAGES[0].parent / "models.md").read_text()
    assert f'export XLA_FLAGS="{environment.os.environ["XLA_FLAGS"]}"\n' in page


RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"


def test_the_page_on_spectral_masks_says_what_was_measured():
    page = (PAGES[0].parent / "spectral.md").read_text()
    of = json.loads((RESULTS / "coordinate-overlap" / "figures.json").read_text())["results"]
    test, drawn, random = (
        [f"{found[kind]['mean']:.1f}" for found in (of["gowalla"], of["yelp2018"])]
        for kind in ("spectral, test", "spectral, drawn", "random, test")
    )
    assert f"{test[0]} coordinates in common on Gowalla and {test[1]} on Yelp2018" in page
    assert f"of pairs at random {drawn[0]} and {drawn[1]}" in " ".join(page.split())
    assert {f"with random masks {mean} all of them" in page for mean in random} == {True}
    seconds = [f"{found['seconds']:.1f}" for found in (of["gowalla"], of["yelp2018"])]
    # Those of results/, of no clock.
    assert f"{seconds[0]} s on Gowalla and {seconds[1]} s on Yelp2018" in page
    state, on_gpu = (
        json.loads((RESULTS / "packed-state" / f"{machine}.json").read_text())["results"]
        for machine in ("two-cores", "h200")
    )
    for found in state.values():
        assert f"a table with a mask takes {found['masked']['state_of_dense']:.2f}" in page
    towers, light_gcn = (state[kind]["packed"] for kind in ("towers", "lightgcn"))
    states = [f"{found['state_of_dense']:.3f}" for found in (towers, light_gcn)]
    assert f"take {states[0]} (of LightGCN's two {states[1]}) of a dense table" in page
    assert f"trained in {towers['step_of_dense']:.2f} of the time of dense ones" in page
    assert f"takes {light_gcn['step_of_dense']:.2f} of dense" in page
    for storage, words in (
        ("packed", "{} and {} of dense"),
        ("masked", "with masks it is {} and {}"),
    ):
        peaks = [f"{state[kind][storage]['peak_of_dense']:.2f}" for kind in ("towers", "lightgcn")]
        assert words.format(*peaks) in page
    text = " ".join(page.split())
    for kind, words in (
        (
            "towers",
            "two tables is {p:.2f} of dense, that of making them, and gradual pruning's {g:.2f}",
        ),
        ("lightgcn", "it is {p:.2f}, and gradual pruning's {g:.2f}"),
    ):
        peaks = (on_gpu[kind][storage]["peak_of_dense"] for storage in ("packed", "gradual"))
        assert words.format(**dict(zip("pg", peaks, strict=True))) in text
    for kind, words in (
        ("towers", "takes {:.2f} of dense's time, {:.2f} of that with masks"),
        ("lightgcn", "LightGCN's step takes {:.2f} of dense's, {:.2f} of that with masks"),
    ):
        own = on_gpu[kind]["packed"]
        assert words.format(own["step_of_dense"], own["step_of_masked"]) in text


def _quality(table, metric, algorithms, densities):
    """Returns the lines of a table of densities by algorithms, of the test part."""
    found = {}
    for run in json.loads((RESULTS / f"{table}-clean-short" / "table.json").read_text()):
        config = run["config"]
        key = config["algorithm"], config["density"]
        found.setdefault(key, []).append(run["test"][metric])
    lines = [f"| 1 | {figures.spread(found['dense', 1.0])} (dense) |" + " |" * len(algorithms[1:])]
    for density in densities:
        cells = [found.get((algorithm, density)) for algorithm in algorithms]
        shown = ["" if cell is None else figures.spread(cell) for cell in cells]
        lines.append(f"| {density:g} | " + " | ".join(shown) + " |")
    return [line.replace("|  |", "| |") for line in lines]


def _splits(table, others, densities):
    """Returns the lines of SpectralDSL and of what others have more, from a table of splits."""
    text = (RESULTS / f"{table}-clean-short" / "table.md").read_text()
    rows = [[cell.strip() for cell in x.split("|")[1:-1]] for x in text.splitlines() if "|" in x]
    found = {row[0].split(",")[0]: row for row in rows if "rescale" not in row[0]}
    lines = []
    for density in densities:
        own, *rest = (found[f"at {density:g}: {name}"] for name in ("spectral", *others))
        lines.append(f"| {density:g} | {own[2]} | {' | '.join(row[4] for row in rest)} |")
    return lines


def test_the_page_on_spectral_masks_shows_what_other_users_say():
    page = (PAGES[0].parent / "spectral.md").read_text()
    others = ("gradual", "oneshot", "dsl", "narrow")
    lines = _splits("splits-multvae-citeulike", others, (0.8, 0.5, 0.2, 0.1, 0.05))
    assert "\n".join(lines) in page


@pytest.mark.parametrize(
    ("table", "metric", "algorithms", "densities"),
    [
        (
            "spectral-gowalla",
            "recall@20",
            ("spectral", "gradual", "dsl", "narrow"),
            (0.5, 0.3, 0.2, 0.1, 0.05),
        ),
        (
            "spectral-yelp2018",
            "recall@20",
            ("spectral", "gradual", "dsl", "narrow"),
            (0.5, 0.3, 0.2, 0.1, 0.05),
        ),
        (
            "multvae-ml1m",
            "ndcg@20",
            ("spectral", "gradual", "tfmot", "dsl", "narrow"),
            (0.8, 0.5, 0.3, 0.2, 0.1, 0.05),
        ),
        (
            "multvae-citeulike",
            "ndcg@20",
            ("spectral", "gradual", "oneshot", "dsl", "narrow"),
            (0.8, 0.5, 0.3, 0.2, 0.1, 0.05),
        ),
    ],
)
def test_the_page_on_spectral_masks_shows_the_tables_of_results(
    table, metric, algorithms, densities
):
    page = (PAGES[0].parent / "spectral.md").read_text()
    assert "\n".join(_quality(table, metric, algorithms, densities)) in page
