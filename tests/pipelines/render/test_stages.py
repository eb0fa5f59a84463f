"""Tables of runs in two stages, from made-up results."""

import pytest
from made_results import result

from pipelines.render import stages
from pipelines.tables import TABLES, Options

TABLE = TABLES["amgp-ml100k"]
SHARES = {"dense": 1.0, "amgp": 0.6, "prune_once": 0.7, "narrow": 0.3}


def made(config, loss=0.5):
    """A run whose losses are what is asked, and its costs those of `SHARES`."""
    share = SHARES[config.algorithm]
    flops = {"offline": 1000 * share, "recurring": 100}
    metrics = {"logloss": loss, "normalized_entropy": loss / 0.6, "auc": 0.7}
    return result() | {
        "config": config.to_dict(),
        "test": metrics,
        "days": [metrics | {"day": day, "logloss": loss + 0.01 * day} for day in (6, 7, 8)],
        "training_flops": {"theoretical": flops, "realised": {**flops, "offline": 990 * share}},
        "step_milliseconds": 2.0 * share,
        "report": {"parameters": 12345},
        "steps": 300,
    }


def grid(seeds, losses):
    configs = TABLE.grid(Options(seeds=tuple(range(seeds))))
    return [made(config, losses(config)) for config in configs]


def text_of(losses, seeds=3):
    return stages.sheet(TABLE, grid(seeds, losses)).markdown()


def test_a_row_has_quality_with_its_spread_and_costs_beside_dense():
    text = text_of(lambda c: 0.5 + 0.01 * c.seed)
    assert (
        "| amgp | 0.5 | 3 | 0.5100 ± 0.0100 | 0.8500 ± 0.0167 | 0.7000 ± 0.0000 | "
        "0.5800 ± 0.0100 | 0.600 | 0.600 | 0.600 | 1.000 | 12,345 |" in text
    )
    assert "| dense | 1 | 3 | 0.5100 ± 0.0100 |" in text
    assert "over days 0 to 5, 300 steps of 128, sgd at 0.1, along a cosine to 0.005; " in text
    assert "Later days, 6 to 8," in text


@pytest.mark.parametrize(
    ("away", "verdict"),
    [
        ((0.001, -0.001, 0.0), "+0.0000 ± 0.0025 (seed noise)"),
        ((0.010, 0.011, 0.012), "+0.0110 ± 0.0025 (worse)"),
        ((-0.010, -0.011, -0.012), "-0.0110 ± 0.0025 (better)"),
    ],
)
def test_a_difference_is_of_runs_of_one_seed_and_of_their_interval(away, verdict):
    # Seeds differ by far more than methods do.
    text = text_of(lambda c: 0.5 + 0.1 * c.seed + (away[c.seed] if c.algorithm == "amgp" else 0))
    lines = text.splitlines()
    at = lines.index("- Keep 0.5, 3 seed(s):")
    cheaper, offline, later = lines[at + 1 : at + 4]
    assert cheaper.endswith("0.600 of dense's FLOPs; of its time a step 0.600 ± 0.000 (better).")
    assert f"logloss {verdict}, auc +0.0000 ± 0.0000 (seed noise)" in offline
    assert f"pruned once? logloss {verdict}; beside dense {verdict}." in later


def test_a_higher_auc_is_better():
    results = grid(3, lambda c: 0.5)
    for run in results:
        if run["config"]["algorithm"] == "amgp":
            run["test"]["auc"] += 0.01
    text = stages.sheet(TABLE, results).markdown()
    assert "auc +0.0100 ± 0.0000 (better)" in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_of_few_seeds_nothing_is_said(seeds):
    text = text_of(lambda c: 0.5, seeds)
    assert "(b) Offline as good as dense? logloss +0.0000, auc +0.0000." in text
    assert "seed noise)" not in text


@pytest.mark.parametrize("left_out", ["dense", "prune_once", "amgp"])
def test_what_was_not_run_is_no_figure(left_out, tmp_path):
    results = [r for r in grid(2, lambda c: 0.5) if r["config"]["algorithm"] != left_out]
    text = stages.sheet(TABLE, results).markdown()
    if left_out == "dense":
        assert "| amgp | 0.5 | 2 | 0.5000 ± 0.0000 |" in text
        assert "| - | - | - | - | 12,345 |" in text
    assert ("claims" in text) is (left_out == "prune_once")
    assert ("pruned once? logloss was not run" in text) is (left_out == "prune_once")
    stages.picture(TABLE, results, tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_rows_without_data_say_so(tmp_path):
    results = [
        {"config": config.to_dict(), "missing": "ml-100k is not in /here"}
        for config in TABLE.grid(Options())
    ]
    text = stages.sheet(TABLE, results).markdown()
    assert text.count("data not available here") == 7
    assert "\nml-100k is not in /here.\n" in text
    stages.picture(TABLE, results, tmp_path / "table.png")
    assert (tmp_path / "table.png").exists()


def test_seeds_that_only_some_have_are_compared_with_their_own(tmp_path):
    results = grid(3, lambda c: 0.5 + 0.1 * c.seed)
    results = [
        r for r in results if r["config"]["algorithm"] != "dense" or r["config"]["seed"] == 1
    ]
    text = stages.sheet(TABLE, results).markdown()
    assert "| dense | 1 | 1 | 0.6000 |" in text
    assert "- Keep 0.5, 1 seed(s):" in text
    assert "logloss +0.0000, auc" in text
    stages.picture(TABLE, results, tmp_path / "table.png")
