"""P1, P2, P3, P5 over drawn weights, algorithms, optimizers, gradients: special values, ties."""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing

import keras
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from properties import examples, hold

import tfdsl
from tfdsl import distributions, schedules
from tfdsl.layers import SparseDense, SparseEmbedding, mask_of

STEPS = 8
A_PROCESS = 25  # cases
# Few values, so that ties are the rule: zeros, subnormals, what overflows when it is squared.
FINITE = [0.0, -0.0, 0.0, 1e-45, -1e-40, 1e-3, 0.5, 0.5, -1.0, 2.0, -3e4]
INNERS = {
    "sgd": keras.optimizers.SGD,
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": keras.optimizers.Adam,
    "adagrad": keras.optimizers.Adagrad,
    "adamw": lambda: keras.optimizers.AdamW(use_ema=True, global_clipnorm=0.5),
    "two batches a step": lambda: keras.optimizers.Adam(gradient_accumulation_steps=2),
}
WITH_MOMENTUM = ("momentum", "adam", "adamw", "two batches a step")
DYNAMIC = [tfdsl.DSL, tfdsl.RigL, tfdsl.SET]
PRUNING = [tfdsl.GradualMagnitude, tfdsl.OneShotMagnitude]
DENSITIES = [0.001, 0.1, 0.25, 0.5, 0.9, 0.999]


@dataclasses.dataclass(frozen=True)
class Case:
    """What is trained, how, and on what.

    `layers` has of each weight its layer's class and its shape; `spoilt` says of each step where
    a gradient is not finite, (weight, entry, value), both counted round and round; or None.
    `density` is a number or a schedule. `mode` is the one that is tried beside the eager one.
    """

    layers: list
    dtype: str
    algorithm: type
    density: object
    arguments: dict
    inner: str
    seed: int
    spoilt: list
    mode: str


@st.composite
def cases(draw):
    sizes = st.integers(1, 9)
    kinds = st.sampled_from([SparseDense, SparseDense, SparseEmbedding])
    not_finite = st.sampled_from([np.nan, np.inf, -np.inf])
    place = st.tuples(st.integers(0, 9), st.integers(0, 99), not_finite)
    algorithm = draw(st.sampled_from([*DYNAMIC, *PRUNING, tfdsl.StaticSparse]))
    density = draw(st.sampled_from(DENSITIES))
    inner = draw(st.sampled_from(list(INNERS)))
    arguments = {
        "distribution": draw(st.sampled_from(distributions.DISTRIBUTIONS)),
        "init": draw(st.sampled_from(["exact", "magnitude"])),
        "optimizer_state": draw(st.sampled_from(["keep", "mask", "reset"])),
        "seed": draw(st.integers(0, 2**31 - 1)),
    }
    if algorithm in (*DYNAMIC, tfdsl.GradualMagnitude):
        arguments |= {"total_steps": STEPS, "update_interval": draw(st.integers(1, 3))}
        if draw(st.booleans()):
            until = STEPS * 3 // 4 if algorithm is tfdsl.RigL else STEPS
            last = until - until % arguments["update_interval"]
            density = draw(ramps(last, falls=algorithm is tfdsl.GradualMagnitude))
    if algorithm is tfdsl.OneShotMagnitude:
        arguments["prune_step"] = draw(st.integers(1, STEPS))
    if algorithm in DYNAMIC:
        grows = ["gradient", "accumulated_gradient", "random", "random_unfired"]
        if inner in WITH_MOMENTUM and arguments["optimizer_state"] != "mask":
            grows.append("momentum")
        arguments |= {
            "update_ratio": draw(st.sampled_from([0.01, 0.3, 1.0])),
            "drop": draw(st.sampled_from(["magnitude", "taylor"])),
            "grow": draw(st.sampled_from(grows)),
        }
    return Case(
        draw(st.lists(st.tuples(kinds, st.tuples(sizes, sizes)), min_size=1, max_size=3)),
        draw(st.sampled_from(["float32", "float32", "float32", "float16", "bfloat16", "float64"])),
        algorithm,
        density,
        arguments,
        inner,
        draw(st.integers(0, 2**31 - 1)),
        draw(st.lists(st.none() | place, min_size=STEPS, max_size=STEPS)),
        draw(st.sampled_from(["graph", "graph", "xla"])),
    )


@st.composite
def ramps(draw, last, falls):
    """Densities that change over the steps, to the last update."""
    kinds = [schedules.Linear, schedules.Cosine, schedules.Cubic, schedules.Polynomial]
    ends = draw(st.lists(st.sampled_from([*DENSITIES, 1.0]), min_size=2, max_size=2, unique=True))
    begin = draw(st.integers(0, last - 1))
    end = draw(st.integers(begin + 1, last))
    initial, final = sorted(ends, reverse=True) if falls else ends
    return draw(st.sampled_from(kinds))(initial, final, end, begin)


def weights_of(case):
    weights = []
    for kind, (rows, columns) in case.layers:
        if kind is SparseDense:
            layer = SparseDense(columns, use_bias=False, dtype=case.dtype)
        else:
            layer = SparseEmbedding(rows, columns, dtype=case.dtype)
        layer.build((None, rows))
        weights += layer.trainable_weights
    return weights


