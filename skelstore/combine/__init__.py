"""Making stores from stores: merging, subsetting, and revising tables."""

import skelstore.packages  # noqa: F401 - before the modules in here import pyarrow
