"""What is wrong with a data set, before a training finds out."""

from converters.checks.dataset import check, opened_for_check

__all__ = ["check", "opened_for_check"]
