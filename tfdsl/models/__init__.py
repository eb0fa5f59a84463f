"""Recommenders on sparse layers."""

from tfdsl.models.mult_vae import MultinomialLikelihood, MultVAE

__all__ = ["MultVAE", "MultinomialLikelihood"]
