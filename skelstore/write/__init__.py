"""Writing a store: parts, their joining, and files that appear whole."""

import skelstore.packages  # noqa: F401 - before the modules in here import pyarrow
