"""Keras layers that own a mask beside each sparse weight."""

from tfdsl.layers.masking import Masked, add_mask, mask_of
from tfdsl.layers.mlp import PrunableMLP
from tfdsl.layers.propagation import Propagation
from tfdsl.layers.sparse_dense import SparseDense
from tfdsl.layers.sparse_embedding import SparseEmbedding

__all__ = [
    "Masked",
    "Propagation",
    "PrunableMLP",
    "SparseDense",
    "SparseEmbedding",
    "add_mask",
    "mask_of",
]
