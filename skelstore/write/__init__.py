"""Writing a store: parts, joining them, and files that appear only when they are complete."""

import skelstore.packages  # noqa: F401 - before the modules in here import pyarrow
