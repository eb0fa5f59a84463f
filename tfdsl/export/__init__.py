"""Exports that are as small as their model is sparse."""

from tfdsl.export.loading import load_packed
from tfdsl.export.saved_model import ExportReport, saved_model

__all__ = ["ExportReport", "load_packed", "saved_model"]
