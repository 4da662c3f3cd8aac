"""The names, signatures and errors that users depend on. A change here needs an entry in the CHANGELOG."""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import pytest

import skelstore
from tests.support.processes import run_python

EXPORTED = [
    "AmbiguousVideoError",
    "DamageError",
    "Decompressed",
    "DecompressionError",
    "DrawingError",
    "EmptyVideoError",
    "Field",
    "FieldNotFoundError",
    "FrameIndexError",
    "HeatmapError",
    "JointLayoutError",
    "LazyAnnotation",
    "MergeError",
    "MissingPackageError",
    "RemoteAccessError",
    "RemoteBusyError",
    "RemoteError",
    "SkelstoreError",
    "SourceError",
    "SplitNotFoundError",
    "Store",
    "StoreError",
    "StoreExistsError",
    "StoreNotFoundError",
    "StoreReplacedError",
    "UnsupportedValueError",
    "VideoIndexError",
    "VideoNotFoundError",
    "WorkerError",
    "Writer",
    "decompress_pose",
    "merge",
    "open",
    "subset",
]

ERRORS: dict[str, tuple[str, ...]] = {
    "SkelstoreError": ("Exception",),
    "StoreError": ("SkelstoreError", "ValueError"),
    "DamageError": ("StoreError",),
    "StoreNotFoundError": ("SkelstoreError", "FileNotFoundError"),
    "StoreReplacedError": ("StoreError",),
    "StoreExistsError": ("SkelstoreError", "FileExistsError"),
    "VideoNotFoundError": ("SkelstoreError", "KeyError"),
    "AmbiguousVideoError": ("SkelstoreError", "KeyError"),
    "VideoIndexError": ("SkelstoreError", "IndexError"),
    "SplitNotFoundError": ("SkelstoreError", "KeyError"),
    "FieldNotFoundError": ("SkelstoreError", "KeyError"),
    "UnsupportedValueError": ("SkelstoreError", "TypeError"),
    "SourceError": ("SkelstoreError", "ValueError"),
    "WorkerError": ("SkelstoreError", "RuntimeError"),
    "MergeError": ("SkelstoreError", "ValueError"),
    "FrameIndexError": ("SkelstoreError", "IndexError"),
    "HeatmapError": ("SkelstoreError", "ValueError"),
    "JointLayoutError": ("SkelstoreError", "ValueError"),
    "DecompressionError": ("SkelstoreError", "ValueError"),
    "EmptyVideoError": ("DecompressionError",),
    "DrawingError": ("SkelstoreError", "ValueError"),
    "RemoteError": ("SkelstoreError", "OSError"),
    "RemoteAccessError": ("RemoteError", "PermissionError"),
    "RemoteBusyError": ("RemoteError",),
    "MissingPackageError": ("SkelstoreError", "ImportError"),
}

SIGNATURES = {
    "merge": "(stores: 'Sequence[str | os.PathLike[str]]', path: 'str | os.PathLike[str]', *, "
    "allow: 'Sequence[Conflict]' = (), as_splits: 'Sequence[str]' = (), cast: 'bool' = False, copy: 'bool' = False, "
    "force: 'bool' = False, advance: 'Callable[[int], None] | None' = None) -> 'None'",
    "subset": "(view: 'Store', path: 'str | os.PathLike[str]', *, force: 'bool' = False, "
    "advance: 'Callable[[int], None] | None' = None) -> 'None'",
    "open": "(path: 'str | os.PathLike[str] | Url', *, check: 'Check' = 'first', mmap: 'bool' = True, "
    "cache: 'Cache' = 'auto') -> 'Store'",
    "Writer": "(path: 'str | os.PathLike[str]', *, profile: 'Profile' = 'default', force: 'bool' = False, "
    "source: 'dict[str, Json] | None' = None) -> 'None'",
    "Writer.add": "(self, annotation: 'Annotation') -> 'None'",
    "Writer.close": "(self) -> 'None'",
    "Writer.abort": "(self) -> 'None'",
    "Store.__len__": "(self) -> 'int'",
    "Store.__iter__": "(self) -> 'Iterator[Annotation]'",
    "Store.__contains__": "(self, name: 'object') -> 'bool'",
    "Store.__getitem__": "(self, key: 'str | SupportsIndex | slice') -> 'Annotation | Store'",
    "Store.get": "(self, name: 'str', default: 'Any' = None) -> 'Any'",
    "Store.__getitems__": "(self, indices: 'Sequence[SupportsIndex]') -> 'list[Annotation]'",
    "Store.read": "(self, indices: 'Iterable[str | SupportsIndex]') -> 'list[Annotation]'",
    "Store.read_one": "(self, key: 'str | SupportsIndex', *, fields: 'Iterable[Any] | None' = None, "
    "frames: 'Frames | None' = None) -> 'Annotation'",
    "Store.decompressed": "(self, *, box_thr: 'float | None' = None, squeeze: 'bool' = True, max_person: 'int' = 10, "
    "valid_ratio: 'float | None' = None) -> 'Decompressed'",
    "Store.at": "(self, positions: 'Sequence[int] | np.ndarray[Any, Any]') -> 'Store'",
    "decompress_pose": "(annotation: 'Mapping[str, Any]', *, squeeze: 'bool' = True, max_person: 'int' = 10) "
    "-> 'dict[str, Any]'",
    "Store.show": "(self, key: 'str | SupportsIndex', *, frames: 'slice | None' = None, "
    "persons: 'Sequence[int] | None' = None, scale: 'float | None' = None, fps: 'float | None' = None, "
    "heatmap: 'Heatmap | None' = None, video: 'str | os.PathLike[str] | None' = None) -> 'Animation'",
    "Store.lazy": "(self, key: 'str | SupportsIndex') -> 'LazyAnnotation'",
    "Store.index": "(self, name: 'str') -> 'int'",
    "Store.name": "(self, position: 'int') -> 'str | None'",
    "Store.split": "(self, name: 'str') -> 'Store'",
    "Store.select": "(self, expression: 'pc.Expression') -> 'Store'",
    "Store.files": "(self) -> 'dict[str, int]'",
    "Store.origins": "(self) -> 'list[Origin | None]'",
    "Store.close": "(self) -> 'None'",
}

