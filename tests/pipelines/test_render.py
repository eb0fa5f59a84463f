import pytest

from pipelines import render
from pipelines.tables import TABLES, Options


def result(commit="a" * 40, processor="one", gpus=(), keras="3.15.1"):
    packages = {"tensorflow": "2.21.0", "keras": keras}
    made = {"packages": packages, "python": "3.11.7", "gpus": list(gpus), "cores": 2}
    return {"environment": made | {"processor": processor, "commit": commit}}


def test_one_machine_and_commit_are_named_once():
    assert render.made_with([result(), result()]) == (
        "TensorFlow 2.21.0, Keras 3.15.1, Python 3.11.7, on one (2 cores), commit aaaaaaaaaa"
    )


def test_every_commit_is_named_with_its_runs():
    runs = [result(), result("b" * 40 + "-modified"), result(), result("unknown")]
    text = render.made_with(runs)
    assert text.endswith("commit aaaaaaaaaa (2), bbbbbbbbbb-modified (1), unknown (1)")


def test_every_machine_and_version_is_named():
    text = render.made_with([result(), result(gpus=["H200"]), result(keras="3.15.2")])
    cpu, gpu, newer = text.split("; ")
    assert cpu.endswith("Keras 3.15.1, Python 3.11.7, on one (2 cores), commit aaaaaaaaaa (1)")
    assert gpu.endswith("Keras 3.15.1, Python 3.11.7, on H200 (2 cores), commit aaaaaaaaaa (1)")
    assert newer.endswith("Keras 3.15.2, Python 3.11.7, on one (2 cores), commit aaaaaaaaaa (1)")


def test_runs_that_differ_in_their_seed_are_one_row_in_whatever_order_they_were_written():
    one = {"seed": 0, "settings": {"width": 8, "layers": 1}, "density": 0.5}
    other = {"density": 0.5, "settings": {"layers": 1, "width": 8}, "seed": 1}
    wider = {"density": 0.5, "settings": {"layers": 1, "width": 9}, "seed": 1}
    runs = [{"config": config} for config in (one, wider, other)]
    assert render.group(runs) == [[runs[0], runs[2]], [runs[1]]]


@pytest.mark.parametrize(
    ("protocol", "quirks", "text"),
    [
        ("clean", (), "(quirks: none). Test part, at the epoch that is best on the validation"),
        ("published", ("test_selection",), "Test part, at the epoch that is best on itself."),
        ("published", ("bernoulli",), "Test part, at the epoch that is best on the validation"),
    ],
)
def test_a_table_says_on_what_the_epoch_was_chosen(protocol, quirks, text):
    table = TABLES["lightgcn-gowalla"]
    results = [
        result()
        | {
            "config": config.to_dict(),
            "test": dict.fromkeys(table.metrics, 0.1),
            "report": {"density": 0.5, "parameters": 7},
            "best_epoch": 3,
            "seconds": 1.0,
            "steps": 10,
        }
        for config in table.grid(Options(protocol=protocol, quirks=quirks))
    ]
    assert text in render.markdown(table, results)
