"""Recommenders on sparse layers."""

from tfdsl.models.dlrm import DLRM
from tfdsl.models.light_gcn import LightGCN
from tfdsl.models.mult_vae import MultinomialLikelihood, MultVAE
from tfdsl.models.neu_mf import NeuMF
from tfdsl.models.ranking import BPRLoss, RankingModel

__all__ = [
    "DLRM",
    "BPRLoss",
    "LightGCN",
    "MultVAE",
    "MultinomialLikelihood",
    "NeuMF",
    "RankingModel",
]
