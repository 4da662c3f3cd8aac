"""A folder with one file per video, with its path in the source."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from converters.outputs.origins import origins
from converters.outputs.output import new_folder
from skelstore import Store
from skelstore.errors import SourceError


def write_video_files(
    store: Store,
    out: Path,
    write: Callable[[BinaryIO, int], None],
    *,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the folder ``out``. ``write`` writes the video at a position to its file.

    Raises SourceError if a video does not come from a separate file, and as ``new_folder`` does.
    """
    files = [origin.file if origin else None for origin in origins(store)]
    with new_folder(out, force=force) as folder:
        for position, name in enumerate(files):
            if name is None:
                raise SourceError(f"{store.path}: video {position} does not come from a separate file: use --format")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise SourceError(f"{store.path}: two of these videos come from the file {name!r}: use --format")
            with open(target, "xb") as file:
                write(file, position)
                file.flush()
                os.fsync(file.fileno())
            if advance:
                advance(1)
