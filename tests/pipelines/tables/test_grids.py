import dataclasses

import pytest

from pipelines.fold_in import BY_SEED
from pipelines.make import make_table
from pipelines.tables import TABLES, Options

NEURONS = [name for name in TABLES if name.startswith("amgp-")]
PARTS = [name for name in TABLES if name.startswith("parts-")]
BEYOND = ["spectral-gowalla", "spectral-yelp2018"]
USERS = ["users-gowalla", "users-yelp2018"]
MOVES = "moves-multvae-ml1m"
ROWS = ["rows-multvae-ml1m", "rows-multvae-citeulike"]
DRAWN = {"first_values": "rescale"}
VALUES = ["values-multvae-ml1m", "values-multvae-citeulike"]
SPLITS = ["splits-multvae-ml1m", "splits-multvae-citeulike"]
OTHERS = (*NEURONS, *PARTS, *BEYOND, *USERS, MOVES, *ROWS, *VALUES, *SPLITS, "multvae-synthetic")
REAL = [name for name in TABLES if name not in OTHERS]


@pytest.mark.parametrize("name", NEURONS)
def test_every_keep_ratio_has_all_methods(name):
    grid = TABLES[name].grid(Options(seeds=(0, 1, 2)))
    assert [(c.algorithm, c.seed) for c in grid[:3]] == [("dense", seed) for seed in range(3)]
    found = {(c.algorithm, c.density, c.seed) for c in grid[3:]}
    methods = ("amgp", "prune_once", "narrow")
    assert found == {(m, keep, s) for m in methods for keep in (0.5, 0.25) for s in range(3)}


@pytest.mark.parametrize("name", REAL)
def test_every_density_has_all_algorithms_and_a_narrow_model(name):
    grid = TABLES[name].grid(Options())
    assert [(c.algorithm, c.density) for c in grid[:1]] == [("dense", 1.0)]
    by_density = {}
    for config in grid[1:]:
        by_density.setdefault(config.density, set()).add(config.algorithm)
    assert list(by_density) == [0.8, 0.5, 0.3, 0.2, 0.1, 0.05]
    whole = {"dsl", "rigl", "set", "static", "gradual", "oneshot", "narrow"}
    if not name.startswith("lightgcn"):  # which has the published protocol
        whole.add("spectral")
    if name.startswith("multvae"):
        whole.add("tfmot")
    assert all(algorithms == whole for algorithms in by_density.values())


@pytest.mark.parametrize("name", BEYOND)
def test_a_constant_budget_stands_beside_what_it_must_beat(name):
    first, *grid = TABLES[name].grid(Options(seeds=(0, 1, 2)))
    assert (first.algorithm, first.protocol) == ("dense", "clean")
    found = {(c.algorithm, c.density) for c in grid if c.algorithm != "dense"}
    methods = ("spectral", "dsl", "gradual", "narrow")
    assert found == {(m, density) for m in methods for density in (0.5, 0.3, 0.2, 0.1, 0.05)}


# Which table a table of parts is of, and where its first row stands there too.
OF = {
    name: (name.removeprefix("parts-"), "spectral" if "spectral" in name else "dsl")
    for name in PARTS
} | {f"parts-spectral-{name}": (name, "spectral") for name in ("multvae-ml1m", "multvae-citeulike")}


@pytest.mark.parametrize("name", PARTS)
def test_every_row_of_parts_changes_one_thing(name):
    first, *others = (config.to_dict() for config in TABLES[name].grid(Options()))
    table, algorithm = OF[name]
    of = TABLES[table].grid(Options())
    same = [c.to_dict() for c in of if (c.algorithm, c.density) == (algorithm, 0.2)]
    assert [first] == same  # the run is shared with the other table's rows
    changed = [other for other in others if other["algorithm"] == algorithm]
    for other in changed:
        assert [other[key] != first[key] for key in first].count(True) == 1
        own, given = first["algorithm_settings"], other["algorithm_settings"]
        by_rows = {"granularity": "entry", "candidates": 0}  # candidates are of rows
        drawn = {"init": given.get("init"), "first_values": "rescale"}  # which have no scores
        changes = {name: value for name, value in given.items() if own.get(name) != value}
        assert len(changes) < 2 or changes in (by_rows, drawn)
    rest = ["dsl", "dense"] if algorithm == "spectral" else ["dense"]
    last = dict.fromkeys(other["algorithm"] for other in others[len(changed) :])
    assert list(last) == ["static", *rest]
    assert (first["update_interval"] is None) == (algorithm == "spectral")  # its own


@pytest.mark.parametrize("name", USERS)
def test_users_shares_stand_at_every_density(name):
    *grid, dense = TABLES[name].grid(Options())
    assert dense.algorithm == "dense"
    stay = [c for c in grid if c.algorithm == "static"]
    assert all(c.algorithm_settings["init"] == "spectral" for c in stay)
    found = {(c.density, c.algorithm_settings.get("users")) for c in stay}
    assert found == {(d, u) for d in (0.5, 0.2, 0.1, 0.05) for u in (None, 0.6, 0.8, 0.9, 0.95)}
    moved = {(c.density, c.algorithm_settings["users"]) for c in grid if c.algorithm == "spectral"}
    assert moved >= {(d, 0.9) for d in (0.5, 0.2, 0.1, 0.05)}


