"""Spectral factors: how they are turned, and where they are kept."""

import numpy as np
import pytest
from scipy import sparse

import tfdsl
from tfdsl import factors, initial

PAIRS = sparse.random_array((60, 40), density=0.2, format="csr", rng=0)


def test_varimax_is_a_rotation():
    rows = np.random.default_rng(0).normal(size=(50, 6))
    turned = factors.varimax(rows)
    np.testing.assert_allclose(turned @ turned.T, np.eye(6), atol=1e-10)
    before, after = ((x**2).var(axis=0).sum() for x in (rows, rows @ turned))
    assert after > before


def test_factors_are_made_once_for_all_who_name_a_folder(tmp_path, monkeypatch):
    first = initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    own = initial.Spectral(PAIRS).factors(8)
    monkeypatch.setattr(factors, "_singular_vectors", None)
    again = initial.Spectral(PAIRS * 7.0, cache=tmp_path).factors(8)  # values do not matter
    for a, b, c in zip(first, again, own, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize(
    ("interactions", "width", "other"),
    [
        (PAIRS, 8, {"seed": 1}),
        (PAIRS, 8, {"rotation": "none"}),
        (PAIRS, 9, {}),
        (PAIRS[::-1], 8, {}),
        (sparse.csr_array((PAIRS.data, PAIRS.indices, PAIRS.indptr), (60, 41)), 8, {}),
    ],
)
def test_factors_of_something_else_are_made_anew(interactions, width, other, tmp_path):
    initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    found = initial.Spectral(interactions, **other, cache=tmp_path).factors(width)
    own = initial.Spectral(interactions, **other).factors(width)
    for a, b in zip(found, own, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "other", "wide"])
def test_what_is_damaged_in_the_folder_is_made_anew(damage, tmp_path):
    first = initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    (kept,) = tmp_path.iterdir()
    content = kept.read_bytes()
    middle = len(content) // 3
    if damage == "other":
        np.savez(kept, users=first[0])
    elif damage == "wide":
        np.savez(kept, users=first[0], items=first[1][:, :7])
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        kept.write_bytes({"cut": content[:middle], "empty": b"", "changed": flipped}[damage])
    again = initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert kept.read_bytes() == content
    assert list(tmp_path.iterdir()) == [kept]


def test_objects_in_the_folder_are_not_unpickled(tmp_path):
    first = initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    (kept,) = tmp_path.iterdir()
    np.savez(kept, users=np.array([print], object), items=first[1])
    again = initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    np.testing.assert_array_equal(again[0], first[0])


def test_what_cannot_be_kept_is_made_all_the_same(tmp_path, monkeypatch):
    init = initial.Spectral(PAIRS, cache=tmp_path / "folder")
    (tmp_path / "folder").rmdir()
    with pytest.warns(UserWarning, match="factors are not kept in .*folder"):
        found = init.factors(8)
    np.testing.assert_array_equal(found[0], initial.Spectral(PAIRS).factors(8)[0])


def test_the_folder_is_no_part_of_a_configuration(tmp_path):
    algorithm = tfdsl.StaticSparse(0.5, init=initial.Spectral(PAIRS, cache=tmp_path))
    again = tfdsl.StaticSparse.from_config(algorithm.get_config())
    assert (again.init.cache, again.init.seed) == (None, 0)


@pytest.mark.parametrize("of", ["_REVISION", "numpy"])
def test_factors_of_other_code_are_made_anew(of, tmp_path, monkeypatch):
    first, _ = initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    monkeypatch.setattr(factors, "varimax", lambda rows: np.eye(8, dtype="f4"))
    if of == "_REVISION":
        monkeypatch.setattr(factors, "_REVISION", -1)
    else:
        monkeypatch.setattr(np, "__version__", "another")
    second, _ = initial.Spectral(PAIRS, cache=tmp_path).factors(8)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("value", [0, True, b"folder", ["a"], "", "zero\0byte"])
def test_what_is_no_folder_is_refused(value):
    with pytest.raises(ValueError, match="`cache` must be a folder"):
        initial.Spectral(PAIRS, cache=value)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"`cache` must be a folder; received .*file"):
        initial.Spectral(PAIRS, cache=tmp_path / "file")
