"""The feeders of checkouts of CTR-GCN and 2s-AGCN, which both are in a package named ``feeders``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def checkout(variable: str, module: str) -> Path:
    """The checkout that an environment variable names. Skip the tests of a module if it names none."""
    folder = os.environ.get(variable, "")
    if not folder or not (Path(folder) / module).is_file():
        pytest.skip(f"no checkout with {module}: set {variable} to one, see `make gcn-test`", allow_module_level=True)
    return Path(folder)


@contextmanager
def feeders(folder: Path, *modules: str) -> Iterator[list[Any]]:
    """Modules of the package ``feeders`` of a checkout, which is importable meanwhile."""
    forget()
    path = [*sys.path]
    sys.path.insert(0, str(folder))
    try:
        yield [import_module(f"feeders.{module}") for module in modules]
    finally:
        sys.path[:] = path
        forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "feeders"]:
        del sys.modules[name]


class OlderNumpy:
    """NumPy for feeders/tools.py of CTR-GCN, which calls int() on an array of one number: NumPy 2.4 refuses that."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def floor(self, numbers: Any) -> Any:
        return np.floor(numbers).item()
