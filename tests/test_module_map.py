"""The map of modules in docs/design.md is complete; its layers hold, without circular imports or private access."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY

PACKAGES = ["skelstore", "converters"]


def modules(package: str) -> dict[str, Path]:
    """Dotted name below the package -> file, for every module except ``__init__`` and ``__main__``."""
    folder = REPOSITORY / package
    paths = [path for path in folder.rglob("*.py") if not path.stem.startswith("__")]
    return {".".join(path.relative_to(folder).with_suffix("").parts): path for path in paths}


def mapped(package: str) -> dict[str, tuple[int, int]]:
    """Dotted name of each module in the map -> number of its row and position in that row."""
    text = (REPOSITORY / "docs/design.md").read_text()
    section = text.split(f"| {package} | what it knows |")[1].split("\n\n")[0]
    places = {}
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ") and "`" in line]
    for number, (room, _, names) in enumerate(rows):
        folder = re.findall(r"`([\w/]+)/`", room)
        prefix = f"{folder[0]}/".replace("/", ".") if folder else ""
        for place, name in enumerate(re.findall(r"`(\w+)`", names)):
            assert prefix + name not in places, f"{prefix}{name} is in the map twice"
            places[prefix + name] = number, place
    return places


def imported(path: Path, package: str) -> Iterator[str]:
    """Modules of the package that a module imports, also inside functions and for type checkers."""
    known = modules(package)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
            base = (node.module or "").removeprefix(package).removeprefix(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".removeprefix(".")
                if name in known or base in known:
                    yield name if name in known else base
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith(f"{package}.")]
            yield from (name for name in (name.removeprefix(f"{package}.") for name in names) if name in known)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_map_lists_every_module(package: str) -> None:
    assert set(mapped(package)) == {name for name in modules(package) if not name.startswith("bench.")}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_imports_only_earlier_modules(package: str) -> None:
    """From rows above its own, and from modules before it in its own row."""
    place = mapped(package)
    backwards = [
        f"{module} imports {name}"
        for module in place
        for name in imported(modules(package)[module], package)
        if not name.startswith("bench.") and place[name] >= place[module]
    ]
    assert backwards == []


@pytest.mark.parametrize(("one", "other"), [("read.", "write."), ("write.", "read.")])
def test_reading_and_writing_do_not_import_each_other(one: str, other: str) -> None:
    files = modules("skelstore")
    across = [
        f"{module} imports {name}"
        for module, path in files.items()
        if module.startswith(one)
        for name in imported(path, "skelstore")
        if name.startswith(other)
    ]
    assert across == []


OPEN = {"_asdict", "_fields", "_make", "_replace", "_exit"}
"""Underscore names that are part of an interface: of named tuples, of the standard library."""
UNAVOIDABLE = {"executor._executor_manager_thread", "executor._processes"}
"""Names for which concurrent.futures has no public equivalent."""


def private_doors(tree: ast.Module) -> Iterator[str]:
    """Underscore names that a module uses of other modules and of objects other than self and cls.

    A function may use those of a parameter that is annotated with a class of the same module.
    """
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    friendly: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            friends = {
                a.arg for a in node.args.args if isinstance(a.annotation, ast.Name) and a.annotation.id in classes
            }
            friendly |= {id(n) for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in {"self", "cls"} | friends}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from (f"from {node.module} import {a.name}" for a in node.names if a.name.startswith("_"))
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            inherited = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super"
            if node.attr not in OPEN and id(node.value) not in friendly and not inherited:
                yield ast.unparse(node)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_reaches_into_another(package: str) -> None:
    found = {
        f"{path.relative_to(REPOSITORY)}: {door}"
        for path in (REPOSITORY / package).rglob("*.py")
        for door in private_doors(ast.parse(path.read_text()))
        if door not in UNAVOIDABLE
    }
    assert found == set()


def test_private_doors_are_found() -> None:
    code = """if True:
    from a import b, _c
    class Own:
        def good(self):
            return self._a, super()._b, self.x._replace(a=1)
        def bad(self, other):
            return self.x._reader, other._rows
    def friend(own: Own):
        return own._a
    def stranger(own: Other):
        return own._a
    """
    tree = ast.parse(code)
    tree.body = tree.body[0].body  # type: ignore[attr-defined]
    assert sorted(private_doors(tree)) == ["from a import _c", "other._rows", "own._a", "self.x._reader"]
