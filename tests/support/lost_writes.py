"""What a power cut leaves: a command is recorded, and its disk is rebuilt without the writes that were not synced.

The model is the weakest that POSIX allows and file systems implement: a file has the content of its last fsync, and a
name exists if its folder was synced after it was made.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from tests.support.crashes import CHANGING
from tests.support.processes import run

Tree: TypeAlias = "dict[str, bytes | Tree]"
Lost: TypeAlias = Literal["names and data", "data", "names"]

_LINE = re.compile(r"\d+ +(\w+)\((.*)\) += \d")
_STRING = re.compile(r'[<"]((?:\\x[0-9a-f]{2})*)[>"]')


class _File:
    def __init__(self, data: bytes = b"", synced: bytes = b"") -> None:
        self.data = data
        self.synced = synced


class _Folder:
    def __init__(self) -> None:
        self.names: dict[str, _File | _Folder] = {}
        self.synced: dict[str, _File | _Folder] = {}


class Disk:
    """The folder ``root`` on a disk, with what is durable in it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = _Folder()
        self._load(root, self._top)

    def _load(self, path: Path, folder: _Folder) -> None:
        for entry in path.iterdir():
            if entry.is_dir():
                below = folder.names[entry.name] = _Folder()
                self._load(entry, below)
            else:
                folder.names[entry.name] = _File(entry.read_bytes(), entry.read_bytes())
        folder.synced = dict(folder.names)

    def _find(self, path: str) -> tuple[_Folder, str]:
        """The folder of a path, and the last name of the path."""
        folder = self._top
        *above, name = Path(path).relative_to(self._root).parts
        for part in above:
            below = folder.names[part]
            assert isinstance(below, _Folder)
            folder = below
        return folder, name

    def _entry(self, path: str) -> _File | _Folder:
        if Path(path) == self._root:
            return self._top
        folder, name = self._find(path)
        return folder.names[name]

    def apply(self, call: str, paths: Sequence[str], data: bytes, shown: str) -> None:
        """Apply a call to the disk."""
        folder, name = self._find(paths[0]) if Path(paths[0]) != self._root else (self._top, "")
        if call == "openat":
            if "O_CREAT" in shown and name not in folder.names:
                folder.names[name] = _File()
            elif "O_TRUNC" in shown:
                folder.names[name].data = b""  # type: ignore[union-attr]
        elif call == "write":
            folder.names[name].data += data  # type: ignore[union-attr]
        elif call in ("fsync", "fdatasync"):
            entry = self._entry(paths[0])
            if isinstance(entry, _File):
                entry.synced = entry.data
            else:
                entry.synced = dict(entry.names)
        elif call in ("mkdir", "mkdirat"):
            folder.names[name] = _Folder()
        elif call in ("unlink", "rmdir", "unlinkat"):
            del folder.names[name]
        else:
            other, target = self._find(paths[1])
            if call == "link":
                other.names[target] = folder.names[name]
            elif "RENAME_EXCHANGE" in shown:
                folder.names[name], other.names[target] = other.names[target], folder.names[name]
            else:
                assert call in ("rename", "renameat2"), call
                other.names[target] = folder.names.pop(name)

    def after_cut(self, lost: Lost) -> Tree:
        """The files and folders after a power cut."""

        def found(folder: _Folder) -> Tree:
            names = folder.names if lost == "data" else folder.synced
            return {
                name: found(entry) if isinstance(entry, _Folder) else entry.data if lost == "names" else entry.synced
                for name, entry in names.items()
            }

        return found(self._top)


def recorded(arguments: Sequence[str], root: Path) -> Iterator[Disk]:
    """Run a command; yield the disk before it, and after every call that changed something below ``root``."""
    disk = Disk(root)
    traced = ("openat", *CHANGING)
    with tempfile.NamedTemporaryFile("r") as log:
        options = ["-f", "-y", "-xx", "-s", "9999999", "-e", f"trace={','.join(traced)}", "-o", log.name]
        done = run(["strace", *options, *arguments])
        assert done.status == 0, done
        lines = log.read().splitlines()
    yield disk
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        call, shown = match.groups()
        strings = [bytes.fromhex(text.replace("\\x", "")) for text in _STRING.findall(shown)]
        data = strings.pop() if call == "write" else b""
        names = [string.decode() for string in strings]
        if call == "openat" or call == "unlinkat":  # relative to an open folder
            names = [str(Path(*names[:2]))]
        paths = [name for name in names if Path(name).is_relative_to(root)]
        if paths and (call != "openat" or "O_CREAT" in shown or "O_TRUNC" in shown):
            disk.apply(call, paths, data, shown)
            yield disk


def materialise(found: Tree, folder: Path) -> None:
    """Create the files and folders of a tree."""
    folder.mkdir()
    for name, entry in found.items():
        if isinstance(entry, dict):
            materialise(entry, folder / name)
        else:
            (folder / name).write_bytes(entry)


def files(found: Tree, prefix: str = "") -> dict[str, bytes]:
    """Path of every file in a tree -> its content."""
    flat: dict[str, bytes] = {}
    for name, entry in found.items():
        flat |= files(entry, f"{prefix}{name}/") if isinstance(entry, dict) else {prefix + name: entry}
    return flat
