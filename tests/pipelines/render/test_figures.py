from made_results import result

from pipelines.fold_in import BY_SEED
from pipelines.render import figures


def test_one_machine_and_commit_are_named_once():
    assert figures.made_with([result(), result()]) == (
        "TensorFlow 2.21.0, Keras 3.15.1, Python 3.11.7, on one (2 cores), commit aaaaaaaaaa"
    )


def test_every_commit_is_named_with_its_runs():
    runs = [result(), result("b" * 40 + "-modified"), result(), result("unknown")]
    text = figures.made_with(runs)
    assert text.endswith("commit aaaaaaaaaa (2), bbbbbbbbbb-modified (1), unknown (1)")


def test_every_machine_and_version_is_named():
    text = figures.made_with([result(), result(gpus=["H200"]), result(keras="3.15.2")])
    cpu, gpu, newer = text.split("; ")
    assert cpu.endswith("Keras 3.15.1, Python 3.11.7, on one (2 cores), commit aaaaaaaaaa (1)")
    assert gpu.endswith("Keras 3.15.1, Python 3.11.7, on H200 (2 cores), commit aaaaaaaaaa (1)")
    assert newer.endswith("Keras 3.15.2, Python 3.11.7, on one (2 cores), commit aaaaaaaaaa (1)")


def test_runs_that_differ_in_their_seed_are_one_row_in_whatever_order_they_were_written():
    one = {"seed": 0, "settings": {"width": 8, "layers": 1}, "density": 0.5}
    other = {"density": 0.5, "settings": {"layers": 1, "width": 8}, "seed": 1}
    wider = {"density": 0.5, "settings": {"layers": 1, "width": 9}, "seed": 1}
    runs = [{"config": config} for config in (one, wider, other)]
    assert figures.group(runs) == [[runs[0], runs[2]], [runs[1]]]


def test_what_seeds_leave_out_is_said_of_runs_that_know_it():
    config = {"data": "ml-1m"}
    runs = [{"config": config, "test": {"ndcg@20": 0.3}}]
    assert figures.over_users(runs, "ndcg@20") == ""
    errors = (0.01, 0.03, 0.02, float("nan"))  # not a number: of one user
    runs += [{"config": config, "test": {"ndcg@20": 0.3, "ndcg@20_se": error}} for error in errors]
    text = figures.over_users(runs, "ndcg@20")
    assert "a standard error of 0.0200 (the median of 3 runs)" in text
    assert "leaves it out" in text
    of_others = [run | {"config": {"data": f"ml-1m{BY_SEED}"}} for run in runs]
    assert "has it too" in figures.over_users(of_others, "ndcg@20")
