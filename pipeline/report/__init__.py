"""The committee report, from a cube alone."""

from pipeline.report.html import render_report

__all__ = ["render_report"]
