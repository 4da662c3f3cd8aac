"""Sparse files in the cache: the bytes of a remote file at their own places, and after them a head.

The head says which bytes are there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from skelstore.format.files import write_at
from skelstore.remote.cache import Cache


def open_sparse(cache: Cache, path: Path, size: int, head: bytes) -> int:
    """Open the file of ``size`` bytes and a head as long as ``head``; make it with this head if there is none.

    Returns the descriptor, for reading and writing. Raises RemoteError if neither is possible.
    """
    for _ in range(5):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            _make_sparse(cache, path, size, head)
            continue
        except OSError as error:
            raise cache.broken(error) from error
        if os.fstat(fd).st_size == size + len(head):
            return fd
        os.close(fd)
        with contextlib.suppress(OSError):  # not a file that we have made
            os.unlink(path)
    raise cache.broken(OSError(0, "a file in it comes and goes"))


def _make_sparse(cache: Cache, path: Path, size: int, head: bytes) -> None:
    cache.make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(fd, size)
            write_at(fd, head, size)  # not left sparse: to say that bytes are there must not fail for lack of space
        finally:
            os.close(fd)
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(temporary, path)
    except FileNotFoundError:  # the folder was cleared
        return
    except OSError as error:
        raise cache.broken(error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
