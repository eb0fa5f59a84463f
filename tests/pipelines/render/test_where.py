"""Where the weights go, from made-up looks at the masks."""

import pytest
from made_results import result

from pipelines.algorithms import MASKS
from pipelines.render import where
from pipelines.tables import TABLES, Options

TABLE = TABLES["multvae-ml1m"]


def look(step, exploration, overlap, seed):
    density = {"users": [0.1, 0.2, 0.3 + 0.1 * seed], "items": [0.5, 0.5, 0.5]}
    seen = {"exploration": exploration, "overlap": overlap, "density": density}
    return seen | {"epoch": step // 10, "step": step}


def results(seeds=2):
    made = []
    for config in TABLE.grid(Options(seeds=tuple(range(seeds)))):
        is_dense = config.algorithm not in MASKS
        looks = [look(10, 0.4, 0.5, config.seed), look(20, 0.6, 0.9, config.seed)]
        run = {"config": config.to_dict(), "masks": [] if is_dense else looks}
        made.append(result() | run)
    return made


def test_a_row_has_the_mean_over_training_and_the_end(tmp_path):
    made = results()
    sheet = where.sheet(TABLE, made)
    assert sheet.head[-4:] == [
        *("users: least popular", "users: most popular"),
        *("items: least popular", "items: most popular"),
    ]
    assert len(sheet.rows) == sum(config.algorithm in MASKS for config in TABLE.grid(Options()))
    assert sheet.rows[0] == [
        *("spectral", "0.8", "0.600 ± 0.000", "0.700 ± 0.000", "0.900 ± 0.000"),
        *("0.100 ± 0.000", "0.350 ± 0.071", "0.500 ± 0.000", "0.500 ± 0.000"),
    ]
    assert "Drawn at density 0.2." in sheet.notes
    where.picture(TABLE, made, tmp_path / "masks.png")
    assert (tmp_path / "masks.png").read_bytes().startswith(b"\x89PNG")


def test_seeds_that_were_not_watched_are_left_out():
    made = results(2)
    for run in made:
        if run["config"]["seed"] == 0:
            run["masks"] = []
    sheet = where.sheet(TABLE, made)
    assert sheet.rows[0][2] == "0.600"
    assert "Seeds [1]." in sheet.notes


@pytest.mark.parametrize("left_out", ["all", "one"])
def test_configurations_that_were_not_all_watched_are_not_shown(left_out):
    made = results(1)
    masked = [run for run in made if run["masks"]]
    for run in masked if left_out == "all" else masked[:1]:
        del run["masks"]
    assert where.sheet(TABLE, made) is None
