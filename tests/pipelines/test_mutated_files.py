"""Every reader, on files with mutated bytes: it refuses them clearly, or gives the right data."""

import dataclasses
import functools
import shutil
import warnings

import criteo_lines
import movielens_files
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from mutations import mutate, mutations
from properties import examples, hold

from data import catalog
from data.errors import DataError
from pipelines import (
    citeulike,
    criteo,
    id_pairs,
    lightgcn_splits,
    movielens,
    movielens_100k,
    movielens_ctr,
    ncf,
    pair_files,
)

N_USERS, N_ITEMS = 12, 30


def _had(share, seed):
    """Which of the items each user has, bool [users, items]; each has some."""
    had = np.random.default_rng(seed).random((N_USERS, N_ITEMS)) < share
    had[:, seed] = True
    return had


def _rows(had, start):
    lines = [" ".join(map(str, [start(u, row), *np.flatnonzero(row)])) for u, row in enumerate(had)]
    return "\n".join(lines).encode() + b"\n"


def _split():
    had, tested = _had(0.3, 1), _had(0.2, 2)
    return had & ~tested, tested


def _citeulike():
    return {"users.dat": _rows(_had(0.3, 0), lambda user, row: row.sum())}


def _lightgcn():
    parts = zip(("train.txt", "test.txt"), _split(), strict=True)
    return {name: _rows(had, lambda user, row: user) for name, had in parts}


def _ncf():
    train, _ = _split()
    left = [np.flatnonzero(~row) for row in train]
    rated = "".join(f"{u}\t{i}\t{1 + i % 5}\n" for u, i in np.argwhere(train))
    asked = "".join(f"{u}\t{items[0]}\t4\t978300760\n" for u, items in enumerate(left))
    lines = [f"({u},{items[0]})\t{items[1]}\t{items[2]}\n" for u, items in enumerate(left)]
    names = ("ml-1m.train.rating.notime", "ml-1m.test.rating", "ml-1m.test.negative")
    return dict(zip(names, map(str.encode, (rated, asked, "".join(lines))), strict=True))


def _ml1m():
    rows = np.argwhere(_had(0.3, 3))
    text = "".join(f"{u + 1}::{i + 1}::{1 + i % 5}::{978300760 + i}\n" for u, i in rows)
    return {"ratings.dat": text.encode()}


def _ml100k():
    texts = {"u.user": movielens_files.USERS, "u.item": movielens_files.ITEMS}
    texts["u.data"] = movielens_files.RATINGS
    return {name: text.encode("latin-1") for name, text in texts.items()}


def _entries(matrices):
    return [np.stack(matrix.nonzero()) for matrix in matrices]


def _read_lightgcn(folder):
    split = lightgcn_splits.load("gowalla", folder)
    return _entries([split.train, split.validation, split.test])


def _read_ncf(folder):
    split = ncf.load(folder)
    asked = [np.sort(c.items[:, 1:]) for c in (split.validation, split.test)]  # as a set
    tested = [split.validation.items[:, 0], split.test.items[:, 0], split.test.users]
    return [*_entries([split.train]), *asked, *tested]


def _read_ml1m(folder):
    return movielens.load_ml1m(folder, in_order=True)


def _read_ml100k(folder):
    return [
        array
        for day in movielens_ctr.load(folder, 2).days
        for array in (day.dense, day.categorical, day.labels)
    ]


READERS = {
    "citeulike-t": (_citeulike, lambda folder: citeulike.read(folder, in_order=True)[:2]),
    "gowalla": (_lightgcn, _read_lightgcn),
    "ml-1m-ncf": (_ncf, _read_ncf),
    "ml-1m": (_ml1m, _read_ml1m),
    "ml-100k": (_ml100k, _read_ml100k),
}


def _known(name, folder):
    """The counts and digests of what is written in `folder`, in the place of the official ones."""
    counts, pairs, content = {"users": N_USERS, "items": N_ITEMS}, {}, None

    def part(of, read):
        counts[f"{of}_interactions" if of else "interactions"] = len(read.users)
        pairs[of] = id_pairs.digest(read)

    if name == "citeulike-t":
        read = pair_files.read_counted_rows(folder / "users.dat", N_USERS, N_ITEMS)
        part("", read)
        content = id_pairs.digest_of(read[:2])
    elif name == "gowalla":
        for of in ("train", "test"):
            part(of, pair_files.read_adjacency(folder / f"{of}.txt", N_USERS, N_ITEMS))
    elif name == "ml-1m-ncf":
        for of, file, width in (("train", "train.rating.notime", 3), ("test", "test.rating", 4)):
            part(of, pair_files.read_columns(folder / f"ml-1m.{file}", width, N_USERS, N_ITEMS))
        text = (folder / "ml-1m.test.negative").read_text()
        rows = [line.split("\t") for line in text.splitlines()]
        users = np.repeat(np.arange(len(rows)), 2)
        items = np.array([row[1:] for row in rows], np.int32).ravel()
        part("negative", id_pairs.Pairs(users, items, users, len(rows)))
    elif name == "ml-1m":
        users, items = movielens.read_ml1m(folder)
        part("", id_pairs.Pairs(users, items, users, len(users)))
        content = id_pairs.digest_of((users, items))
    else:
        read = movielens_100k.read(folder)
        counts |= {"interactions": len(read.users), "users": 3, "items": 3}
        content = id_pairs.digest_of(dataclasses.astuple(read))
    return {"counts": counts, "pairs_sha256": pairs, "content_sha256": content}


