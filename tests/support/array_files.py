"""Array files of NumPy, as bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np


def npy(array: Any, **options: Any) -> bytes:
    """A .npy file."""
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**members: Any) -> bytes:
    """A .npz file."""
    file = io.BytesIO()
    np.savez_compressed(file, **members)
    return file.getvalue()
