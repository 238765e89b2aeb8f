"""Fits -> one self-contained HTML report."""

from progression.reporting.page import report

__all__ = ["report"]
