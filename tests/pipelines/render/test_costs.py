"""What runs cost, from made-up measurements."""

from made_results import result

from pipelines.render import costs
from pipelines.tables import TABLES, Options

TABLE = TABLES["multvae-ml1m"]


def results():
    made = []
    for config in TABLE.grid(Options(algorithms=("dense", "dsl"), seeds=(0, 1))):
        run = result() | {"config": config.to_dict()}
        if config.seed == 0 and config.density in (1.0, 0.1):
            share = config.density
            run["costs"] = result(gpus=["a GPU"]) | {
                "step_ms": 0.8 if share == 1.0 else 1.2,
                "peak_bytes": 2e8,
                "training_flops": {"theoretical": 3e9 * share, "realised": 3e9},
                "ranking_flops": {"theoretical": 1e7 * share, "realised": 1e7},
                "packed_bytes": round(18e6 * share),
            }
        made.append(run)
    return made


def test_a_row_stands_beside_dense():
    sheet = costs.sheet(TABLE, results())
    assert [" ".join(row) for row in sheet.rows] == [
        "dense 1 0.8 1.000 200 1.000 3,000.00 3,000.00 10.00 10.00 18.00 1.000",
        "dsl 0.1 1.2 1.500 200 1.000 300.00 3,000.00 1.00 10.00 1.80 0.100",
    ]
    assert "allocated on the GPU" in sheet.notes
    assert "on a GPU (2 cores)" in sheet.notes


def test_without_measurements_there_is_no_sheet_and_without_dense_no_share():
    made = results()
    dsl_only = [run for run in made if run["config"]["algorithm"] == "dsl"]
    assert costs.sheet(TABLE, dsl_only).rows[0][3] == ""
    for run in made:
        run.pop("costs", None)
    assert costs.sheet(TABLE, made) is None
