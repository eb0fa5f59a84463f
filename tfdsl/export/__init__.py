"""Exports that are as small as their model is sparse."""

from tfdsl.export.loading import load_packed
from tfdsl.export.report import ExportReport
from tfdsl.export.retrieval import retrieval
from tfdsl.export.saved_model import saved_model

__all__ = ["ExportReport", "load_packed", "retrieval", "saved_model"]
