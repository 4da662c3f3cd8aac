"""Bounds of a table of videos, and rules for the names of its columns, for all kinds of files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NoReturn

from skelstore.errors import SourceError

MOST_ROWS = 1_000_000
MOST_COLUMNS = 1000
MOST_BYTES = 256 << 20
"""The largest table that is read: its rows, columns, and uncompressed bytes."""


def refuse_large(path: Path, found: str) -> NoReturn:
    """Raise SourceError for a table that exceeds a bound; ``found`` states its size."""
    raise SourceError(
        f"{path} has {found}; expected a table of videos of at most {MOST_ROWS:,} rows, {MOST_COLUMNS:,} columns "
        f"and {MOST_BYTES:,} bytes: convert it in parts"
    )


def check_names(path: Path, names: list[str]) -> None:
    """Raise SourceError for names of columns that occur twice, are empty, or begin or end with blanks."""
    if twice := [repr(name) for name, count in Counter(names).items() if count > 1]:
        raise SourceError(f"{path} has several columns named {', '.join(twice)[:300]}; expected unique names")
    if odd := [repr(name) for name in names if name != name.strip() or not name]:
        raise SourceError(
            f"{path} has a column named {', '.join(odd)[:300]}; expected a name for each column, without blanks around "
            "it (pandas writes its index as a column without a name: use index=False)"
        )
