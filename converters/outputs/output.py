"""Files and folders of pickles and arrays that appear only once they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from skelstore.errors import StoreError, StoreExistsError
from skelstore.format import schema
from skelstore.write import disk
from skelstore.write.locks import take_lock
from skelstore.write.owners import Owners, require_kind, require_replaceable, require_writable

_SUFFIX = ".partial"
"""Ends the names of files and folders that are being written."""
_EXPORTED = (".pkl", ".pickle", ".npy")
"""Suffixes of files that ``force`` may remove with a folder: pickles, and the arrays of ST-GCN beside them."""


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a file that gets its name only when the block exits without an error.

    Raises StoreExistsError if the name is taken or cannot be replaced; StoreError if its folder is missing, if another
    process is exporting to it, or if leftovers beside it belong to another user.
    """
    with _alone(path) as owners:
        _refuse(path, force=force, taken=os.path.lexists(path))
        if path.exists():
            if not path.is_file():
                raise StoreExistsError(f"{path} is not a regular file, so it is not replaced: choose another name")
            require_replaceable(path)
        partial = path.with_name(path.name + _SUFFIX)
        if _is_leftover(partial, stat.S_IFREG, owners):
            partial.unlink()
        with _named(partial):
            file = open(partial, "xb")  # noqa: SIM115 - closed below; an existing file is not ours to remove
        try:
            with _named(partial), file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):  # the next export removes what remains
                partial.unlink(missing_ok=True)
            raise
        _sync_name(path)


@contextmanager
def new_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Create a folder for pickles and arrays that gets its name only when the block exits without an error.

    An empty folder with that name is replaced. Raises StoreExistsError if the folder is not empty; with ``force``, only
    if it holds anything but pickles and .npy files, since then an export did not make it. Raises StoreError as
    ``new_file`` does.
    """
    path = Path(os.path.realpath(path))  # the target of a link is replaced, and the link stays
    with _alone(path) as owners:
        partial = path.with_name(path.name + _SUFFIX)
        aside = schema.aside_of(partial)
        leftovers = [folder for folder in (partial, aside) if _is_leftover(folder, stat.S_IFDIR, owners)]
        if aside in leftovers and not path.exists():  # an export was killed between its two renames
            os.rename(aside, path)
            leftovers.remove(aside)
        _refuse(path, force=force, taken=path.exists() and not (path.is_dir() and not any(path.iterdir())))
        for folder in (path, *leftovers):
            _refuse_others(folder)
        if path.exists():
            require_replaceable(path)
        for leftover in leftovers:
            disk.remove_folder(leftover)
        partial.mkdir()
        try:
            with _named(partial):
                yield partial
            disk.sync_tree(partial)
            _move_into_place(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for replaced in (partial, aside):
            if replaced.exists():
                disk.remove_folder(replaced)


@contextmanager
def _alone(path: Path) -> Iterator[Owners]:
    """Lock a name against exports by other processes, which would write to the same partial file or folder.

    Yields the owners whose leftovers may be removed beside it.
    """
    if not path.name:
        raise StoreError(f"{path} cannot be replaced: name a file or folder in it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder: make it before exporting into it")
    require_writable(folder)
    owners = Owners(folder)
    busy = f"{path} is in use: another process is exporting to it, so wait for it or choose another name"
    lock = take_lock(path.with_name(f"{path.name}{_SUFFIX}.lock"), busy, owners)
    try:
        yield owners
    finally:
        with contextlib.suppress(OSError):  # the next export reuses a lock that cannot be removed
            lock.remove()
        lock.release()


def _is_leftover(path: Path, kind: int, owners: Owners) -> bool:
    """Whether our own export left something there. Raises StoreError if it is a link or belongs to another user."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    require_kind(path, status, kind)
    owners.require(path, status)
    return True


def _move_into_place(partial: Path, path: Path) -> None:
    try:
        disk.move_into_place(partial, path, replace=path.exists())
    except OSError as error:
        if error.errno != errno.EXDEV or not path.exists():
            raise
        disk.remove_folder(path)  # a folder in a lower layer of a container cannot be renamed
        disk.move_into_place(partial, path, replace=False)


def _sync_name(path: Path) -> None:
    """Sync a new name to disk. The file or folder is complete even if that fails."""
    try:
        disk.sync_folder(path.parent)
    except OSError as error:
        error.add_note(f"{path} is complete, but may be lost after a power cut")
        raise


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Add the path to an OSError in the block that names no file, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _refuse_others(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreExistsError(f"{folder} is a file, so no folder can replace it: choose another name")
    others = (file for file in sorted(folder.rglob("*")) if not file.is_dir() and file.suffix not in _EXPORTED)
    if (other := next(others, None)) is not None:
        raise StoreExistsError(
            f"{folder} holds {other.relative_to(folder)}, which is neither a pickle nor a .npy, so it is not replaced: "
            "choose another folder"
        )


def _refuse(path: Path, *, force: bool, taken: bool) -> None:
    if taken and not force:
        raise StoreExistsError(f"{path} exists: choose another name, or replace it with --force")
