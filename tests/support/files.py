"""The files below a folder: their names and contents."""

from __future__ import annotations

from pathlib import Path


def names_in(folder: Path) -> list[str]:
    """Names of the files and folders in a folder."""
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes]:
    """Path of each file below a folder, relative to it, to what the file holds."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
