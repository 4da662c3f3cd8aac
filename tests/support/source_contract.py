"""What the Source of every dialect must do, checked against the annotations and splits in its files."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.conversion.source import Source
from converters.dialects.registry import DIALECTS
from skelstore.format.schema import Origin
from tests.support.exact import assert_exact

Annotation = dict[Any, Any]


def dump(path: Path, value: object, protocol: int = 4) -> Path:
    """Write a pickle with Python's own pickler; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def load(path: Path) -> Any:
    """Load a pickle with Python's own unpickler: the oracle of all tests of exactness."""
    return pickle.loads(path.read_bytes())


def check_source(source: Source, annotations: Sequence[Annotation], splits: Mapping[Any, Any]) -> None:
    """Check a source against what it must give, then close it."""
    try:
        assert isinstance(source.path, Path)
        assert source.dialect in (*DIALECTS, "track")
        _check_indexing(source, annotations)
        _check_reading(source, annotations, splits)
        files = source.files(0, len(source))
        assert all(file.is_file() for file in files)
        assert all(set(source.files(i, i + 1)) <= set(files) for i in range(len(source)))
        assert_exact(json.loads(json.dumps(source.settings())), source.settings())
        sent = pickle.dumps(source)
        copied = pickle.loads(sent)
        try:
            _check_reading(copied, annotations, splits)
        finally:
            copied.close()
        assert_exact(len(source), len(annotations), "after a copy was closed")
        if annotations:
            assert_exact(source.video(0)[0], annotations[0], "after a copy was closed")
        source.close()
        _check_reading(source, annotations, splits)
        source.close()
    finally:
        source.close()


def _check_indexing(source: Source, annotations: Sequence[Annotation]) -> None:
    """Check that what is known so far is read correctly, also by pickled copies, and that in the end all is known."""
    known = 0
    while True:
        assert known <= source.indexed <= len(annotations)
        known = source.indexed
        assert len(source.sizes()) == known
        copied = pickle.loads(pickle.dumps(source))
        try:
            assert copied.indexed == known
            for index in {0, known // 2, known - 1} & set(range(known)):
                assert_exact(source.video(index)[0], annotations[index], f"video({index}) of {known} known ones")
                assert_exact(copied.video(index)[0], annotations[index], f"video({index}) of {known}, in a copy")
        finally:
            copied.close()
        if not source.index_more():
            break
    assert known == len(annotations)
    assert not source.index_more()


def _check_reading(source: Source, annotations: Sequence[Annotation], splits: Mapping[Any, Any]) -> None:
    count = len(annotations)
    assert len(source) == count

    sizes = source.sizes()
    assert isinstance(sizes, np.ndarray)
    assert sizes.dtype == np.int64
    assert sizes.shape == (count,)
    assert (sizes > 0).all()

    for index in [*range(count), *reversed(range(count)), *range(0, count, 2)]:
        annotation, origin = source.video(index)
        assert_exact(annotation, annotations[index], f"video({index})")
        assert origin is None or isinstance(origin, Origin)
        if origin is not None:
            assert not origin.file.startswith("/")
            assert origin.position >= 0
            assert 0 <= origin.keys <= len(annotation)
        again, origin_again = source.video(index)
        assert_exact(again, annotations[index], f"video({index}) again")
        assert origin_again == origin
        # A caller may change an annotation.
        annotation.clear()
        again["of the caller"] = 1
        assert_exact(source.video(index)[0], annotations[index], f"video({index}) after its caller changed it")

    for start, stop in ((0, count), (0, 0), (count // 2, count)):
        files = source.files(start, stop)
        assert all(isinstance(file, Path) and file.is_file() for file in files)
        assert files or start == stop

    places = [source.place(index) for index in range(count)]
    assert all(isinstance(place, str) for place in places)
    assert len(set(places)) == count

    assert_exact(source.splits(), dict(splits), "splits")
    assert_exact(source.splits(), dict(splits), "splits again")

    description = source.description()
    assert "document" in description
    assert "dialect" not in description, "it would shadow the dialect in the store's source"
    assert json.loads(json.dumps(description)) == copy.deepcopy(description)
    assert description == source.description()
