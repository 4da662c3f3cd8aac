"""Reading a store: one video, some of its frames, many videos, and videos as PYSKL's DecompressPose returns them."""

import skelstore.packages  # noqa: F401 - before the modules in here import pyarrow
