"""Sparse training algorithms: which masks to begin with, and which masks come next."""

from tfdsl.algorithms.base import Algorithm
from tfdsl.algorithms.criteria import WeightState
from tfdsl.algorithms.dynamic import DSL, SET, DynamicSparse, RigL
from tfdsl.algorithms.magnitude import GradualMagnitude, OneShotMagnitude
from tfdsl.algorithms.neurons import AlternateGrowthPruning, NeuronPruning, StructuredPruning
from tfdsl.algorithms.spectral import SpectralDSL
from tfdsl.algorithms.static import StaticSparse

__all__ = [
    "DSL",
    "SET",
    "Algorithm",
    "AlternateGrowthPruning",
    "DynamicSparse",
    "GradualMagnitude",
    "NeuronPruning",
    "OneShotMagnitude",
    "RigL",
    "SpectralDSL",
    "StaticSparse",
    "StructuredPruning",
    "WeightState",
]
