"""Helpers of tests are in tests/support, and the second reader there is independent of the packages."""

from __future__ import annotations

import ast
import re

from tests.support.repository import REPOSITORY

TESTS = REPOSITORY / "tests"
TEST_MODULE = re.compile(r"(?:from|import) tests[\w. ]*[. ](?:test_\w+|conftest)\b")
"""Finds imports from test modules, also in code that a test runs in another process."""


def test_nothing_is_imported_from_test_modules() -> None:
    sources = {path: path.read_text() for path in TESTS.rglob("*.py")}
    assert len(sources) > 100
    assert [str(path) for path, text in sources.items() if TEST_MODULE.search(text)] == []
    for where in ("from tests.skelstore.{} import x", "from tests.skelstore import {}", "import tests.{}"):
        assert TEST_MODULE.search(where.format("test_store"))


def test_support_has_no_tests() -> None:
    sources = [*(TESTS / "support").glob("*.py")]
    assert len(sources) > 20
    test = re.compile(r"^\s*(?:def test|class Test)", re.MULTILINE)
    assert [path.name for path in sources if test.search(path.read_text())] == []


def test_the_second_reader_is_independent() -> None:
    """It imports neither the packages that it judges nor a helper that may use them."""
    imported = set()
    for node in ast.walk(ast.parse((TESTS / "support" / "second_reader.py").read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert {"numpy", "pyarrow"} <= imported
    assert not imported & {"skelstore", "converters", "tests", "importlib"}