def _assert_clear(error, folder):
    message = str(error)
    assert "\n" not in message
    assert str(folder) in message
    assert "get the data set again" in message


@examples(300, 20_000)
@pytest.mark.parametrize("name", READERS)
def test_mutated_text_is_refused_or_read_right(name, examples, tmp_path, monkeypatch):
    make, read = READERS[name]
    good, folder = make(), tmp_path / name
    folder.mkdir()
    if name == "ml-1m-ncf":
        monkeypatch.setattr(ncf, "N_NEGATIVES", 2)
        split_off = ncf.leave_one_out.split_off
        monkeypatch.setattr(ncf.leave_one_out, "split_off", lambda m, had: split_off(m, had, 2))

    def write(files):
        for file, content in files.items():
            (folder / file).write_bytes(content)

    write(good)
    entry = dataclasses.replace(catalog.get(name), **_known(name, folder))
    monkeypatch.setitem(catalog.CATALOG, name, entry)
    expected = read(tmp_path)

    def refuses_or_reads(file, changes):
        write(good | {file: mutate(good[file], changes)})
        try:
            found = read(tmp_path)
        except DataError as error:
            _assert_clear(error, folder)
            return
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)

    hold(refuses_or_reads, examples, file=st.sampled_from(sorted(good)), changes=mutations)


def _good_lines(text):
    """The lines that are none of Criteo's, and the others, by a reading of their own."""
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    good, bad = [], 0
    for line in lines:
        fields = line.removesuffix(b"\r").split(b"\t")
        fine = len(fields) == 40 and fields[0] in (b"0", b"1")
        for field in fields[1:14] if fine else []:
            digits = field.removeprefix(b"-")
            fine &= not field or (digits.isdigit() and len(digits) <= 18)
        for field in fields[14:] if fine else []:
            fine &= not field or (len(field) == 8 and not field.strip(b"0123456789abcdef"))
        if fine:
            good.append("\t".join(field.decode() for field in fields))
        bad += not fine
    return good, bad, len(lines)


@examples(50, 3000)
def test_mutated_clicks_are_refused_or_read_as_they_stand(examples, written):
    lines = criteo_lines.random_lines(20)
    folder = written(lines)
    path = folder / criteo.NAME / criteo.FILE
    text = path.read_bytes()

    def refuses_or_reads(changes, bad_share):
        shutil.rmtree(folder / criteo.NAME / "cache", ignore_errors=True)
        path.write_bytes(mutate(text, changes))
        good, bad, n_lines = _good_lines(path.read_bytes())
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                data = criteo.load(folder, max_rows=50, bad_share=bad_share)
        except DataError as error:
            _assert_clear(error, path)
            assert n_lines != len(lines) or bad > bad_share * len(lines)
            return
        assert n_lines == len(lines)
        assert bad <= bad_share * len(lines)
        assert len(warned) == bool(bad)
        rows = data.days[0].joined(data.days[1:])
        if good:
            to_id = functools.partial(criteo_lines.hashed, n_rows=50)
            found = criteo_lines.read(rows)
            criteo_lines.assert_same(found, criteo_lines.plain(good, to_id))

    shares = st.sampled_from([0.0, 0.5])
    hold(refuses_or_reads, examples, changes=mutations, bad_share=shares)


@examples(30, 3000)
def test_a_mutated_cache_of_clicks_is_made_again_or_refused(examples, written):
    lines = criteo_lines.random_lines(20)
    folder = written(lines)
    cache = folder / criteo.NAME / "cache"

    def rows():
        data = criteo.load(folder, max_rows=50)
        return criteo_lines.read(data.days[0].joined(data.days[1:]))

    expected = rows()
    good = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}

    def repairs_or_refuses(place, changes):
        shutil.rmtree(cache)
        path = sorted(good)[place % len(good)]
        for one, content in good.items():
            one.parent.mkdir(parents=True, exist_ok=True)
            one.write_bytes(mutate(content, changes) if one == path else content)
        try:
            found = rows()
        except tf.errors.DataLossError:  # TensorFlow's own checksums, of each block
            return
        criteo_lines.assert_same(found, expected)

    hold(repairs_or_refuses, examples, place=st.integers(0, 99), changes=mutations)
