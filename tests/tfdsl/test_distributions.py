import math

import pytest

from tfdsl import distributions


@pytest.mark.parametrize("name", ["uniform", "global"])
def test_uniform_and_global_give_every_tensor_the_same_density(name):
    assert distributions.densities(name, [(4, 4), (100,)], 0.25) == [0.25, 0.25]


def test_erk_gives_small_tensors_more():
    # Raw densities 8/16 and 16/64; 20 weights to share: scale 20 / (0.5 * 16 + 0.25 * 64) = 5/6.
    densities = distributions.densities("erk", [(4, 4), (8, 8)], 0.25)
    assert densities == pytest.approx([5 / 12, 5 / 24])


def test_erk_makes_a_tensor_dense_whose_share_passes_one_and_shares_out_the_rest():
    # 2020 weights; the first tensor's share would be 1.8, so the second gets the other 1920.
    densities = distributions.densities("erk", [(10, 10), (100, 100)], 0.2)
    assert densities == pytest.approx([1.0, 0.192])


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_erk_shares_out_the_whole_budget(density):
    shapes = [(1000, 64), (64, 32), (32,), (3, 3, 32, 8), (5, 2)]
    densities = distributions.densities("erk", shapes, density)
    sizes = [math.prod(shape) for shape in shapes]
    shared = sum(d * size for d, size in zip(densities, sizes, strict=True))
    assert shared == pytest.approx(density * sum(sizes))
    assert all(0.0 < d <= 1.0 for d in densities)


def test_erk_at_density_one_is_dense():
    assert distributions.densities("erk", [(4, 4), (8, 8)], 1.0) == [1.0, 1.0]


def test_no_tensors_have_no_densities():
    assert distributions.densities("erk", [], 0.5) == []


def test_unknown_distribution_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"uniform, erk, global; received 'erdos'"):
        distributions.densities("erdos", [(4, 4)], 0.5)


@pytest.mark.parametrize(
    ("size", "density", "expected"),
    [(10, 0.2, 2), (10, 0.24, 2), (10, 0.26, 3), (5, 0.5, 2), (7, 0.5, 4), (10, 1.0, 10)],
)
def test_budget_is_the_nearest_number_and_halves_go_to_the_even_one(size, density, expected):
    assert distributions.budget(size, density) == expected


def test_budget_is_never_empty():
    assert distributions.budget(10, 0.001) == 1
