"""tfdsl: recommenders that are sparse from the first step, on Keras 3 and TensorFlow."""

from tfdsl import (
    algorithms,
    callbacks,
    click_evaluation,
    evaluation,
    export,
    initial,
    layers,
    models,
    schedules,
)
from tfdsl.algorithms import (
    DSL,
    SET,
    AlternateGrowthPruning,
    GradualMagnitude,
    OneShotMagnitude,
    RigL,
    SpectralDSL,
    StaticSparse,
    StructuredPruning,
)
from tfdsl.export import load_packed
from tfdsl.initial import Spectral
from tfdsl.optimizer import SparseOptimizer
from tfdsl.report import report
from tfdsl.sparsify import sparsify

__version__ = "0.1.0"

__all__ = [
    "DSL",
    "SET",
    "AlternateGrowthPruning",
    "GradualMagnitude",
    "OneShotMagnitude",
    "RigL",
    "SparseOptimizer",
    "Spectral",
    "SpectralDSL",
    "StaticSparse",
    "StructuredPruning",
    "algorithms",
    "callbacks",
    "click_evaluation",
    "evaluation",
    "export",
    "initial",
    "layers",
    "load_packed",
    "models",
    "report",
    "schedules",
    "sparsify",
]
