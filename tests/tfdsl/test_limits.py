"""Every argument of every public constructor, at its limits and past them."""

import inspect
import pathlib

import keras
import numpy as np
import pytest
from scipy import sparse

import tfdsl
from tfdsl import algorithms, callbacks, initial, layers, models, schedules

NAN, INF = float("nan"), float("inf")
NO_COUNTS = [0, -1, 1.5, 2.0, True, "3", None, NAN, [1]]
NO_SEEDS = [-1, 2**31, 1.5, True, "3", None]
NO_SHARES = [0, 0.0, -0.1, 1.0000001, NAN, INF, -INF, "0.5", True, None, [0.5]]
USERS = ([None, 1e-9, 0.5], [value for value in [*NO_SHARES, 1, 1.0] if value is not None])
NO_NAMES = ["", "nonsense", None, 3, ["uniform"]]
NO_FLAGS = [0, 1, "yes", None]
SEEDS = ([0, 2**31 - 1, np.int64(3)], NO_SEEDS)
COUNTS = ([1, np.int32(2), 3], NO_COUNTS)
FLAGS = ([True, False, np.True_], NO_FLAGS)
GRAPH = sparse.csr_array(np.float32([[1, 0, 1], [0, 1, 1]]))


def names(*known):
    return [*known], NO_NAMES


def optional(counts):
    good, bad = counts
    return [None, *good], [value for value in bad if value is not None]


def numbers(good, *bad):
    return good, [*bad, NAN, INF, "0.5", True, None]


OF_ALGORITHMS = {
    "density": ([1e-9, 1, 1.0, np.float32(0.5), schedules.Constant(0.5)], NO_SHARES),
    "distribution": names("uniform", "erk", "global"),
    "granularity": names("entry", "row", "embedding_row"),
    "init": (["exact", "bernoulli", "magnitude", initial.Spectral()], NO_NAMES),
    "first_values": names("keep", "rescale"),
    "optimizer_state": names("keep", "mask", "reset"),
    "seed": SEEDS,
}
OF_DYNAMIC = OF_ALGORITHMS | {
    "update_interval": COUNTS,
    "total_steps": ([1, 100, np.int64(10**12)], [v for v in NO_COUNTS if v is not None]),
    "update_ratio": ([1e-9, 1.0, schedules.Linear(1.0, 0.0, end=5)], NO_SHARES),
    "update_end": ([None, 100, 10**9], [v for v in [*NO_COUNTS, 99] if v is not None]),
    "drop": names("magnitude", "taylor"),
    "grow": names("gradient", "accumulated_gradient", "momentum", "random", "random_unfired"),
    "candidates": ([None], [v for v in [*NO_COUNTS, 3] if v is not None]),  # rows have them alone
}
# A density is of a packed table, which tests/tfdsl/layers/test_packed_table.py looks at.
OF_TABLES = {
    "storage": (["dense"], [*NO_NAMES, "packed"]),  # which needs a density
    "density": ([None], [v for v in NO_SHARES if v is not None]),
    "candidates": COUNTS,
}
OF_NEURONS = {
    "keep": ([1e-9, 1.0], NO_SHARES),
    "importance": names("magnitude", "taylor"),
    "seed": SEEDS,
}
OF_RAMPS = {
    "initial": numbers([-1.0, 0, 1]),
    "final": numbers([-1.0, 0, 1]),
    "end": ([4, 10**9], [*NO_COUNTS, 3, 2]),  # it begins at 3
    "begin": ([0, 1], [-1, 1.5, True, "3", None, 10]),  # it ends at 10
}
RAMP = {"initial": 1.0, "final": 0.5, "end": 10, "begin": 3}

