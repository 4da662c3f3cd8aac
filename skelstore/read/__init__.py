"""Reading a store: one video, some frames of it, many videos, the view of PYSKL's DecompressPose."""

import skelstore.packages  # noqa: F401 - before the modules in here import pyarrow
