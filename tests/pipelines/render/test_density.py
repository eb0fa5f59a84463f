import pytest
from made_results import result

from pipelines.render import density
from pipelines.tables import TABLES, Options


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
            "validation": dict.fromkeys(table.metrics, 0.3),
            "report": {"density": 0.5, "parameters": 7},
            "best_epoch": 3,
            "seconds": 1.0,
            "steps": 10,
        }
        for config in table.grid(Options(protocol=protocol, quirks=quirks))
    ]
    sheet = density.sheet(table, results)
    assert text in sheet.markdown()
    name = f"validation {table.metrics[0]}"
    if "test_selection" in quirks:  # theirs is the test part itself
        assert name not in sheet.head
    else:
        assert {cells[sheet.head.index(name)] for cells in sheet.rows} == {"0.3000"}