# What makes one, and of each argument what fits and what does not.
LIMITS = {
    algorithms.DSL: ({"density": 0.5, "total_steps": 10}, OF_DYNAMIC),
    algorithms.SET: ({"density": 0.5}, OF_DYNAMIC),
    algorithms.RigL: (
        {"density": 0.5, "total_steps": 1000, "optimizer_state": "keep"},
        OF_DYNAMIC
        | {
            "update_interval": ([1, np.int64(750)], [*NO_COUNTS, 751]),
            "total_steps": (
                [134, np.int64(10**12)],
                [v for v in [*NO_COUNTS, 133] if v is not None],
            ),
        },
    ),
    algorithms.DynamicSparse: ({"density": 0.5}, OF_DYNAMIC),
    algorithms.SpectralDSL: (
        {"density": 0.5, "interactions": GRAPH, "total_steps": 1000},
        # Its rows are given up where "global" or a named init comes alone.
        OF_DYNAMIC
        | {
            "interactions": ([GRAPH], [3, "train", GRAPH.toarray(), GRAPH.tocoo(), None]),
            "init": ([None], ["exact", initial.Spectral()]),  # beside interactions
            "users": USERS,
            "density": ([1e-9, 1, 1.0], [*NO_SHARES, schedules.Linear(0.1, 0.5, end=9)]),
            "distribution": (["uniform", "erk"], [*NO_NAMES, "global"]),
            "granularity": (
                ["row", "embedding_row"],
                [*NO_NAMES, "entry"],
            ),  # which has no candidates
            "candidates": ([None, 1, 3], [v for v in NO_COUNTS if v is not None]),
            "update_interval": optional(COUNTS),
            "update_end": ([None, "auto", 100], [v for v in [*NO_COUNTS, 4] if v is not None]),
        },
    ),
    algorithms.StaticSparse: ({"density": 0.5}, OF_ALGORITHMS),
    algorithms.GradualMagnitude: (
        {"density": 0.5, "total_steps": 1000, "update_interval": 10},
        OF_ALGORITHMS
        | {
            "update_interval": COUNTS,
            "total_steps": ([100, 10**9], [v for v in NO_COUNTS if v is not None]),
            "begin": ([0, 5], [-1, 1.5, True, "3", None]),
            "end": ([None, 50, 1000], [v for v in [*NO_COUNTS, 1010] if v is not None]),
        },
    ),
    algorithms.OneShotMagnitude: (
        {"density": 0.5, "prune_step": 3},
        OF_ALGORITHMS | {"prune_step": COUNTS, "density": ([1e-9, 1.0], NO_SHARES)},
    ),
    initial.Spectral: (
        {"interactions": GRAPH},
        {
            "interactions": ([None, GRAPH], [3, "train", GRAPH.toarray(), GRAPH.tocoo()]),
            "rows": ([None, {}, {"a": "items"}], [3, "items", ["items"], {"a": "words"}, {"a": 3}]),
            "rotation": names("varimax", "none"),
            "users": USERS,
            "seed": SEEDS,
            "cache": ([None, ".", pathlib.Path(".")], [0, True, b".", ["."], "", "a\0b"]),
        },
    ),
    algorithms.StructuredPruning: (
        {"keep": 0.5, "prune_step": 3},
        OF_NEURONS | {"prune_step": ([0, 1, 10**9], [v for v in NO_COUNTS if v != 0 or v is True])},
    ),
    algorithms.AlternateGrowthPruning: (
        {"keep": 0.5, "total_steps": 1000},
        OF_NEURONS
        | {
            "total_steps": ([100, 10**9], [*NO_COUNTS, 1]),
            "cycles": ([1, 10], [*NO_COUNTS, 10**4]),
            "pruned_share": numbers([0.01, 0.99], 0.0, 1.0, -0.1),
            "final_share": numbers([0.0, 0.9], 1.0, -0.1),
            "grow": names("restore", "fresh"),
            "optimizer_state": names("keep", "reset"),
        },
    ),
    schedules.Constant: ({"value": 0.5}, {"value": numbers([0, 1.0, -1e300])}),
    schedules.Linear: (RAMP, OF_RAMPS),
    schedules.Cosine: (RAMP, OF_RAMPS),
    schedules.Cubic: (RAMP, OF_RAMPS),
    schedules.Polynomial: (RAMP, OF_RAMPS | {"power": numbers([1e-3, 3, 100.0], 0.0, -1.0)}),
    schedules.UpdateSchedule: (
        {"interval": 3, "begin": 2, "end": 9},
        {
            "interval": COUNTS,
            "begin": ([0, 9], [-1, 1.5, True, "3", None, 10]),
            "end": ([None, 2], [0, -1, 1.5, True, "3", 1]),
        },
    ),
    layers.PrunableMLP: (
        {"units": (3, 1)},
        {
            "units": ([(1,), [4, 2], np.array([3, 1])], [(), (0,), (2.0, 1), 3, "31", None]),
            "activations": ([None, "relu", ["relu", None]], [["relu"], "nonsense", []]),
            "kernel_initializer": (["zeros"], ["nonsense"]),
            "bias_initializer": (["ones"], ["nonsense"]),
        },
    ),
    layers.Propagation: (
        {"indptr": [0, 1, 2], "columns": [1, 0]},
        {
            "indptr": ([[0, 1, 2]], [[0, 1, 3], [1, 1, 2], [0, 2, 1], [0], []]),
            "columns": ([[1, 0]], [[1, 2], [-1, 0], [1]]),
            "gather": names("float32", "bfloat16"),
            "widths": ([(1, 2), (8,)], [(), (0, 2), (2, 1), "ab", 3, (1.5, 2), None]),
        },
    ),
    layers.SparseDense: (
        {"units": 2},
        {"units": ([1, 3], NO_COUNTS), "sparse_bias": FLAGS},
    ),
    layers.SparseEmbedding: (
        {"input_dim": 3, "output_dim": 2},
        {
            "input_dim": ([1, 3], NO_COUNTS),
            "output_dim": ([1, 3], NO_COUNTS),
            "weights": ([None, np.ones((3, 2), "f4")], [np.ones((2, 2), "f4")]),
            **OF_TABLES,
        },
    ),
    models.MultVAE: (
        {"n_items": 5, "hidden": 3, "latent": 2},
        {
            "n_items": COUNTS,
            "hidden": COUNTS,
            "latent": COUNTS,
            "dropout": numbers([0, 0.99], 1.0, -0.1),
            "beta": numbers([0, 10.0], -0.1),
            "anneal_steps": COUNTS,
            "sparse_bias": FLAGS,
            "seed": SEEDS,
        },
    ),
    models.LightGCN: (
        {"interactions": GRAPH, "width": 2},
        {
            "interactions": (
                [GRAPH, sparse.csr_array((1, 1), dtype="f4")],
                [GRAPH.tocsc(), GRAPH.toarray(), "graph", None],
            ),
            "shape": ([None, GRAPH.shape], [(9, 9), 5, (1, 2, 3), "ab"]),
            "width": COUNTS,
            "layers": ([0, 1, 4], [-1, 1.5, True, "3", None]),
            "regularization": numbers([0, 1.0], -1e-9),
            "gather": names("float32", "bfloat16"),
            "users": USERS,
            "seed": SEEDS,
            **OF_TABLES,
        },
    ),
    models.NeuMF: (
        {"n_users": 3, "n_items": 4, "factors": 2, "mlp_factors": 2, "hidden": (3, 2)},
        {
            "n_users": COUNTS,
            "n_items": COUNTS,
            "factors": COUNTS,
            "mlp_factors": COUNTS,
            "hidden": ([(), (1,), [3]], [(0,), (2.0,), 3, "32", None]),
            "dropout": numbers([0, 0.99], 1.0, -0.1),
            "regularization": numbers([0, 1.0], -1e-9),
            "sparse": ([(), ("gmf", "mlp"), ["mlp"]], ["mlp", ("nonsense",), (3,), None]),
            "seed": SEEDS,
            **OF_TABLES,
        },
    ),
    models.DLRM: (
        {"table_rows": (3, 4), "n_dense": 2, "width": 2, "bottom": (3,), "top": (3,)},
        {
            "table_rows": ([(1,), [2, 10**4]], [(), (0,), (2.5,), 3, "34", None]),
            "n_dense": COUNTS,
            "width": COUNTS,
            "bottom": ([(), (1,), [3, 2]], [(0,), (2.0,), 3, "32", None]),
            "top": ([(), (1,), [3, 2]], [(0,), (2.0,), 3, "32", None]),
            "max_rows": optional(COUNTS),
            "sparse_tables": FLAGS,
            "seed": SEEDS,
        },
    ),
    models.MultinomialLikelihood: ({}, {}),
    models.BPRLoss: ({}, {}),
    callbacks.SparsityLogger: (
        {"log_dir": "logs"},
        {"log_dir": (["logs"], [None, 3, b"logs", "", []]), "every": COUNTS},
    ),
    tfdsl.SparseOptimizer: (
        {"inner_optimizer": "adam", "algorithm": algorithms.StaticSparse(0.5)},
        {
            "inner_optimizer": (["sgd"], [None, "nonsense", 3]),
            "algorithm": ([algorithms.SET(0.5)], [None, "dsl", 0.5, algorithms.DSL]),
        },
    ),
}
# Bases, which are not made by themselves, and what `add_mask` makes.
NOT_MADE = {
    algorithms.Algorithm,
    algorithms.NeuronPruning,
    algorithms.WeightState,
    layers.Masked,
    models.RankingModel,
    schedules.Schedule,
    schedules.Serializable,
    tfdsl.export.ExportReport,
}