def test_how_much_masks_move_stands_at_every_density():
    *grid, dense = TABLES[MOVES].grid(Options())
    assert dense.algorithm == "dense"
    found = {}
    for config in grid:
        given = config.algorithm_settings
        moves = given.get("update_ratio"), given.get("update_share")  # none: masks stay
        found.setdefault(config.density, []).append(moves)
    assert list(found) == [0.2, 0.8, 0.5, 0.05]
    assert all(of == found[0.2] and len(set(of)) == len(of) - 1 == 6 for of in found.values())
    assert all(config.algorithm_settings["first_values"] == "rescale" for config in grid)


@pytest.mark.parametrize("name", ROWS)
def test_budgets_of_rows_stand_beside_entries_that_all_compete(name):
    *grid, dense = TABLES[name].grid(Options())
    assert dense.algorithm == "dense"
    for density in (0.2, 0.05):
        first, *others = (config for config in grid if config.density == density)
        assert first.algorithm == "spectral"
        assert first.algorithm_settings == {"first_values": "rescale"}
        assert all(config.algorithm_settings["granularity"] == "row" for config in others)
        assert {config.algorithm for config in others} == {"spectral", "static", "dsl"}


@pytest.mark.parametrize("name", SPLITS)
def test_other_held_out_users_meet_the_same_runs_otherwise(name):
    *grid, dense = TABLES[name].grid(Options())
    assert dense.algorithm == "dense"
    assert TABLES[name].seeds == 5
    found = {(c.algorithm, c.density) for c in grid}
    methods = ("spectral", "gradual", "oneshot", "dsl", "narrow")
    assert found == {(m, d) for m in methods for d in (0.8, 0.5, 0.2, 0.1, 0.05)}
    of = TABLES[name.removeprefix("splits-")].grid(Options())
    same = {dataclasses.replace(c, data=f"{c.data}{BY_SEED}").key for c in of}
    assert {c.key for c in (*grid, dense) if c.algorithm_settings != DRAWN} < same


@pytest.mark.parametrize("name", VALUES)
def test_first_values_stand_at_every_density(name):
    *grid, dense = TABLES[name].grid(Options())
    assert dense.algorithm == "dense"
    found = {}
    for config in grid:
        found.setdefault(config.density, []).append(config.algorithm_settings)
    each = [{"first_values": values} for values in ("scores", "rescale", "keep")]
    each.append({"init": "magnitude", "first_values": "rescale"})
    assert found == dict.fromkeys((0.8, 0.5, 0.3, 0.2, 0.1, 0.05), each)
    own = TABLES[name.removeprefix("values-")].grid(Options())
    assert all(config in own for config in grid if config.algorithm_settings == each[0])


@pytest.mark.parametrize("name", [*PARTS, *BEYOND, *USERS, MOVES, *ROWS, *VALUES, *SPLITS])
def test_some_are_of_the_clean_protocol(name):
    with pytest.raises(ValueError, match="the protocol clean alone; received 'published'"):
        TABLES[name].grid(Options(protocol="published"))


@pytest.mark.parametrize("name", TABLES)
def test_every_budget_of_a_table_has_the_same_rows(name):
    table = TABLES[name]
    rows = {
        budget: [(c.algorithm, c.density) for c in table.grid(Options(budget))]
        for budget in table.budgets
    }
    assert all(of == rows["short"] for of in rows.values())
    keys = [config.key for budget in rows for config in table.grid(Options(budget))]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("protocol", ["clean", "published"])
def test_every_tables_grid_has_distinct_runs(name, protocol):
    table = TABLES[name]
    options = Options(protocol=protocol, seeds=(0, 1))
    clean_alone = ("amgp", "parts", "spectral", "users", "moves", "rows", "values", "splits")
    if name.startswith(clean_alone) and protocol == "published":
        with pytest.raises(
            ValueError, match=r"no published code for dlrm|the protocol clean alone"
        ):
            table.grid(options)
        return
    keys = [c.key for c in table.grid(options)]
    assert len(set(keys)) == len(keys)
    of = {"multvae": "multvae", "neumf": "neumf", "amgp": "dlrm"}
    model = next((model for word, model in of.items() if word in name), "lightgcn")
    assert {k.split("-")[0] for k in keys} == {model}


@pytest.mark.parametrize("name", TABLES)
def test_rows_can_be_left_out(name):
    every = TABLES[name].grid(Options(seeds=(0, 1)))
    chosen = ("dense", every[-1].algorithm)
    some = TABLES[name].grid(Options(seeds=(0, 1), algorithms=chosen))
    assert some == [config for config in every if config.algorithm in chosen]
    assert 0 < len(some) < len(every)
    density = min(config.density for config in every)
    some = TABLES[name].grid(Options(seeds=(0, 1), densities=(density,)))
    assert some == [config for config in every if config.density in (1.0, density)]


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("multvae-ml1m", Options("long"), "`budget` must be one of short, full; received 'long'."),
        (
            "neumf-ml1m",
            Options(algorithms=("dls",)),
            "`algorithms` must be some of dense, spectral, dsl, rigl.*; received dls",
        ),
        (
            "neumf-ml1m",
            Options(algorithms=()),
            "`algorithms` must be some of dense, spectral, .* none",
        ),
        (
            "neumf-ml1m",
            Options(densities=(0.2, 0.25)),
            "`densities` must be some of 0.8, 0.5, 0.3, 0.2, 0.1, 0.05; received 0.25",
        ),
        ("neumf", Options(), "`table` must be one of multvae-synthetic"),
    ],
)
def test_what_a_table_has_not_is_refused_before_anything_is_written(tmp_path, name, options, line):
    with pytest.raises(ValueError, match=line):
        make_table(name, options, tmp_path, None)
    assert not list(tmp_path.iterdir())
