"""What the models of the tables are judged by."""

import pytest

from pipelines.config import RunConfig
from pipelines.tasks import TASKS

SETTINGS = {
    "multvae": {"anneal_steps": 10},
    "lightgcn": {"width": 4, "layers": 1},
    "neumf": {"factors": 2, "mlp_factors": 2, "negatives": 1},
}


@pytest.mark.parametrize("model", SETTINGS)
def test_the_test_part_alone_has_standard_errors_of_all_its_metrics(model):
    config = RunConfig("synthetic", model, "dense", 1.0, epochs=1, settings=SETTINGS[model])
    task = TASKS[model](config, None)
    evaluate = task.evaluator(task.build_model())
    validation, test = evaluate("validation"), evaluate("test")
    means = [name for name in test if not name.endswith("_se")]
    assert validation.keys() <= set(means)
    assert test.keys() == {*means, *(f"{name}_se" for name in means)}
    assert all(0 < test[f"{name}_se"] < 0.5 for name in means)
