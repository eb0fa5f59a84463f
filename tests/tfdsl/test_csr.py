import numpy as np
import pytest
from scipy import sparse

from tfdsl.csr import check_csr


def parts(columns, shape=(2, 4)):
    """A matrix from its parts, whose columns SciPy does not compare with the shape."""
    content = np.ones(3, np.float32), np.array(columns), np.array([0, 2, 3])
    return sparse.csr_array(content, shape)


def with_room():
    """A matrix with room for an entry more: what stands there is none."""
    matrix = parts([0, 3, 1])
    matrix.indices, matrix.data = np.append(matrix.indices, 9), np.append(matrix.data, 1)
    return matrix


@pytest.mark.parametrize(
    "matrix",
    [
        parts([0, 3, 1]),
        parts([3, 0, 1]),  # not sorted
        parts([3, 3, 1]),  # doubled
        with_room(),
        sparse.csr_array((0, 0)),
        sparse.csr_array((2, 4)),
        sparse.csr_matrix(np.eye(3)),
    ],
)
def test_csr_matrices_pass(matrix):
    check_csr("seen", matrix)


@pytest.mark.parametrize("matrix", [np.eye(3), [[1]], None, sparse.eye_array(3, format="csc")])
def test_anything_else_is_refused(matrix):
    with pytest.raises(ValueError, match="`seen` must be a matrix in CSR format; received"):
        check_csr("seen", matrix)


@pytest.mark.parametrize(
    ("columns", "wrong"), [([0, 4, 1], 4), ([0, 9, -2], 9), ([0, 3, -1], -1), ([0, 3, 7], 7)]
)
def test_columns_outside_the_shape_are_refused(columns, wrong):
    with pytest.raises(ValueError, match=rf"`seen`.*0\.\.3.*\(2, 4\) says; received {wrong}\."):
        check_csr("seen", parts(columns))


def test_a_column_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match=r"shape \(2, 0\) says; received 1"):
        check_csr("seen", parts([1, 0, 0], shape=(2, 0)))
