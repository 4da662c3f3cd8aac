"""Types of the columns of ``videos.arrow``."""

from __future__ import annotations

from typing import Any

import skelstore.packages  # noqa: F401 - before pyarrow is imported

# isort: split
import numpy as np
import pyarrow as pa

ARROW_TYPES: dict[str, pa.DataType] = {
    "str": pa.large_utf8(),
    "bytes": pa.large_binary(),
    "json": pa.large_utf8(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "numpy.str": pa.large_utf8(),
    "numpy.bool": pa.bool_(),
    **{f"numpy.{s}int{n}": getattr(pa, f"{s}int{n}")() for s in ("", "u") for n in (8, 16, 32, 64)},
    **{f"numpy.float{n}": getattr(pa, f"float{n}")() for n in (16, 32, 64)},
}
"""Arrow type of each type of a column, by its name in ``attributes.skelstore.columns``."""


def numpy_dtype(kind: pa.DataType) -> np.dtype[Any]:
    """The NumPy dtype of an Arrow type. ``to_pandas_dtype`` of older pyarrow fails if pandas is not installed."""
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return np.dtype(names.get(str(kind), str(kind)))


ORIGIN_TYPES = (pa.large_utf8(), pa.int64(), pa.int64())