def _cases(which):
    return [
        # Numbered, since what some look like is another in every process.
        pytest.param(made, argument, value, id=f"{made.__name__}-{argument}-{place}")
        for made, (_, arguments) in LIMITS.items()
        for argument, values in arguments.items()
        for place, value in enumerate(values[which])
    ]


def _make(made, argument, value):
    base, _ = LIMITS[made]
    made = made(**base | {argument: value})
    if isinstance(made, keras.layers.Layer) and not made.built:
        made.build((None, 3))
    return made


@pytest.mark.parametrize(("made", "argument", "value"), _cases(0))
def test_what_fits_is_taken_and_written_down(made, argument, value):
    one = _make(made, argument, value)
    if hasattr(one, "get_config") and made is not models.LightGCN:
        again = type(one).from_config(one.get_config())
        assert again.get_config() == one.get_config()


@pytest.mark.parametrize(("made", "argument", "value"), _cases(1))
def test_what_does_not_fit_is_refused_by_its_name_and_value(made, argument, value):
    with pytest.raises(ValueError) as error:
        _make(made, argument, value)
    message = str(error.value)
    assert "\n" not in message
    shown = value if isinstance(value, list | tuple) and len(value) == 1 else [value]
    assert any(str(part) in message for part in [value, *shown]) or "eceived" in message


def _public():
    rooms = (tfdsl, algorithms, callbacks, layers, models, schedules, tfdsl.export)
    every = [value for room in rooms for name, value in vars(room).items() if name[0] != "_"]
    return {c for c in every if inspect.isclass(c) and c.__module__.startswith("tfdsl")}


def test_every_public_constructor_is_looked_at():
    assert _public() == set(LIMITS) | NOT_MADE


@pytest.mark.parametrize("made", LIMITS, ids=lambda made: made.__name__)
def test_every_argument_is_looked_at(made):
    arguments = set()
    for base in made.__mro__:  # what **kwargs passes on to one of ours
        own = base.__dict__.get("__init__")
        if own is None or not base.__module__.startswith("tfdsl"):
            continue
        parameters = inspect.signature(own).parameters.values()
        arguments |= {
            p.name for p in parameters if p.kind.name not in ("VAR_POSITIONAL", "VAR_KEYWORD")
        }
    assert arguments - {"self", "name"} <= set(LIMITS[made][1])
