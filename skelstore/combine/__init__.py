"""Stores made of stores: merged, cut down, or with other tables."""

import skelstore.packages  # noqa: F401 - before the modules in here import pyarrow
