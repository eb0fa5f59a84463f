"""FLOPs of a whole run, by hand."""

import click_days
import pytest

from pipelines.config import RunConfig
from pipelines.costs import hlo, stages
from pipelines.tasks import TASKS, dlrm

B = 16
WIDTHS = {
    1.0: ((3, 8, 4), (7, 10, 6, 1)),
    0.5: ((3, 4, 4), (7, 5, 3, 1)),
}


def by_hand(keep):
    """A step's FLOPs: realised, without the gradient of the inputs, and theoretical."""
    bottom, top = WIDTHS[keep]
    realised = hlo.mlp_flops(bottom, B, False) + hlo.mlp_flops(top, B, True)
    return realised, hlo.mlp_flops(bottom, B, True) + hlo.mlp_flops(top, B, True)


@pytest.mark.parametrize(
    ("algorithm", "keep", "pruned"),
    [
        ("dense", 1.0, (0, 0)),
        ("narrow", 0.5, (0, 0)),
        ("prune_once", 0.5, (18, 8)),  # from step 18 of 36 on
        ("amgp", 0.5, (23, 0)),  # 3 cycles of 10 or 11 steps, 7 or 8 of each; then full
    ],
)
def test_a_run_costs_what_its_steps_do(monkeypatch, algorithm, keep, pruned):
    monkeypatch.setitem(dlrm.DATA, "tiny", lambda *_: click_days.data())
    dlrm._load.cache_clear()
    config = RunConfig(
        "tiny", "dlrm", algorithm, keep, epochs=3, batch_size=B, settings=click_days.SETTINGS
    )
    task = TASKS["dlrm"](config, None)
    model = task.build_model()
    batch = next(iter(task.data.days[0].batches(B, steps=1)))
    before = [bool(mlp.is_pruned.numpy()) for mlp in (model.bottom_mlp, model.top_mlp)]
    found = stages.training_flops(model, batch, 36, 44)
    assert before == [bool(mlp.is_pruned.numpy()) for mlp in (model.bottom_mlp, model.top_mlp)]
    full, small = by_hand(0.5 if algorithm == "narrow" else 1.0), by_hand(0.5)
    if algorithm == "amgp":
        assert pruned[0] == model.optimizer.algorithm.updates.pruned_steps(36)
    for place, kind in enumerate(("realised", "theoretical")):
        for n, n_pruned, stage in zip((36, 8), pruned, ("offline", "recurring"), strict=True):
            expected = n_pruned * small[place] + (n - n_pruned) * full[place]
            # XLA makes sums of the smallest products, and may compute a gradient for nothing.
            close = {"rel": 0.1} if kind == "realised" else {"abs": 0}
            assert found[kind][stage] == pytest.approx(expected, **close), (kind, stage)
