"""Files and folders of pickles that appear whole or not at all."""

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
_PICKLES = (".pkl", ".pickle")


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """A file that gets its name when the block has ended well.

    Raises StoreExistsError if the name is taken, or cannot be replaced; StoreError if its folder is missing, another
    process exports to it, or what is beside it is somebody else's.
    """
    with _alone(path) as owners:
        _refuse(path, force=force, taken=os.path.lexists(path))
        if path.exists():
            if not path.is_file():
                raise StoreExistsError(f"{path} is no regular file, so no file replaces it: choose another name")
            require_replaceable(path)
        partial = path.with_name(path.name + _SUFFIX)
        if _is_leftover(partial, stat.S_IFREG, owners):
            partial.unlink()
        with _named(partial):
            file = open(partial, "xb")  # noqa: SIM115 - closed below; a file that was there is not ours to remove
        try:
            with _named(partial), file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):  # the next export removes what cannot be removed
                partial.unlink(missing_ok=True)
            raise
        _sync_name(path)


@contextmanager
def new_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to fill with pickles, which gets its name when the block has ended well.

    An empty folder of that name is taken over. Raises StoreExistsError if it holds anything, unless ``force``: then if
    it holds anything but pickles, for it is not what an export made. Raises StoreError as ``new_file`` does.
    """
    path = Path(os.path.realpath(path))  # what a link names is replaced, and the link stays
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
    """Keep other processes from exporting to a name, for they would write to the same partial file or folder.

    Gives whose leftovers may be removed beside it.
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
        with contextlib.suppress(OSError):  # the next export takes the one that cannot be removed
            lock.remove()
        lock.release()


def _is_leftover(path: Path, kind: int, owners: Owners) -> bool:
    """Whether an export of ours left something there. Raises StoreError if it is a link, or somebody else's."""
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
        disk.remove_folder(path)  # of a lower layer of a container, where no folder gets another name
        disk.move_into_place(partial, path, replace=False)


def _sync_name(path: Path) -> None:
    """Bring a new name to the disk. What stands there is complete, whatever becomes of that."""
    try:
        disk.sync_folder(path.parent)
    except OSError as error:
        error.add_note(f"{path} is complete, but might be gone after a power cut")
        raise


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
