"""Files and folders of pickles that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from skelstore import disk
from skelstore.errors import StoreError, StoreExistsError
from skelstore.workspace import take_lock

_SUFFIX = ".partial"
_PICKLES = (".pkl", ".pickle")


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """A file that gets its name when the block has ended well.

    Raises StoreExistsError if the name is taken, StoreError if its folder is missing or another process exports to it.
    """
    with _alone(path):
        _refuse(path, force=force, taken=path.exists())
        partial = path.with_name(path.name + _SUFFIX)
        try:
            with _named(partial), open(partial, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):  # the next export writes over what cannot be removed
                partial.unlink(missing_ok=True)
            raise
        disk.sync_folder(path.parent)


@contextmanager
def new_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to fill with pickles, which gets its name when the block has ended well.

    An empty folder of that name is taken over. Raises StoreExistsError if it holds anything, unless ``force``: then if
    it holds anything but pickles, for it is not what an export made. Raises StoreError as ``new_file`` does.
    """
    with _alone(path):
        partial = path.with_name(path.name + _SUFFIX)
        aside = disk.aside_of(partial)
        if aside.exists() and not path.exists():  # an export was killed between its two renames
            os.rename(aside, path)
        _refuse(path, force=force, taken=path.exists() and not (path.is_dir() and not any(path.iterdir())))
        for folder in (path, partial, aside):
            _refuse_others(folder)
        for leftover in (partial, aside):
            if leftover.exists():
                disk.remove_folder(leftover)
        partial.mkdir()
        try:
            with _named(partial):
                yield partial
            disk.sync_tree(partial)
            disk.move_into_place(partial, path, replace=path.exists())
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for replaced in (partial, aside):
            if replaced.exists():
                disk.remove_folder(replaced)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from exporting to a name, for they would write to the same partial file or folder."""
    if not path.name:
        raise StoreError(f"{path} cannot be replaced: name a file or folder in it")
    if not path.absolute().parent.is_dir():
        raise StoreError(f"{path.absolute().parent} is not a folder: make it before exporting into it")
    file = path.with_name(f"{path.name}{_SUFFIX}.lock")
    lock = take_lock(
        file, f"{path} is in use: another process is exporting to it, so wait for it or choose another name"
    )
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the next export takes the one that cannot be removed
            file.unlink()
        os.close(lock)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error of writing say where: the one of a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _refuse_others(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreExistsError(f"{folder} is a file, so no folder replaces it: choose another name")
    others = (file for file in sorted(folder.rglob("*")) if not file.is_dir() and file.suffix not in _PICKLES)
    if (other := next(others, None)) is not None:
        raise StoreExistsError(
            f"{folder} holds {other.relative_to(folder)}, no pickle, so it is not replaced: choose another folder"
        )


def _refuse(path: Path, *, force: bool, taken: bool) -> None:
    if taken and not force:
        raise StoreExistsError(f"{path} exists: choose another name, or replace it with --force")
