"""What runs cost, measured on small ones."""

import pytest

from pipelines.config import RunConfig
from pipelines.costs import measure
from pipelines.costs.hlo import mlp_flops
from pipelines.finished import Finished
from pipelines.tasks import TASKS

MULTVAE = RunConfig("synthetic", "multvae", "dense", 1.0, epochs=2, batch_size=50)
PRUNED = RunConfig(
    "synthetic", "lightgcn", "gradual", 0.1, epochs=3, batch_size=512, update_interval=8
)


def test_a_configuration_is_measured_in_a_process_and_then_known(tmp_path, capsys):
    of = Finished(tmp_path)
    assert of.costs(MULTVAE) is None
    measure.measure_grid([MULTVAE], of.runs, None)
    found = of.costs(MULTVAE)
    assert found["config"] == MULTVAE.to_dict()
    assert found["step_ms"] > 0
    assert len(found["turns_ms"]) == 3
    # More than weights and both moments.
    assert found["peak_bytes"] > 3 * found["packed_bytes"] > 3 * 4 * 1_320_000
    # 800 items, 600 hidden, 200 latent: mean and variance.
    by_hand = mlp_flops((800, 600, 400), 50, True) + mlp_flops((200, 600, 800), 50, True)
    assert found["training_flops"]["theoretical"] == by_hand
    # The gradient of the inputs, which nobody needs, is not computed.
    assert 0.8 < found["training_flops"]["realised"] / by_hand < 1
    assert found["ranking_flops"]["theoretical"] == by_hand / 50 / 3
    assert found["ranking_flops"]["realised"] == pytest.approx(by_hand / 50 / 3)
    said = capsys.readouterr().err
    measure.measure_grid([], of.runs, None)
    assert f"[1/1] {MULTVAE.key}: " in said
    assert not capsys.readouterr().err


def test_a_pruned_models_export_is_of_its_last_density():
    model = TASKS["lightgcn"](PRUNED, None).build_model()
    assert 0.1 < measure.packed_bytes(PRUNED, None, model) / (2_300 * 64 * 4) < 0.14


@pytest.mark.slow
def test_a_graph_is_measured_as_it_is_padded():
    found = measure.measure(PRUNED, None)
    assert 0.1 < found["packed_bytes"] / (2_300 * 64 * 4) < 0.14
    # Padding is read, and the scores of a training step are no product of matrices.
    assert found["training_flops"]["realised"] > found["training_flops"]["theoretical"]


def test_what_is_not_trained_by_epochs_is_refused():
    config = RunConfig("criteo-like", "dlrm", "dense", 1.0, settings={"rows_per_day": 2000})
    with pytest.raises(ValueError, match="trained by epochs; not of dlrm"):
        measure.measure(config, None)
