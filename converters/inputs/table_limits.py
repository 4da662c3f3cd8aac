"""Bounds of a table of videos, and what the names of its columns may be, whatever kind of file it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NoReturn

from skelstore.errors import SourceError

MOST_ROWS = 1_000_000
MOST_COLUMNS = 1000
MOST_BYTES = 256 << 20


def refuse_large(path: Path, found: str) -> NoReturn:
    """Raise SourceError for a table that is beyond a bound, of which ``found`` says how large it is."""
    raise SourceError(
        f"{path} has {found}; expected a table of videos of at most {MOST_ROWS:,} rows, {MOST_COLUMNS:,} columns "
        f"and {MOST_BYTES:,} bytes: convert it in parts"
    )


def check_names(path: Path, names: list[str]) -> None:
    """Raise SourceError for names of columns that occur twice, are empty or have blanks around them."""
    if twice := [repr(name) for name, count in Counter(names).items() if count > 1]:
        raise SourceError(f"{path} has several columns of the name {', '.join(twice)[:300]}; expected one of each")
    if odd := [repr(name) for name in names if name != name.strip() or not name]:
        raise SourceError(
            f"{path} has a column of the name {', '.join(odd)[:300]}; expected names without blanks around them, and a "
            "name for each (pandas writes one for its index, unless index=False)"
        )
