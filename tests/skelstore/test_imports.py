"""Modules loaded by imports: almost none by errors, none that write by reading; and ``python -m``."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import skelstore
from tests.support.contracts import write

HEAVY = {"numpy", "pyarrow", "numcodecs", "zarr", "click"}


def loaded(code: str, *arguments: str) -> set[str]:
    """The modules that are loaded after the code has run in a new process."""
    code = f"import sys\n{code}\nimport json; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import skelstore; skelstore.__doc__; dir(skelstore); skelstore.errors.StoreError",
        "from skelstore.errors import SkelstoreError",
        "from skelstore import SkelstoreError, MissingPackageError",
        "from skelstore.wording import counted, escape; escape('a\\n')",
        "from skelstore.format.schema import LAYOUT_COLUMN, Origin, PARTIAL_SUFFIX",
    ],
)
def test_modules_without_arrays_load_no_array_library(code: str) -> None:
    modules = loaded(code)
    assert not modules & HEAVY
    assert not {name for name in modules if name.startswith(("skelstore.read", "skelstore.write", "converters"))}


def test_reading_loads_nothing_that_writes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [{"frame_dir": "v", "label": 1}], {"train": ["v"]})
    code = """
import skelstore
with skelstore.open(sys.argv[1]) as store:
    assert store["v"] == store[0] == {"frame_dir": "v", "label": 1}
    repr(store), store.split("train")[:1].labels
"""
    modules = loaded(code, str(path))
    mine = {name for name in modules if name.startswith(("skelstore.write", "skelstore.combine", "skelstore.train"))}
    assert mine == set()
    assert not modules & {"zarr", "click", "converters", "torch"}


def test_the_package_lists_and_has_what_it_exports() -> None:
    assert set(skelstore.__all__) < set(dir(skelstore))
    assert skelstore.__version__ == version("skelstore")
    assert skelstore.joints.LAYOUTS
    with pytest.raises(AttributeError, match="module 'skelstore' has no attribute 'opne'"):
        skelstore.opne  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        from skelstore import opne  # type: ignore[attr-defined]  # noqa: F401


def test_a_star_import_imports_what_is_exported() -> None:
    names: dict[str, object] = {}
    exec("from skelstore import *", names)
    assert {name: names[name] for name in skelstore.__all__} == {
        name: getattr(skelstore, name) for name in skelstore.__all__
    }


@pytest.mark.parametrize("module", ["skelstore", "converters.cli"])
def test_the_package_runs_the_command_line(module: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert version("skelstore") in done.stdout
    done = run("--help")
    assert done.stdout.startswith("Usage: skelstore ")
    done = run("info", str(tmp_path / "nowhere.zarr"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("skelstore: ")
