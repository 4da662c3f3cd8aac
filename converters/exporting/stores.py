"""Exporting a store as the pickles of a dialect, one video at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from converters.conversion.document import LIST_DOCUMENT, PYSKL_DOCUMENT
from converters.dialects import bare_list, kinetics, single
from converters.exporting.document import write_document, write_value
from converters.exporting.kinetics import export_kinetics
from converters.exporting.origins import origins
from converters.exporting.output import new_file, new_folder
from skelstore import Store
from skelstore.errors import SourceError, StoreExistsError
from skelstore.format.files import local_path
from skelstore.wording import counted

Format: TypeAlias = Literal["pyskl", "list", "kinetics"]
FORMATS: tuple[Format, ...] = get_args(Format)


def export(
    store: Store,
    out: str | os.PathLike[str],
    *,
    format: Format | None = None,
    kpfiles: str | os.PathLike[str] | None = None,
    kpfile_videos: int | None = None,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the videos of a store, or of a view, as pickles that load with Python 3.7 and NumPy 1 and 2.

    If ``format`` is None, the dialect from which the store was made is used; the export then has the same values as the
    source. ``out`` is a file or, for a store made from a folder of annotations, a folder. For ``kinetics`` it is the
    table of contents, and the kpfiles go to the folder ``kpfiles`` (default: ``kpfiles`` beside ``out``): the same
    kpfiles as in the source, or ``kpfile_videos`` videos per kpfile. ``advance`` is called with the number of videos
    written since the last call.

    Raises StoreExistsError if the destination exists and ``force`` is false. With ``force``, it is raised if a folder
    to be replaced holds anything but pickles, or is beside ``out`` without a sign that it belongs to it. Raises
    StoreError if the folder to write to is missing; SourceError if the store does not have what the format needs.
    """
    if kpfile_videos is not None and kpfile_videos < 1:
        raise SourceError(f"kpfile_videos is {kpfile_videos}, expected 1 or more")
    out = local_path(out)
    dialect = format or store.source.get("dialect")
    document = store.source.get("document")
    if not isinstance(document, dict):
        document = PYSKL_DOCUMENT
    if dialect == kinetics.NAME:
        folder = out.parent / "kpfiles" if kpfiles is None else Path(kpfiles)
        contents = PYSKL_DOCUMENT if "annotation" in document else document
        if force and kpfiles is None and not out.exists() and folder.is_dir() and any(folder.iterdir()):
            raise StoreExistsError(
                f"{folder} exists, but {out}, to which it would belong, does not: it may belong to the source, so name "
                "it with --kpfiles to replace it, or choose another place"
            )
        export_kinetics(store, out, folder, contents, kpfile_videos, force=force, advance=advance)
        return
    if kpfiles is not None or kpfile_videos is not None:
        raise SourceError(f"{store.path}: kpfiles are written only with the format kinetics")
    if dialect == single.FOLDER_NAME:
        _export_folder(store, out, force=force, advance=advance)
        return
    if dialect == single.NAME:
        if len(store) != 1:
            raise SourceError(
                f"{store.path} has {counted(len(store), 'video')}; a file of one annotation needs exactly one: use "
                "--format"
            )
        with new_file(out, force=force) as file:
            write_value(file, store[0])
        return
    if dialect == bare_list.NAME or (format is None and "annotations" in document):
        document = LIST_DOCUMENT
    elif "dict" not in document:
        document = PYSKL_DOCUMENT
    with new_file(out, force=force) as file:
        write_document(file, document, store.splits, store, advance)


def _export_folder(store: Store, out: Path, *, force: bool, advance: Callable[[int], None] | None) -> None:
    """Write one file per video, with the name that it had in the source."""
    files = [origin.file if origin else None for origin in origins(store)]
    with new_folder(out, force=force) as folder:
        for i, name in enumerate(files):
            if name is None:
                raise SourceError(f"{store.path}: video {i} does not come from a separate file: use --format")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise SourceError(f"{store.path}: two of these videos come from the file {name!r}: use --format")
            with open(target, "xb") as file:
                write_value(file, store[i])
                file.flush()
                os.fsync(file.fileno())
            if advance:
                advance(1)
