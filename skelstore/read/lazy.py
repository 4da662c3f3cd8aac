"""One video whose values are read on access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from skelstore.errors import FieldNotFoundError, StoreError
from skelstore.read.location import placed_at_video
from skelstore.read.reader import Reader
from skelstore.wording import closest


class LazyAnnotation(Mapping[Any, Any]):
    """The video at ``row`` of the table; each value is read on first access, and kept."""

    def __init__(self, reader: Reader, row: int) -> None:
        self._row = row
        self._reader = reader
        self._entries = reader.entries(row)
        self._read: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        if key not in self._read:
            if key not in self._entries:
                raise no_keys(self._reader, self._row, [key])
            try:
                self._read[key] = self._entries[key](self._row)
            except StoreError as error:
                raise placed_at_video(error, self._reader.path, self._row) from error
        return self._read[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __repr__(self) -> str:
        return f"<LazyAnnotation of {', '.join(map(str, self._entries))}>"


def no_keys(reader: Reader, row: int, keys: Iterable[Any]) -> FieldNotFoundError:
    """The error for keys that the annotation of a video does not have; it suggests similar keys."""
    missing, there = list(keys), reader.entries(row)
    close = next(filter(None, (closest(key, there) for key in missing)), "")
    return FieldNotFoundError(
        f"{reader.path}: the video at position {row} has no {', '.join(map(repr, missing))}; it has "
        f"{', '.join(map(str, there))}{close}"
    )
