"""Finding problems of a data set before training runs into them."""

from converters.checks.dataset import check, opened_for_check

__all__ = ["check", "opened_for_check"]
