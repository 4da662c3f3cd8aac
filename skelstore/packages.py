"""Checks that NumPy and pyarrow can be used together; ``skelstore`` imports this module before anything else.

pyarrow 26 and later refuse NumPy 1, but neither package declares that to pip.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from skelstore.errors import MissingPackageError


def check_pyarrow() -> None:
    """Import pyarrow. Raises MissingPackageError, with both versions, if pyarrow refuses NumPy 1."""
    try:
        import pyarrow  # noqa: F401
    except (ImportError, AttributeError) as error:
        if "numpy" not in str(error).lower() or not np.__version__.startswith("1."):
            raise
        raise MissingPackageError(
            f"pyarrow {version('pyarrow')} was found, which cannot be used with NumPy {np.__version__} ({error}); "
            "expected pyarrow below 26, or NumPy 2: pip install 'pyarrow<26', or pip install 'numpy>=2'"
        ) from error


check_pyarrow()
