"""Names of the store format that reading and writing agree on: files, columns, videos, what is beside a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import google_crc32c

FORMAT_VERSION = 1

ROOT_KEY = "zarr.json"

MANIFEST_KEY = "manifest.json"

VIDEOS_KEY = "videos.arrow"

SPLITS_KEY = "splits.arrow"

NAMES_KEY = "names.arrow"


def video_name(annotation: Annotation) -> str | None:
    """The name under which a video is found: its ``frame_dir``, or where that is no text its ``filename``."""
    for key in ("frame_dir", "filename"):
        name = annotation.get(key)
        if isinstance(name, str):
            return name
    return None


def name_hash(name: str) -> int:
    """crc32c of a name's UTF-8 form (lone surrogates encoded as they are)."""
    return int(google_crc32c.value(name.encode("utf-8", "surrogatepass")))


ORIGIN_COLUMNS = ("skelstore.origin.file", "skelstore.origin.position", "skelstore.origin.keys")


class Origin(NamedTuple):
    """Where a source has many files: the one that a video is from.

    ``file`` is its name relative to the source, ``position`` the video's place in it, ``keys`` how many of the
    annotation's keys, the last ones, are from it.
    """

    file: str
    position: int
    keys: int


LAYOUT_COLUMN = "skelstore.layout"

INTERNAL_COLUMNS = (LAYOUT_COLUMN, *ORIGIN_COLUMNS)
"""Columns of ``videos.arrow`` that are no value of an annotation."""


PARTIAL_SUFFIX = ".partial"

REPLACING = "replacing"
"""A file in the workspace while the store at the destination is removed, for want of a way to exchange it."""


def aside_of(new: Path) -> Path:
    """Where ``move_into_place`` keeps what a folder replaces, on a file system that cannot exchange two names."""
    return new.with_name(new.name + ".replaced")


Annotation: TypeAlias = dict[Any, Any]
"""One video as PYSKL documents it (tools/data/README.md): a dict of metadata and arrays."""
