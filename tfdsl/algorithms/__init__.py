"""Sparse training algorithms: which masks to begin with, and which masks come next."""

from tfdsl.algorithms.base import Algorithm
from tfdsl.algorithms.criteria import WeightState
from tfdsl.algorithms.dynamic import DSL, SET, DynamicSparse, RigL
from tfdsl.algorithms.magnitude import GradualMagnitude, OneShotMagnitude
from tfdsl.algorithms.static import StaticSparse

__all__ = [
    "DSL",
    "SET",
    "Algorithm",
    "DynamicSparse",
    "GradualMagnitude",
    "OneShotMagnitude",
    "RigL",
    "StaticSparse",
    "WeightState",
]
