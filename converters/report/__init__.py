"""One HTML file about a data set: ``skelstore report``."""

from converters.report.writing import write_report

__all__ = ["write_report"]
