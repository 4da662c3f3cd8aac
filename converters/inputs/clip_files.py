"""The files of clips: one file, the files below a folder, or those in a zip file, all named by their path in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from converters.conversion.source import storable_name
from converters.inputs import archive
from converters.inputs.archive import CHUNK_BYTES, Member
from converters.inputs.listing import sizes_below
from skelstore.errors import SourceError
from skelstore.format.files import absolute, open_regular
from skelstore.format.values import is_utf8

_NUMBER = re.compile(r"(.*?)(\d{1,18})", re.ASCII | re.DOTALL)
"""A name and the number at its end."""
_MOST_FRAME = 2**31 - 2


class ClipFiles:
    """Files with one of ``suffixes``: ``path`` itself, all files below it, or those in a zip file.

    ``sizes`` are their bytes by name, sorted by name. Raises SourceError if a folder or zip file has no such file.
    """

    def __init__(self, path: str | os.PathLike[str], suffixes: Sequence[str]) -> None:
        self.path = absolute(path)
        self._folder = self.path if self.path.is_dir() else self.path.parent
        self._beginning = os.path.join(self._folder, "")
        self._members: dict[str, Member] | None = None
        if self.path.is_dir():
            self.sizes = sizes_below(self.path, suffixes)
        elif is_zip(self.path):
            self._members = {member.path: member for member in _clips_in(self.path, suffixes)}
            self.sizes = {name: member.size for name, member in self._members.items()}
        else:
            self.sizes = {self.path.name: self.path.stat().st_size}

    @property
    def is_zip(self) -> bool:
        """Whether the files are in a zip file."""
        return self._members is not None

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, in chunks. Raises SourceError if it is damaged in a zip file, OSError if it is gone."""
        if self._members is None:
            yield from read_chunks(self._folder / name)
            return
        try:
            yield from archive.chunks(self.path, self._members[name])
        except SourceError as error:
            raise SourceError(f"{self.where(name)}: {error}") from None

    def read(self, name: str, most: int) -> bytes:
        """All bytes of a small file. Raises as ``chunks`` does, and SourceError beyond ``most`` bytes."""
        if self._members is None:
            data = _read_up_to(self._beginning + name, most + 1, self.sizes[name])
            if len(data) > most:
                raise SourceError(f"{self.where(name)} has more than {most:,} bytes; expected a small file")
            return data
        parts = []
        size = 0
        for chunk in self.chunks(name):
            size += len(chunk)
            if size > most:
                raise SourceError(f"{self.where(name)} has more than {most:,} bytes; expected a small file")
            parts.append(chunk)
        return b"".join(parts)

    def where(self, name: str) -> str:
        """The path of a file, for messages; that of one in a zip file begins with the zip file's."""
        return self._beginning + name if self._members is None else f"{self.path}: {name}"

    def states(self, names: Iterable[str]) -> list[tuple[int, int, int]]:
        """The size, mtime and ctime of the files on disk that hold these files."""
        paths = [str(self.path)] if self._members is not None else [self._beginning + name for name in names]
        return [(state.st_size, state.st_mtime_ns, state.st_ctime_ns) for state in map(os.stat, paths)]

    def files(self, names: Iterable[str]) -> list[Path]:
        """The files on disk that hold these files."""
        return [self.path] if self._members is not None else [self._folder / name for name in names]


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in chunks."""
    with open(path, "rb", opener=open_regular) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _read_up_to(path: str, most: int, expected: int) -> bytes:
    """The first bytes of a file, at most ``most``; in one step if it has as many as ``expected``."""
    fd = open_regular(path)
    try:
        size = min(expected + 1, most)
        data = os.read(fd, size)
        while size <= len(data) < most and (more := os.read(fd, most - len(data))):
            data += more
    finally:
        os.close(fd)
    return data


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip file does."""
    with open(path, "rb", opener=open_regular) as file:
        return file.read(4) == b"PK\x03\x04"


def _clips_in(path: Path, suffixes: Sequence[str]) -> list[Member]:
    found = {}
    for member in archive.members(path):
        name = PurePosixPath(storable_name(member.path, path) if is_utf8(member.path) else member.path)
        if name.suffix.lower() not in suffixes or name.name.startswith("._"):
            continue
        if name.is_absolute() or ".." in name.parts or name.as_posix() in found:
            raise SourceError(f"{path}: {member.path[:200]!r} is not the unique path of a file in it: get it again")
        found[name.as_posix()] = member._replace(path=name.as_posix())
    if not found:
        raise SourceError(f"{path} is a zip file without a {' or '.join(suffixes)} file")
    return [found[name] for name in sorted(found)]


class FrameFile(NamedTuple):
    """A file that holds one frame: the number in its name, and its name."""

    number: int
    name: str


def group_frames(root: str, names: Iterable[str], ending: str = "") -> tuple[dict[str, list[FrameFile]], list[str]]:
    """The frames of each clip, by number, and the problems of names.

    A clip is a folder; its name is the path of the folder, or ``root`` for files that are in none. If the files of a
    folder have several names before their numbers, they are several clips, ``folder/name``. The number of a frame is
    the last one in the file's name; ``ending`` may follow it.
    """
    problems: list[str] = []
    folders: dict[str, dict[str, list[FrameFile]]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        dot = file.rfind(".", 1, len(file) - 1)
        match = _NUMBER.fullmatch((file if dot < 0 else file[:dot]).removesuffix(ending))
        if match is None or int(match[2]) > _MOST_FRAME:
            problems.append(f"{name}: its name states no frame; expected a number at the end of it")
            continue
        prefix = match[1].rstrip("._- ")
        folders.setdefault(folder, {}).setdefault(prefix, []).append(FrameFile(int(match[2]), name))
    clips: dict[str, list[FrameFile]] = {}
    for folder, clips_in_it in sorted(folders.items()):
        for prefix, frames in sorted(clips_in_it.items()):
            frames.sort()
            for one, next_one in pairwise(frames):
                if one.number == next_one.number:
                    problems.append(f"{one.name} and {next_one.name} are both frame {one.number}; expected one of them")
            own = "/".join(filter(None, (folder, prefix or "_")))
            clips[own if len(clips_in_it) > 1 else folder or root] = frames
    return clips, problems
