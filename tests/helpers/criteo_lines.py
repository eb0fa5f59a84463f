"""Lines in the format of Criteo's text, and what a reader must make of them, one by one."""

import math

import numpy as np


def random_lines(n, seed=0):
    """Lines in the data's format: few values for some fields, many for others; long numbers too."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(n):
        numbers = [int(10 ** rng.uniform(0, 9.5)) - 3 for _ in range(13)]
        values = [
            (int(rng.integers(2 + 3 * field)) * 2654435761 + field) % 2**32 for field in range(26)
        ]
        fields = [f"{number}" for number in numbers] + [f"{value:08x}" for value in values]
        kept = rng.random(39) < 0.8
        fields = [field if keep else "" for field, keep in zip(fields, kept, strict=True)]
        lines.append("\t".join([str(rng.integers(2)), *fields]))
    return lines


def hashed(value, field, n_rows):
    """The documented hash, in plain Python; `field` counts from 1."""
    h = (value + 0x9E3779B9 * field) % 2**32
    h = (h ^ (h >> 16)) * 0x85EBCA6B % 2**32
    h = (h ^ (h >> 13)) * 0xC2B2AE35 % 2**32
    return 1 + (h ^ (h >> 16)) % (n_rows - 1)


def plain(lines, to_id):
    """Labels, transformed integers and ids of lines, one by one."""
    labels, dense, ids = [], [], []
    for line in lines:
        label, *fields = line.split("\t")
        labels.append(float(label))
        dense.append([math.log1p(max(int(f), 0)) if f else 0.0 for f in fields[:13]])
        ids.append([to_id(int(f, 16), i) if f else 0 for i, f in enumerate(fields[13:], 1)])
    return np.float32(labels), np.float32(dense), np.int32(ids)


def read(rows):
    """All rows, in order: labels, integers, ids."""
    pieces = [(y[:, 0], d, c) for (d, c), y in rows.batches(64, keep_rest=True)]
    return tuple(np.concatenate(piece) for piece in zip(*pieces, strict=True))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6)


def assert_days(data, lines, to_id):
    """Looks at whether the lines are cut into seven as the convention says, and read whole."""
    assert [len(day) for day in data.days] == [
        len(lines) // 7 + (day < len(lines) % 7) for day in range(7)
    ]
    assert_same(read(data.days[0].joined(data.days[1:])), plain(lines, to_id))


def replaced(line, column, field):
    fields = line.split("\t")
    fields[column] = field
    return "\t".join(fields)


# No number of more than 8 digits, which the fast parser would leave to the slow one.
GOOD = "\t".join(["1", *map(str, range(13)), *(f"{0x05DB9164 + i:08x}" for i in range(26))])