PROPERTIES = {"class_names", "fields", "joints", "labels", "path", "profile", "source", "splits", "videos", "zarr"}


def test_the_exported_names() -> None:
    assert skelstore.__all__ == EXPORTED
    assert all(hasattr(skelstore, name) for name in EXPORTED)


def test_every_exported_name_has_a_docstring() -> None:
    for name in EXPORTED:
        thing = getattr(skelstore, name)
        assert thing.__doc__, name
    for name in PROPERTIES - {"path"}:
        assert getattr(skelstore.Store, name).__doc__, name
    for name in SIGNATURES:
        assert name.startswith("Store.__") or found(name).__doc__, name


def found(name: str) -> Any:
    thing: Any = skelstore
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_as_users_know_it(name: str) -> None:
    assert str(inspect.signature(found(name))) == SIGNATURES[name]


def test_a_store_has_no_other_public_member() -> None:
    public = {name for name in vars(skelstore.Store) if not name.startswith("_")}
    methods = {name.removeprefix("Store.") for name in SIGNATURES if name.startswith("Store.") and "__" not in name}
    assert public == methods | PROPERTIES
    public = {name for name in vars(skelstore.Writer) if not name.startswith("_")}
    assert public == {name.removeprefix("Writer.") for name in SIGNATURES if name.startswith("Writer.")}
    assert skelstore.Field._fields == ("dtype", "ragged", "trailing", "rows")


def test_the_error_tree() -> None:
    errors = {
        name: tuple(base.__name__ for base in thing.__bases__)
        for name in skelstore.__all__
        if isinstance(thing := getattr(skelstore, name), type) and issubclass(thing, Exception)
    }
    assert errors == dict(sorted(ERRORS.items()))
    for name, bases in ERRORS.items():
        line = f"{name} " if name != "SkelstoreError" else name
        assert line in (sys.modules["skelstore.errors"].__doc__ or ""), f"{name} is not in the drawing of the tree"
        for base in bases[1:]:
            assert f"({base})" in (sys.modules["skelstore.errors"].__doc__ or "")


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_shows_its_sentence_as_it_is(name: str) -> None:
    """KeyError and OSError would show a repr or an errno. Control characters are escaped."""
    kind = getattr(skelstore, name)
    assert str(kind('it\'s "so": do that')) == 'it\'s "so": do that'
    assert str(kind("do\nthat\x1b[2J")) == r"do\nthat\x1b[2J"
    assert str(kind("")) == ""


def test_the_package_lists_the_first_steps_first() -> None:
    text = skelstore.__doc__ or ""
    assert text.index("skelstore.open(") < text.index("store[") < text.index("skelstore convert") < text.index("Writer")


def test_an_unsupported_value_is_kept() -> None:
    error = skelstore.UnsupportedValueError("text", ".a[1]", 1j)
    assert (error.place, error.value) == (".a[1]", 1j)


IMPORT = """if True:
    import json, logging, os, signal, sys, threading
    def state():
        return threading.active_count(), len(logging.root.handlers), [os.getcwd(), dict(os.environ)]
    before = state()
    files = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    handler = signal.getsignal(signal.SIGINT)
    from skelstore import *
    assert handler is signal.getsignal(signal.SIGINT)
    if files:
        assert len(set(os.listdir("/proc/self/fd")) - files) == 0, set(os.listdir("/proc/self/fd")) - files
    after = state()
    tasks = len(os.listdir("/proc/self/task")) if files else 1
    print(json.dumps([before[0], after[0], before[1] == after[1], before[2] == after[2], tasks]))
"""


def test_importing_starts_no_thread_and_changes_no_global_state() -> None:
    done = run_python(IMPORT, check=True)
    before, after, same_handlers, same_surroundings, tasks = json.loads(done.stdout)
    assert before == after == 1
    assert same_handlers
    assert same_surroundings
    assert done.stderr == ""
    bare = """if True:
        import os, numpy, pyarrow, pyarrow.compute, numcodecs.blosc, google_crc32c
        print(len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 1)
    """
    without = run_python(bare, check=True)
    assert tasks <= int(without.stdout), "importing skelstore starts threads beyond those of its libraries"
