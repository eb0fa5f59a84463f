"""What the runs of a table cost: time, memory, FLOPs, bytes."""

from collections.abc import Sequence
from typing import Any

from pipelines.render import figures
from pipelines.render.sheet import Sheet
from pipelines.tables.base import Table

PICTURE = None
_HEAD = (
    *("algorithm", "density", "ms a step", "of dense", "peak MB", "of dense"),
    *("M FLOPs a step, theoretical", "realised", "M FLOPs a user, theoretical", "realised"),
    *("packed MB", "of dense"),
)


def sheet(table: Table, results: Sequence[dict[str, Any]]) -> Sheet | None:
    """Returns a row a configuration that was measured; None where none was."""
    measured = [run for run in results if "costs" in run]
    if not measured:
        return None
    dense = next((run["costs"] for run in measured if run["config"]["density"] == 1.0), None)
    page = Sheet(f"{table.title}: what it costs", _HEAD, notes=_notes(measured))
    for runs in figures.group(measured):
        config, costs = runs[0]["config"], runs[0]["costs"]
        ms, peak, packed = (costs[name] for name in ("step_ms", "peak_bytes", "packed_bytes"))
        flops = [
            f"{costs[of][kind] / 1e6:,.2f}"
            for of in ("training_flops", "ranking_flops")
            for kind in ("theoretical", "realised")
        ]
        page.add(
            [
                *(config["algorithm"], f"{config['density']:g}"),
                *(f"{ms:.3g}", _share(ms, dense, "step_ms")),
                *(f"{peak / 1e6:,.0f}", _share(peak, dense, "peak_bytes")),
                *flops,
                *(f"{packed / 1e6:,.2f}", _share(packed, dense, "packed_bytes")),
            ],
            runs,
        )
    return page


def _notes(measured: Sequence[dict[str, Any]]) -> str:
    costs = [run["costs"] for run in measured]
    gpu = bool(costs[0]["environment"]["gpus"])
    memory = (
        "what TensorFlow has allocated on the GPU at most"
        if gpu
        else "what the process has grown by at most, compiling included"
    )
    return (
        "Each configuration in a process of its own, steps as in training, mask updates among "
        "them, while nothing else is measured, though on a GPU others may compile. "
        f"Peak is {memory}. FLOPs are of matrix products and "
        "of propagation, of a training step and of ranking all items for a user; theoretical are "
        "an engine's that skips every zero, mean over training; realised are those of the program "
        "that XLA makes, of a propagation of the rows it reads. Packed is what the weights take in "
        f"an export.\n\nMade with {figures.made_with(costs)}."
    )


def _share(value: float, dense: dict[str, Any] | None, name: str) -> str:
    return f"{value / dense[name]:.3f}" if dense else ""
