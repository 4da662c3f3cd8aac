"""The video files of a folder, by the names of the videos that they show.

The folder is listed once. A name is looked up in that listing and never becomes a part of a path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skelstore.errors import SkelstoreError, SourceError
from skelstore.format.files import open_regular

TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".ogv": "video/ogg",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
}
"""Suffix of video files -> their media type, those first that more browsers play."""

MOST_FILES = 1_000_000
"""Maximum number of files that are listed."""

_NTU = re.compile(r"_rgb$")
"""What NTU RGB+D adds to the name of a video in the name of its file."""


class Folder:
    """The video files below a folder.

    Folders that are symbolic links are not entered. A file that is a symbolic link counts if it leads to a file below
    the folder. Raises SourceError if the folder cannot be listed, or has too many files.
    """

    def __init__(self, path: Path) -> None:
        self.root = os.path.realpath(path)
        if not os.path.isdir(self.root):
            raise SourceError(f"{path} is not a folder; expected the folder of the video files")
        self._files: dict[str, tuple[int, str]] = {}
        ranks = {suffix: rank for rank, suffix in enumerate(TYPES)}
        for number, file in enumerate(_walk(self.root)):
            if number >= MOST_FILES:
                raise SourceError(
                    f"{path} has more than {MOST_FILES:,} files; give the folder of the video files alone"
                )
            stem, suffix = os.path.splitext(os.path.basename(file))
            rank = ranks.get(suffix.lower())
            if rank is None:
                continue
            entry = rank, file
            for name in {stem, _NTU.sub("", stem), os.path.splitext(os.path.relpath(file, self.root))[0]}:
                self._files[name] = min(self._files.get(name, entry), entry)

    def __len__(self) -> int:
        return len({file for _, file in self._files.values()})

    def find(self, name: str | None) -> tuple[str, str] | None:
        """The path of the file of a video with this name, and its media type; None if there is none.

        The file is still a regular file, below the folder.
        """
        if name is None or name not in self._files:
            return None
        file = os.path.realpath(self._files[name][1])
        if not self._is_below(file):
            return None
        try:
            os.close(open_regular(file))
        except (OSError, SkelstoreError):
            return None
        return file, TYPES[os.path.splitext(self._files[name][1])[1].lower()]

    def _is_below(self, file: str) -> bool:
        return os.path.commonpath([self.root, file]) == self.root


def _walk(root: str) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            yield os.path.join(folder, file)


def measure(file: str) -> dict[str, Any]:
    """The frame rate and number of frames of a video file, as its header states them; None without PyAV or a video."""
    unknown = {"rate": None, "frames": None}
    try:
        import av
    except ImportError:
        return unknown
    try:
        with av.open(file) as container:
            if not container.streams.video:
                return unknown
            stream = container.streams.video[0]
            rate = None if stream.average_rate is None else round(float(stream.average_rate), 6)
            return {"rate": rate, "frames": stream.frames or None}
    except (OSError, ValueError, av.FFmpegError):
        return unknown