def gradients_of(case, step):
    """A gradient for each weight: (rows that were looked up, or None for all; their values)."""
    draw = np.random.default_rng([case.seed, step])
    gradients = []
    for kind, (rows, columns) in case.layers:
        ids = draw.integers(0, rows, draw.integers(1, 9)) if kind is SparseEmbedding else None
        values = draw.choice(FINITE, (rows if ids is None else len(ids), columns))
        gradients.append((ids, values))
    if case.spoilt[step] is not None:
        weight, entry, value = case.spoilt[step]
        values = gradients[weight % len(gradients)][1]
        values.flat[entry % values.size] = value
    return gradients


def train(case, mode):
    """Yields, before the first step and after each, the weights, the optimizer, all values."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(case.seed)
    weights = weights_of(case)
    algorithm = case.algorithm(case.density, **case.arguments)
    optimizer = tfdsl.SparseOptimizer(INNERS[case.inner](), algorithm)
    optimizer.build(weights)
    shapes = [tf.constant(w.shape, tf.int64) for w in weights]

    def apply(ids, values):
        gradients = [
            v if i is None else tf.IndexedSlices(v, i, shape)
            for i, v, shape in zip(ids, values, shapes, strict=True)
        ]
        optimizer.apply(gradients, weights)

    step = apply
    if mode != "eager":
        step = tf.function(apply, reduce_retracing=True, jit_compile=mode == "xla")

    def state():
        every = [*weights, *(mask_of(w) for w in weights), *optimizer.variables]
        return weights, optimizer, [v.value.numpy().copy() for v in every]

    yield state()
    for number in range(STEPS):
        ids, values = zip(*gradients_of(case, number), strict=True)
        step(
            [None if one is None else tf.constant(one) for one in ids],
            [tf.cast(one, case.dtype) for one in values],
        )
        yield state()


def shares(case, optimizer):
    """Returns of each weight its size, the density it is to have now, and the one it ends at.

    Of all weights together where the budget is global.
    """
    algorithm, distribution = optimizer.algorithm, case.arguments["distribution"]
    shapes = [shape for _, shape in case.layers]
    sizes = [rows * columns for rows, columns in shapes]
    finals = distributions.densities(distribution, shapes, algorithm.density.final)
    if distribution == "global":
        sizes, finals = [sum(sizes)], finals[:1]
    updates = algorithm.updates or (lambda step: step < 0)
    done = range(1, int(optimizer.iterations) + 1)
    last = max((step for step in done if updates(tf.constant(step))), default=0)
    now = float(algorithm.density(tf.constant(last)))
    final = algorithm.density.final
    return zip(sizes, [on_the_way(now, final, own) for own in finals], finals, strict=True)


def on_the_way(now, final, own):
    """Returns a weight's density when the whole has `now`, on its way to `final`, and it to `own`.

    Its part of what is off the masks above the whole's last density, of what is on them below it.
    """
    if now == final:
        return own
    return own * now / final if now < final else 1 - (1 - own) * (1 - now) / (1 - final)


def same_bits(ours, theirs):
    pairs = zip(ours, theirs, strict=True)
    return [a.tobytes() == b.tobytes() for a, b in pairs]


@contextlib.contextmanager
def arithmetic_as_written():
    # In graphs TensorFlow makes x * rsqrt(y) of Adagrad's x / sqrt(y), with another last bit.
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    try:
        yield
    finally:
        before = options.get("arithmetic_optimization", True)
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": before})


@arithmetic_as_written()
def keeps_its_promises(case):
    same_as_eager = case.mode == "graph"  # XLA's arithmetic has other last bits
    eager, other = train(case, "eager"), train(case, case.mode)
    before = None
    for number, states in enumerate(zip(eager, other, strict=True)):
        for weights, optimizer, _ in states:
            keeps_the_budget(case, weights, optimizer)
        assert not same_as_eager or all(same_bits(states[0][2], states[1][2]))  # P3
        if number and case.spoilt[number - 1] is not None and optimizer.sparse_weights:
            for was, (_, optimizer, state) in zip(before, states, strict=True):
                changes_nothing(optimizer, was, state)
        before = [state for _, _, state in states]


def keeps_the_budget(case, weights, optimizer):
    masks = [mask_of(weight).value.numpy() for weight in weights]
    for weight, mask in zip(weights, masks, strict=True):
        assert (weight.value.numpy()[~mask] == 0.0).all()  # P1
    counts = [int(mask.sum()) for mask in masks]
    if case.arguments["distribution"] == "global":
        counts = [sum(counts)]
    for count, (size, now, final) in zip(counts, shares(case, optimizer), strict=True):  # P2
        is_a_half = now != final and abs(abs(count - size * now) - 0.5) < 1e-9
        assert count == distributions.budget(size, now) or is_a_half


def changes_nothing(optimizer, before, after):  # P5
    names = [v.name for v in optimizer.variables]
    same = same_bits(before, after)
    changed = [n for n, kept in zip(names, same[-len(names) :], strict=True) if not kept]
    assert changed == ["skipped_steps"]
    assert all(same[: -len(names)])


def hold_part(part):
    hold(keeps_its_promises, A_PROCESS, part, case=cases())


@examples(3, 300)
def test_every_step_keeps_the_promises(examples):
    if examples <= A_PROCESS:
        hold(keeps_its_promises, examples, case=cases())
        return
    # TensorFlow keeps all that it ever compiled: many cases go to processes that end.
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawned, max_tasks_per_child=1) as processes:
        list(processes.map(hold_part, range(examples // A_PROCESS)))
