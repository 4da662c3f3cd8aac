"""Part records: they let a later run reuse a finished part.

The part record ``part.json`` is the last file that is written into a part's folder. It states what the part was made
from and how (its ``identity``: JSON that must be equal for the part to be the same), what is in the part, and the size
and checksum of every file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from skelstore.errors import SkelstoreError
from skelstore.format import checksums, values
from skelstore.format.checksums import FileEntry, crc32c
from skelstore.format.layouts import FieldIdentity
from skelstore.format.metadata import ColumnMetadata, from_bytes, to_bytes
from skelstore.format.schema import VIDEOS_KEY
from skelstore.format.shards import ShardFile
from skelstore.format.values import Json
from skelstore.write import disk
from skelstore.write.parts import Part

PART_RECORD_KEY = "part.json"


def part_name(number: int, identity: Json) -> str:
    """Name of a finished part's folder; parts with different identities have different names."""
    return f"{number:06}-{hashlib.blake2b(values.dumps(identity).encode(), digest_size=8).hexdigest()}"


class KeptPart(NamedTuple):
    """A finished part, and what was left out of it, as JSON that the writer of the part chooses."""

    part: Part
    left_out: list[Json]


def keep_part(part: Part, folder: Path, identity: Json, left_out: list[Json]) -> Part:
    """Write the record of a finished part, sync the part to disk, and move it to ``folder``.

    If another process has finished the same part meanwhile, that part is returned instead.
    """
    table = disk.seal_file(part.folder / VIDEOS_KEY)
    content = {
        "identity": identity,
        "videos": part.videos,
        "columns": [[list(column.path), column.type] for column in part.columns],
        "fields": [[field.path, field.dtype, field.ragged, list(field.trailing)] for field in part.fields],
        "layouts": part.layouts,
        "rows": part.rows,
        "shards": [[list(shard) for shard in shards] for shards in part.shards],
        "table": [table.size, table.crc32c],
        "left_out": left_out,
    }
    disk.write_file(part.folder / PART_RECORD_KEY, to_bytes({**content, "checksum": _checksum(content)}))
    disk.sync_tree(part.folder)
    try:
        os.rename(part.folder, folder)
    except OSError:
        if not folder.exists():
            raise
        theirs = find_part(folder, identity)
        if theirs is not None:
            return theirs.part
        shutil.rmtree(folder)
        os.rename(part.folder, folder)
    disk.sync_folder(folder.parent)
    return replace(part, folder=folder)


class PartRecord(NamedTuple):
    """What a part record says: the part, what was left out, and the size and checksum of every other file."""

    part: Part
    left_out: list[Json]
    files: dict[str, FileEntry]


def recorded_identity(folder: Path) -> dict[str, Json] | None:
    """The identity that the record of a part states; None if it has no record that is whole. No other file is read."""
    try:
        identity = _content((folder / PART_RECORD_KEY).read_bytes())["identity"]
    except (SkelstoreError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return identity if isinstance(identity, dict) else None


def _content(data: bytes) -> dict[str, Json]:
    """What a part record states. Raises ValueError, and others, if it is not whole."""
    content: dict[str, Json] = from_bytes(data, PART_RECORD_KEY)
    if content.pop("checksum") != _checksum(content):
        raise ValueError("the checksum is wrong")
    return content


def find_part(folder: Path, identity: Json) -> KeptPart | None:
    """The finished part in ``folder``; None unless its record has this identity and every file matches the record."""
    try:
        record = parse_record((folder / PART_RECORD_KEY).read_bytes(), folder, identity)
        if record is None or not all(checksums.has_content(folder / key, file) for key, file in record.files.items()):
            return None
        return KeptPart(record.part, record.left_out)
    except (SkelstoreError, OSError, ValueError):
        return None  # whatever is wrong with it, the part is written again


def parse_record(data: bytes, folder: Path, identity: Json = None) -> PartRecord | None:
    """The record of a part whose files are, or will be, in ``folder``; None unless it is one with this identity.

    Without an identity, a record of any part.
    """
    try:
        content = _content(data)
        if identity is not None and content["identity"] != identity:
            return None
        part = Part(
            folder,
            content["videos"],
            [ColumnMetadata(tuple(path), kind) for path, kind in content["columns"]],
            [FieldIdentity(path, dtype, ragged, tuple(axes)) for path, dtype, ragged, axes in content["fields"]],
            content["layouts"],
            content["rows"],
            [[ShardFile(*shard) for shard in shards] for shards in content["shards"]],
        )
        entries = {VIDEOS_KEY: FileEntry(*content["table"])}
        for number, shards in enumerate(part.shards):
            for shard, file in enumerate(shards):
                entries[part.shard_key(number, shard)] = FileEntry(file.size, file.crc32c)
        return PartRecord(part, content["left_out"], entries)
    except (SkelstoreError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _checksum(content: Json) -> str:
    return f"{crc32c(values.dumps(content).encode()):08x}"
