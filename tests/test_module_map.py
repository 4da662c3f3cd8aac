"""The map of modules in docs/design.md holds, and so does what it promises: layers, and no circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ["skelstore", "converters"]
#: The circles that are left.
KNOWN = {"read.store imports read.decompressed"}


def modules(package: str) -> dict[str, Path]:
    """Dotted name below the package -> file, of every module that is not the file of a folder."""
    folder = REPOSITORY / package
    paths = [path for path in folder.rglob("*.py") if not path.stem.startswith("__")]
    return {".".join(path.relative_to(folder).with_suffix("").parts): path for path in paths}


def mapped(package: str) -> dict[str, tuple[int, int]]:
    """Dotted name of each module in the map -> number of its row, and its place in that row."""
    text = (REPOSITORY / "docs/design.md").read_text()
    section = text.split(f"| {package} | what it knows |")[1].split("\n\n")[0]
    places = {}
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ") and "`" in line]
    for number, (room, _, names) in enumerate(rows):
        folder = re.findall(r"`([\w/]+)/`", room)
        prefix = f"{folder[0]}/".replace("/", ".") if folder else ""
        for place, name in enumerate(re.findall(r"`(\w+)`", names)):
            assert prefix + name not in places, f"{prefix}{name} stands twice in the map"
            places[prefix + name] = number, place
    return places


def imported(path: Path, package: str) -> Iterator[str]:
    """Modules of the package that a module imports anywhere, for type checkers and in functions too."""
    known = modules(package)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
            base = (node.module or "").removeprefix(package).removeprefix(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".removeprefix(".")
                if name in known or base in known:
                    yield name if name in known else base
        elif isinstance(node, ast.Import):
            names = (alias.name.removeprefix(f"{package}.") for alias in node.names)
            yield from (name for name in names if name in known)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_map_lists_every_module(package: str) -> None:
    assert set(mapped(package)) == {name for name in modules(package) if not name.startswith("bench.")}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_imports_only_what_stands_before_it(package: str) -> None:
    """From rows above its own, and from what stands before it in its own row."""
    place = mapped(package)
    backwards = [
        f"{module} imports {name}"
        for module in place
        for name in imported(modules(package)[module], package)
        if not name.startswith("bench.") and place[name] >= place[module]
    ]
    assert set(backwards) <= KNOWN
