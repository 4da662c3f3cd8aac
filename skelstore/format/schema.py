"""Names that reading and writing share: files and columns of a store, names of videos, files beside a store."""

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
    """The name of a video: its ``frame_dir``, or its ``filename`` if ``frame_dir`` is not a str."""
    for key in ("frame_dir", "filename"):
        name = annotation.get(key)
        if isinstance(name, str):
            return name
    return None


def name_hash(name: str) -> int:
    """crc32c of a name encoded as UTF-8, in which lone surrogates are encoded too (``surrogatepass``)."""
    return int(google_crc32c.value(name.encode("utf-8", "surrogatepass")))


ORIGIN_COLUMNS = ("skelstore.origin.file", "skelstore.origin.position", "skelstore.origin.keys")


class Origin(NamedTuple):
    """The file that a video comes from, for a source of many files.

    ``file`` is the name of the file relative to the source, ``position`` the video's position in it, and ``keys`` the
    number of the annotation's last keys that come from this file.
    """

    file: str
    position: int
    keys: int


LAYOUT_COLUMN = "skelstore.layout"

POSITION_COLUMN = "skelstore.position"
"""Column of a store whose videos are in another order than in its source: their positions there, int64."""

INTERNAL_COLUMNS = (LAYOUT_COLUMN, *ORIGIN_COLUMNS, POSITION_COLUMN)
"""Columns of ``videos.arrow`` that are not values of an annotation."""


PARTIAL_SUFFIX = ".partial"

REPLACING = "replacing"
"""A file in the workspace while the old store at the destination is removed because it cannot be exchanged."""


def aside_of(new: Path) -> Path:
    """Where ``move_into_place`` keeps the replaced folder on a file system that cannot exchange two names."""
    return new.with_name(new.name + ".replaced")


PERSON_ROWS = "person_rows"
"""Key of int64 [M]: the persons that an annotation has of an array of the GCN code bases, if not the first ones."""


Annotation: TypeAlias = dict[Any, Any]
"""One video as PYSKL documents it (tools/data/README.md): a dict of metadata and arrays."""
