from made_results import result

from pipelines.render import parts
from pipelines.tables import TABLES, Options

TABLE = TABLES["parts-multvae-ml1m"]


def results(options, score):
    made = []
    for config in TABLE.grid(options):
        is_sparse = config.algorithm != "dense"
        masks = [{"exploration": 0.9, "overlap": 0.75}] if is_sparse else []
        made.append(
            result()
            | {
                "config": config.to_dict(),
                "test": dict.fromkeys(TABLE.metrics, score(config)),
                "validation": dict.fromkeys(TABLE.metrics, 0.3 + 0.1 * config.seed),
                "report": {"density": config.density, "parameters": 7},
                "masks": masks,
                "steps": 10,
            }
        )
    return made


def score(config):
    return 0.1 * (config.seed + 1) + 0.01 * ("grow" in config.algorithm_settings)


def test_a_row_names_what_is_changed_and_what_it_makes_of_it(tmp_path):
    made = results(Options(seeds=(0, 1)), score)
    lines = parts.sheet(TABLE, made).markdown().splitlines()
    assert lines[4].startswith(
        "| dsl, as it is | 2 | 0.1500 ± 0.0707 | 0.1500 ± 0.0707 |  | 0.3500 ± 0.0707 | 0.200 |"
    )
    assert lines[5].startswith("| grow = random | 2 | 0.1600 ± 0.0707 |")
    assert lines[5].endswith("| +0.0100 ± 0.0000 | 0.3500 ± 0.0707 | 0.200 | 0.900 | 0.750 |")
    assert any(line.startswith("| optimizer_state = mask | 2 |") for line in lines)
    assert any(line.startswith("| update_interval = 200 | 2 |") for line in lines)
    assert any(line.startswith("| dense | 2 |") and line.endswith("|  |  |") for line in lines)
    names = [parts.change(run["config"], made[0]["config"]) for run in made]
    assert names[-4:] == ["static", "static", "dense", "dense"]
    parts.picture(TABLE, made, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_of_another_algorithm_names_all_of_its_settings():
    base, *others = (c.to_dict() for c in TABLES["users-gowalla"].grid(Options()))
    names = [parts.change(config, base) for config in others]
    assert names[:4] == ["users = 0.6", "users = 0.8", "users = 0.9", "users = 0.95"]
    assert parts.change(base, base) == "static, init = spectral, granularity = row"
    assert "spectral, users = 0.9" in names
    assert "spectral, update_interval = 1800, users = 0.9, update_ratio = 0.1" in names
    assert "spectral, density = 0.05, users = 0.9" in names
    assert names[-1] == "dense"


def test_rows_of_several_densities_say_which(tmp_path):
    table = TABLES["values-multvae-ml1m"]
    grid = [c for c in table.grid(Options(seeds=(0, 1))) if c.density in (0.8, 0.5, 1.0)]
    made = [
        result()
        | {"config": config.to_dict(), "test": dict.fromkeys(table.metrics, 0.1 * config.density)}
        | {"validation": dict.fromkeys(table.metrics, 0.3), "report": {"density": config.density}}
        | {"steps": 10, "masks": []}
        for config in grid
    ]
    lines = parts.sheet(table, made).markdown().splitlines()[4:13]
    cells = [[cell.strip() for cell in line.split("|")[1:]] for line in lines]
    names = [row[0] for row in cells]
    assert names[:2] == [
        "at 0.8: spectral, first_values = scores",
        "at 0.8: first_values = rescale",
    ]
    assert names[4:6] == [
        "at 0.5: spectral, first_values = scores",
        "at 0.5: first_values = rescale",
    ]
    assert names[-1] == "dense"
    differences = [row[4] for row in cells]
    assert differences == ["", *["+0.0000 ± 0.0000"] * 3] * 2 + ["+0.0200 ± 0.0000"]
    parts.picture(table, made, tmp_path / "picture.png")


def test_a_difference_is_of_the_seeds_that_both_rows_have():
    made = results(Options(seeds=(0, 1, 2)), score)
    of = [run for run in made if run["config"]["algorithm"] == "dense"]
    for run, value in zip(of, (0.2, 0.4, 0.9), strict=True):
        run["test"] = dict.fromkeys(TABLE.metrics, value)
    first = [run for run in made if run["config"] == made[0]["config"]]
    assert first == made[:1]  # of seed 0

    def last(rows):
        *_, line = (x for x in parts.sheet(TABLE, rows).markdown().splitlines() if "| dense" in x)
        return [cell.strip() for cell in line.split("|")[2:6]]

    assert last([*first, *of]) == ["3", "0.5000 ± 0.3606", "0.5000 ± 0.3606", "+0.1000 (of 1)"]
    # Two of three: 0.2 - 0.1 and 0.4 - 0.2.
    assert last([*made[:2], *of])[3] == "+0.1500 ± 0.0707 (of 2)"
    assert last([*made[:3], *of])[3] == "+0.3000 ± 0.2646"
    assert last([*made[1:2], *of[::2]])[3] == ""


def test_a_dense_model_of_equal_size_names_its_density_alone():
    table = TABLES["splits-multvae-ml1m"]
    base, *others = (c.to_dict() for c in table.grid(Options(densities=(0.2,))))
    names = [parts.change(config, base) for config in others]
    assert names == [
        "first_values = rescale",
        "gradual, update_interval = 50",
        "oneshot, update_interval = 50",
        "dsl, update_interval = 50",
        "narrow",
        "dense",
    ]


def test_how_often_masks_are_updated_is_not_said_of_those_that_stay():
    table = TABLES["moves-multvae-ml1m"]
    base, *others = (c.to_dict() for c in table.grid(Options()))
    names = [parts.change(config, base) for config in others]
    assert names[-1] == "dense"
    assert "static, first_values = rescale, init = spectral" in names
    assert names[0] == "update_ratio = 0.3, update_share = 1.0"
    made = [made | {"config": base} for made in results(Options(), score)[:1]]
    assert "masks updated as often as the algorithm has it." in parts.sheet(table, made).markdown()
    made = results(Options(), score)[:1]
    assert "masks updated every 50 steps." in parts.sheet(TABLE, made).markdown()


def test_a_table_without_data_says_so(tmp_path):
    missing = [{"config": c.to_dict(), "missing": "no such folder"} for c in TABLE.grid(Options())]
    assert parts.sheet(TABLE, missing).notes == "no such folder."
    parts.picture(TABLE, missing, tmp_path / "picture.png")
