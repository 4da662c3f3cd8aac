"""What every store must do, checked against the annotations and splits that were written to it."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import skelstore
from skelstore import AmbiguousVideoError, FieldNotFoundError, SplitNotFoundError, VideoIndexError, VideoNotFoundError
from tests.support.exact import assert_exact

Annotation = dict[Any, Any]


def write(
    path: Path, annotations: Sequence[Annotation], splits: Mapping[Any, Any] | None = None, **options: Any
) -> Path:
    """Write a store; return its path."""
    with skelstore.Writer(path, **options) as writer:
        for annotation in annotations:
            writer.add(annotation)
        writer.splits.update(splits or {})
    return path


@contextmanager
def written(
    annotations: Sequence[Annotation], splits: Mapping[Any, Any] | None = None, **options: Any
) -> Iterator[Path]:
    """A store in its own temporary folder, for tests that write many."""
    with tempfile.TemporaryDirectory() as folder:
        yield write(Path(folder) / "made.zarr", annotations, splits, **options)


def name_of(annotation: Annotation) -> str | None:
    """The name under which a store finds a video."""
    for key in ("frame_dir", "filename"):
        if isinstance(annotation.get(key), str):
            return str.__str__(annotation[key])
    return None


def split_positions(annotations: Sequence[Annotation], ids: Any) -> list[int]:
    """Positions of the videos of a split, as ``PoseDataset.load_pkl_annotations`` of PYSKL selects them.

    An annotation at which PYSKL would fail (without an identifier, or with one that is not hashable) is left out.
    """
    if not annotations:
        return []
    identifier = "filename" if "filename" in annotations[0] else "frame_dir"
    wanted = {i for i in ids if is_hashable(i)}
    found = [annotation.get(identifier, []) for annotation in annotations]  # a list is not hashable
    return [i for i, value in enumerate(found) if is_hashable(value) and value in wanted]


def is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def check_store(store: skelstore.Store, annotations: Sequence[Annotation], splits: Mapping[Any, Any]) -> None:
    """Check a whole store, its views and their pickled copies against what was written."""
    check_videos(store, annotations)
    assert_exact(store.splits, dict(splits), "splits")
    assert_exact(list(pickle.loads(pickle.dumps(store))), list(annotations), "pickled store")
    missing = next(name for name in ("no split", "no split either") if name not in splits)
    with pytest.raises(SplitNotFoundError, match="has no split"):
        store.split(missing)
    for name, ids in splits.items():
        view = store.split(name)
        expected = [annotations[i] for i in split_positions(annotations, ids)]
        check_videos(view, expected)
        check_videos(pickle.loads(pickle.dumps(view)), expected)
        assert_exact(view.splits, dict(splits), "splits of a view")
        for other, other_ids in splits.items():
            both = [
                annotations[i]
                for i in split_positions(annotations, ids)
                if i in split_positions(annotations, other_ids)
            ]
            assert_exact(list(view.split(other)), both, f"split {other!r} of split {name!r}")
        if expected:
            check_select(view, expected)
    if annotations:
        check_select(store, annotations)
    store.close()
    assert_exact(list(store), list(annotations), "after close")
    store.close()


def check_videos(store: skelstore.Store, annotations: Sequence[Annotation]) -> None:
    """Check a store or a view against the annotations that it must have, in order."""
    count = len(annotations)
    assert len(store) == count
    assert store.videos.num_rows == count
    assert_exact(list(store), list(annotations), "iteration")
    assert f"{count}" in repr(store)
    check_positions(store, annotations)
    check_names(store, annotations)
    for position, annotation in enumerate(annotations):
        check_lazy(store.lazy(position), annotation)


def check_positions(store: skelstore.Store, annotations: Sequence[Annotation]) -> None:
    count = len(annotations)
    for position, annotation in enumerate(annotations):
        assert_exact(store[position], annotation, f"[{position}]")
        assert_exact(store[position - count], annotation, f"[{position - count}]")
        assert_exact(store[np.int32(position)], annotation, f"[int32 {position}]")
        assert_exact(store[np.uint8(position)], annotation, f"[uint8 {position}]")
    for outside in (count, -count - 1, np.int64(count), 2**70):
        with pytest.raises(VideoIndexError, match=f"has {count} video{'' if count == 1 else 's'}, none at"):
            store[outside]
        with pytest.raises(IndexError):
            store.lazy(outside)
    for nonsense in (1.0, None, slice("a"), [0], (0,)):
        with pytest.raises(TypeError):
            store[nonsense]  # type: ignore[index]
    order = [*range(count), *reversed(range(count)), *range(0, count, 2)]
    expected = [annotations[i] for i in order]
    assert_exact(store.read(order), expected, "read")
    assert_exact(store.read(iter(order)), expected, "read of an iterator")
    assert_exact(store.read(np.array(order, np.int64)), expected, "read of an array")
    assert_exact(store.__getitems__(order), expected, "__getitems__")
    assert_exact(store.read([-1 - i for i in order]), [annotations[-1 - i] for i in order], "read from the end")
    assert store.read([]) == []
    with pytest.raises(VideoIndexError):
        store.read([*order, count])


def check_names(store: skelstore.Store, annotations: Sequence[Annotation]) -> None:
    named: dict[str, list[int]] = {}
    for position, annotation in enumerate(annotations):
        name = name_of(annotation)
        if name is not None:
            named.setdefault(name, []).append(position)
    unique = {name: positions[0] for name, positions in named.items() if len(positions) == 1}
    for name, positions in named.items():
        assert name in store
        if name in unique:
            assert store.index(name) == positions[0]
            assert_exact(store[name], annotations[positions[0]], f"[{name!r}]")
            assert_exact(store[np.str_(name)], annotations[positions[0]], f"[str_ {name!r}]")
            check_lazy(store.lazy(name), annotations[positions[0]])
        else:
            for ask in (store.index, store.__getitem__, store.lazy, lambda name: store.read([name])):
                with pytest.raises(AmbiguousVideoError) as caught:
                    ask(name)
                assert f"{len(positions)} videos" in str(caught.value)
                assert ", ".join(map(str, positions[:5])) in str(caught.value)
    assert_exact(store.read(unique), [annotations[i] for i in unique.values()], "read by name")
    for absent in ("no such video", "", "A", "a ", "\udfff", "a" * 1000):
        if absent in named:
            continue
        assert absent not in store
        for ask in (store.index, store.__getitem__, store.lazy, lambda name: store.read([name])):
            with pytest.raises(VideoNotFoundError, match="has no video named"):
                ask(absent)
    for never in (0, None, b"a", 1.5, ("a",)):
        assert never not in store


def check_lazy(lazy: Mapping[Any, Any], annotation: Annotation) -> None:
    assert isinstance(lazy, Mapping)
    assert len(lazy) == len(annotation)
    assert_exact(list(lazy), list(annotation), "keys of a lazy annotation")
    for key in reversed(list(lazy)):
        if key == key:  # a dict does not find NaN either, unless it is the same object
            assert key in lazy
            assert_exact(lazy[key], annotation[key], f"lazy[{key!r}]")
            assert lazy[key] is lazy[key]
    assert_exact(dict(lazy), annotation, "dict of a lazy annotation")
    missing = ("no such key", 1)
    assert missing not in lazy
    assert lazy.get(missing, 17) == 17
    with pytest.raises(FieldNotFoundError, match="the video at position"):
        lazy[missing]


def check_select(store: skelstore.Store, annotations: Sequence[Annotation]) -> None:
    """Check ``select`` by brute force: over the table for any column, over the annotations for ``label``."""
    table = store.videos
    for name in table.column_names[:8]:
        found = table[name].is_valid().to_pylist()
        expected = [annotation for annotation, keep in zip(annotations, found, strict=True) if keep]
        assert_exact(list(store.select(pc.field(name).is_valid())), expected, f"select {name} is valid")
    label = next((n for n in ("label", "label:int") if n in table.column_names and table[n].type == pa.int64()), None)
    if (
        label
        and all(type(annotation.get("label")) is int for annotation in annotations)
        and not table[label].null_count
    ):
        middle = sorted(annotation["label"] for annotation in annotations)[len(annotations) // 2]
        below = [annotation for annotation in annotations if annotation["label"] < middle]
        view = store.select(pc.field(label) < pa.scalar(middle, pa.int64()))
        check_videos(view, below)
        check_videos(pickle.loads(pickle.dumps(view)), below)
        assert len(view.select(pc.field(label) >= pa.scalar(middle, pa.int64()))) == 0
    with pytest.raises(FieldNotFoundError, match="the table has the columns"):
        store.select(pc.field("no such column") == 1)
