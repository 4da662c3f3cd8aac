"""The error if the versions of NumPy and pyarrow are incompatible."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.processes import run_python
from tests.support.repository import REPOSITORY

REFUSAL = "pyarrow requires NumPy 2.0 or newer, found 1.26.4"
IMPORT = """
import sys
import numpy
numpy.__version__ = {numpy!r}
sys.path.insert(0, {folder!r})
try:
    import {module}
except ImportError as error:
    print(type(error).__name__, error, sep=": ")
"""


def said(folder: Path, module: str, numpy: str, error: str) -> str:
    """The output of importing the module if pyarrow raises the error and NumPy has the version."""
    (folder / "pyarrow").mkdir()
    (folder / "pyarrow/__init__.py").write_text(f"raise {error}\n")
    code = IMPORT.format(numpy=numpy, folder=str(folder), module=module)
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["skelstore", "skelstore.errors", "converters.cli.source_commands"])
def test_pyarrow_that_refuses_numpy_1(tmp_path: Path, module: str) -> None:
    found = said(tmp_path, module, "1.26.4", f"ImportError({REFUSAL!r})")
    assert found == (
        f"MissingPackageError: pyarrow {pa.__version__} was found, which cannot be used with NumPy 1.26.4 ({REFUSAL}); "
        "expected pyarrow below 26, or NumPy 2: pip install 'pyarrow<26', or pip install 'numpy>=2'\n"
    )


def test_the_command_reports_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow/__init__.py").write_text(f"raise ImportError({REFUSAL!r})\n")
    code = f"""if True:
        import sys
        import numpy
        numpy.__version__ = "1.26.4"
        sys.path.insert(0, {str(tmp_path)!r})
        from converters.cli import main
        main(["--version"])
    """
    done = run_python(code)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"skelstore: pyarrow {pa.__version__} was found, which cannot be used with NumPy 1.26.4")


@pytest.mark.parametrize(
    ("numpy", "error"),
    [
        ("2.1.0", "ImportError('numpy.core.multiarray failed to import')"),
        ("1.26.4", "ImportError('libarrow.so: cannot open shared object file')"),
        ("1.26.4", "ModuleNotFoundError(\"No module named 'pyarrow'\")"),
    ],
)
def test_other_errors_of_pyarrow_are_left_as_they_are(tmp_path: Path, numpy: str, error: str) -> None:
    assert said(tmp_path, "skelstore", numpy, error).startswith(error.split("(")[0])


def test_the_sentence_names_the_bound_of_the_extra() -> None:
    bound = r"pyarrow<(\d+)"
    stated = re.findall(bound, (REPOSITORY / "pyproject.toml").read_text())
    assert stated == re.findall(bound, (REPOSITORY / "skelstore/packages.py").read_text())
