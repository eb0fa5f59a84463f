"""FLOPs of a compiled function, counted from what XLA made of it."""

import itertools
import math
import re
from collections.abc import Callable
from typing import Any

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_BRANCHES = re.compile(r"(?:true_computation=|false_computation=)%?([\w.\-]+)")
_LISTED = re.compile(r"branch_computations=\{([^}]*)\}")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition)=%?([\w.\-]+)")
_SHAPE = re.compile(r"\w+\[([\d,]*)\]")
_CUBLAS = 'custom_call_target="__cublas'
_BATCHED = re.compile(r'lhs_batch_dims=\{\d|"lhs_batch_dimensions":\["')
_CONTRACTED = re.compile(r'lhs_contracting_dims=\{[\d,]*\}|"lhs_contracting_dimensions":\[[^\]]*\]')


def matmul_flops(function: Any, *args: Any) -> tuple[int, int]:
    """Returns the FLOPs of matrix products of a call, with the cheapest and dearest branches.

    Products of matrices alone count, two FLOPs a multiplication; products of stacks of matrices,
    such as DLRM's interaction, do not. A conditional counts once as its branch of fewest FLOPs and
    once as that of most; a loop's body once.

    Args:
        function: a `tf.function` with `jit_compile=True`.
        *args: its arguments.
    """
    return program_flops(function.experimental_get_compiler_ir(*args)(stage="optimized_hlo"))


def program_flops(text: str) -> tuple[int, int]:
    """Returns as `matmul_flops` does, of a program's text.

    On a GPU a product is a `dot` inside a fusion, or a call of cuBLAS with the same meaning.
    """
    computations: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        start = _COMPUTATION.match(line)
        if start:
            name = start[1]
            computations[name] = []
            entry = name if line.startswith("ENTRY") else entry
        elif name:
            computations[name].append(line.strip())
    return _count(computations, entry, min), _count(computations, entry, max)


def _count(computations: dict[str, list[str]], name: str, choose: Callable[..., int]) -> int:
    lines = computations[name]
    shapes = {line.split(" = ")[0].split()[-1].lstrip("%"): line for line in lines if " = " in line}
    total = 0
    for line in lines:
        if " dot(" in line or _CUBLAS in line:
            total += _dot_flops(line, shapes)
        branches = _BRANCHES.findall(line)
        branches += [b.strip(" %") for listed in _LISTED.findall(line) for b in listed.split(",")]
        if branches:
            total += choose(_count(computations, branch, choose) for branch in branches)
        called = [c for c in _CALLED.findall(line) if c in computations]
        total += sum(_count(computations, c, choose) for c in called)
    return total


def _dot_flops(line: str, shapes: dict[str, str]) -> int:
    left, right = re.split(r" (?:dot|custom-call)\(", line, maxsplit=1)
    if _BATCHED.search(right):
        return 0
    made = _sizes(left)
    operand = right.split(",")[0].split(")")[0] if "[" not in right.split(" ")[0] else right
    found = _SHAPE.search(operand) or _SHAPE.search(shapes[operand.strip().lstrip("%")])
    assert found
    sizes = [int(n) for n in found[1].split(",") if n]
    contracted = _CONTRACTED.search(right)
    assert contracted
    axes = [int(axis) for axis in re.findall(r"\d+", contracted[0])]
    return 2 * math.prod(made) * math.prod(sizes[axis] for axis in axes)


def _sizes(text: str) -> list[int]:
    found = _SHAPE.search(text.split(" = ")[1])
    assert found
    return [int(n) for n in found[1].split(",") if n]


def mlp_flops(widths: tuple[int, ...], batch_size: int, input_gradient: bool) -> int:
    """Returns the FLOPs of a training step of an MLP by hand: three products of every kernel.

    Args:
        widths: inputs, then outputs of each layer.
        batch_size: rows.
        input_gradient: whether the gradient of the inputs is wanted.
    """
    products = [a * b for a, b in itertools.pairwise(widths)]
    return 2 * batch_size * (3 * sum(products) - (0 if input_gradient else products[0]))
