"""The Criteo reader's rows a second beside those of a plain tf.data CSV reader, in one run.

    python -m benchmarks.criteo_reader

Writes a temporary file of synthetic rows in the data's format and times, several times in turn,
what a training run does with it: (a) the text parsed into the cache, (b) batches of 4096 from the
cache, in order and shuffled, (c) batches of 4096 from the text by TextLineDataset,
`tf.io.decode_csv` on whole batches, `tf.strings.to_hash_bucket_fast` and the log transform, on its
first lines (what it does depends on no line before). Ratios are of the medians. Each is limited to
the cores given.
"""

import json
import os
import pathlib
import statistics
import tempfile
import time
from unittest import mock

import numpy as np
import tensorflow as tf
from absl import app, flags

from data import catalog
from pipelines import criteo, criteo_text, environment

_BATCH, _TABLE_ROWS = 4096, 100_000
_ROWS = flags.DEFINE_integer("rows", 500_000, "Rows in the file.", lower_bound=7 * _BATCH)
_PLAIN_ROWS = flags.DEFINE_integer("plain_rows", 100_000, "Rows that the plain reader reads.")
_TURNS = flags.DEFINE_integer("turns", 3, "How often each is timed.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "JSON file for the figures.")
_CORES = flags.DEFINE_integer("cores", 2, "Cores that everything runs on.", lower_bound=1)
_DRAWN = 50_000  # rows drawn; the file has them again and again


def _text(n_rows: int) -> bytes:
    """Returns lines with counts and values as skewed as clicks have them, a fifth missing."""
    rng = np.random.default_rng(0)
    numbers = (
        np.minimum(rng.pareto(0.6, (_DRAWN, criteo_text.N_DENSE)) * 3, 2e7).astype(np.int64) - 1
    )
    skewed = np.minimum(rng.pareto(0.4, (_DRAWN, criteo_text.N_FIELDS)) * 20, 1e9).astype(np.int64)
    values = skewed * 2_654_435_761 % 2**32
    kept = rng.random((_DRAWN, criteo_text.N_DENSE + criteo_text.N_FIELDS)) < 0.8
    lines = []
    for row in range(_DRAWN):
        fields = [*map(str, numbers[row]), *map("{:08x}".format, values[row].tolist())]
        shown = [field if keep else "" for field, keep in zip(fields, kept[row], strict=True)]
        lines.append("\t".join(["01"[row % 4 == 0], *shown]))
    lines = (lines * (n_rows // _DRAWN + 1))[:n_rows]
    return "\n".join([*lines, ""]).encode()


def _plain(path: pathlib.Path, n_rows: int) -> tf.data.Dataset:
    """The reader that a user of tf.data would write."""
    defaults = [[0.0]] * (1 + criteo_text.N_DENSE) + [[""]] * criteo_text.N_FIELDS

    def parse(lines: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        columns = tf.io.decode_csv(lines, defaults, field_delim="\t", use_quote_delim=False)
        dense = tf.math.log1p(tf.maximum(tf.stack(columns[1 : 1 + criteo_text.N_DENSE], 1), 0.0))
        texts = tf.stack(columns[1 + criteo_text.N_DENSE :], 1)
        ids = 1 + tf.strings.to_hash_bucket_fast(texts, _TABLE_ROWS - 1)
        ids = tf.where(texts == "", 0, tf.cast(ids, tf.int32))
        return (dense, ids), columns[0][:, None]

    lines = tf.data.TextLineDataset(str(path)).take(n_rows).batch(_BATCH, drop_remainder=True)
    return lines.map(parse, num_parallel_calls=_CORES.value).prefetch(4)


def _rate(batches: tf.data.Dataset) -> float:
    """Returns rows a second, from the first batch asked for to the last one had."""
    started, n_batches = time.perf_counter(), 0
    for _ in batches:
        n_batches += 1
    return n_batches * _BATCH / (time.perf_counter() - started)


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    cores = sorted(os.sched_getaffinity(0))[: _CORES.value]
    os.sched_setaffinity(0, cores)
    tf.config.threading.set_inter_op_parallelism_threads(len(cores))
    tf.config.threading.set_intra_op_parallelism_threads(len(cores))
    made = environment.describe()
    packages = ", ".join(f"{name} {version}" for name, version in made["packages"].items())
    print(f"{made['processor']}, {len(cores)} of {made['cores']} cores; {packages}", flush=True)
    n_rows = _ROWS.value
    entry = catalog.dataclasses.replace(catalog.get(criteo.NAME), counts={"rows": n_rows})
    rates: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(catalog.CATALOG, {criteo.NAME: entry}),
    ):
        path = pathlib.Path(folder) / criteo.NAME / criteo.FILE
        path.parent.mkdir()
        path.write_bytes(_text(n_rows))
        for turn in range(_TURNS.value):
            for vocabulary in criteo.VOCABULARIES:
                started = time.perf_counter()
                data = criteo.load(
                    folder, pathlib.Path(folder) / str(turn), vocabulary, _TABLE_ROWS
                )
                seconds = time.perf_counter() - started
                rates.setdefault(f"text to cache, {vocabulary}", []).append(n_rows / seconds)
            train = data.split().train
            steps = len(train) // _BATCH
            for name, batches in (
                ("cache in order", train.batches(_BATCH, steps=steps)),
                ("cache shuffled", train.batches(_BATCH, seed=0, steps=steps)),
                ("plain tf.data", _plain(path, min(n_rows, _PLAIN_ROWS.value))),
            ):
                rates.setdefault(name, []).append(_rate(batches))
    plain = statistics.median(rates["plain tf.data"])
    for name, values in rates.items():
        middle = statistics.median(values)
        print(
            f"{name}: {middle:,.0f} rows a second ({min(values):,.0f} to {max(values):,.0f}), "
            f"{middle / plain:.1f} times the plain reader's"
        )
    if _OUT.value:
        content = {"rows": n_rows, "cores": len(cores), "rows_a_second": rates, "environment": made}
        pathlib.Path(_OUT.value).write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
