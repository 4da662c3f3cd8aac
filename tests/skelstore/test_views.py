"""Views by slices, and the members ``get``, ``labels`` and ``zarr`` of stores."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from skelstore.errors import AmbiguousVideoError, FieldNotFoundError, MissingPackageError, StoreReplacedError
from skelstore.wording import shown
from tests.support.contracts import write
from tests.support.exact import assert_exact

COUNT = 7


def annotations(count: int = COUNT) -> list[dict[str, Any]]:
    return [{"frame_dir": f"v{i}", "label": 10 * i, "keypoint": np.full((1, 3, 2, 2), i, "f2")} for i in range(count)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("views") / "a.zarr", annotations(), {"even": ["v0", "v2", "v4", "v6"]})


@pytest.fixture
def store(path: Path) -> Iterator[skelstore.Store]:
    with skelstore.open(path) as store:
        yield store


# --- slices -------------------------------------------------------------------------------------------------


@given(st.slices(COUNT), st.slices(COUNT), st.permutations(range(COUNT)))
def test_a_slice_is_a_view(path: Path, first: slice, second: slice, order: list[int]) -> None:
    """Slices of the whole store, of a view in any order, and of a slice."""
    with skelstore.open(path) as store:
        for view, rows in ((store, list(range(COUNT))), (store.at(order), order)):
            once = view[first]
            assert isinstance(once, skelstore.Store)
            for part, expected in ((once, rows[first]), (once[second], rows[first][second])):
                assert [part.name(i) for i in range(len(part))] == [f"v{row}" for row in expected]
                assert part.labels.tolist() == [10 * row for row in expected]
                assert [name for name in ("v0", "v3") if name in part] == [
                    f"v{row}" for row in (0, 3) if row in expected
                ]


def test_a_slice_reads_and_pickles_like_every_view(store: skelstore.Store) -> None:
    view = store.split("even")[::-1]
    assert_exact(list(view), [annotations()[i] for i in (6, 4, 2, 0)])
    assert_exact(view["v4"], annotations()[4])
    assert view.index("v6") == 0
    with pytest.raises(skelstore.VideoNotFoundError):
        view["v1"]
    with pickle.loads(pickle.dumps(view)) as again:
        assert_exact(list(again), list(view))
    assert len(store[100:]) == 0


@pytest.mark.parametrize(("key", "error"), [(slice(None, None, 0), ValueError), (slice("a"), TypeError)])
def test_an_invalid_slice_is_refused_as_by_a_list(store: skelstore.Store, key: slice, error: type[Exception]) -> None:
    with pytest.raises(error):
        store[key]


def test_slices_are_for_brackets_only(store: skelstore.Store) -> None:
    for read in (store.lazy, store.read_one, lambda key: store.read([key])):
        with pytest.raises(TypeError, match="not by a slice"):
            read(slice(0, 1))


# --- get ----------------------------------------------------------------------------------------------------


def test_get_returns_the_video_or_the_default(store: skelstore.Store, tmp_path: Path) -> None:
    assert_exact(store.get("v3"), annotations()[3])
    assert store.get("none") is None
    assert store.get("none", 5) == 5
    assert store.split("even").get("v3") is None
    with pytest.raises(TypeError, match=r"the name of a video \(str\), not an int"):
        store.get(3)  # type: ignore[call-overload]
    twice = [*annotations(2), *annotations(2)]
    with skelstore.open(write(tmp_path / "b.zarr", twice)) as twofold:
        with pytest.raises(AmbiguousVideoError):
            twofold.get("v1", 0)
        assert_exact(twofold[:2].get("v1"), annotations()[1])


# --- labels -------------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_view(store: skelstore.Store) -> None:
    assert_exact(store.labels, np.arange(0, 10 * COUNT, 10))
    assert_exact(store.at([5, 1, 5]).labels, np.array([50, 10, 50]))
    assert_exact(store[:0].labels, np.zeros(0, np.int64))


WHOLE: list[Any] = [
    0,
    -1,
    2**62 + 1,
    -(2**63),
    2**63 - 1,
    np.int8(-5),
    np.uint16(9),
    np.uint64(2**53 + 1),
    3.0,
    np.float16(2),
]
NO_LABELS: list[Any] = [1.5, float("nan"), float("inf"), 2.0**63, np.uint64(2**63), 2**70, "clap", None, [1], True]
LONG_LABELS: list[Any] = [10**5000, "x" * 10_000, [*range(10_000)], {"a": [0] * 10_000}]
"""Values that would make a message of thousands of characters; Python refuses to write the first."""


@given(st.permutations(WHOLE))
def test_labels_of_mixed_types_are_exact(tmp_path_factory: pytest.TempPathFactory, labels: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("labels")
    with skelstore.open(write(folder / "a.zarr", [{"frame_dir": "v", "label": label} for label in labels])) as store:
        assert store.labels.dtype == np.int64
        assert store.labels.tolist() == [int(label) for label in labels]


@pytest.mark.parametrize("label", [*NO_LABELS, *LONG_LABELS], ids=shown)
def test_a_label_that_is_not_an_integer_is_named_with_its_position(tmp_path: Path, label: Any) -> None:
    videos = [{"frame_dir": "v", "label": one} for one in (1, 2, label)]
    with skelstore.open(write(tmp_path / "a.zarr", videos)) as store:
        said = re.escape(f"a.zarr: the video at position 2 has the label {shown(label)}; expected an integer")
        with pytest.raises(FieldNotFoundError, match=said) as caught:
            store.labels  # noqa: B018
        assert len(str(caught.value)) < 400 + len(str(tmp_path))
        with pytest.raises(FieldNotFoundError, match="at position 0 has the label"):
            store[::-1].labels  # noqa: B018
        assert store[:2].labels.tolist() == [1, 2]


def test_a_video_without_a_label_is_named_with_its_position(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [{"frame_dir": "v", "label": 1}, {"frame_dir": "w"}])
    said = "the video at position 1 has no label; expected an integer"
    with skelstore.open(path) as store, pytest.raises(FieldNotFoundError, match=said):
        store.labels  # noqa: B018


# --- zarr ---------------------------------------------------------------------------------------------------


def test_zarr_is_the_read_only_group_of_the_whole_store(store: skelstore.Store) -> None:
    group = store[2:3].zarr
    expected = np.concatenate([video["keypoint"].reshape(-1, 2, 2) for video in annotations()])
    assert group["keypoint"][: len(expected)].tolist() == expected.tolist()
    with pytest.raises(ValueError, match="read-only"):
        group["keypoint"][0] = 0


def test_zarr_that_is_not_installed(store: skelstore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingPackageError, match=r"Store\.zarr needs zarr-python.*: pip install zarr"):
        store.zarr  # noqa: B018


def test_zarr_is_never_that_of_another_store(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", annotations(3))
    with skelstore.open(path) as store:
        sent = pickle.dumps(store)
        write(path, annotations(2), force=True)
        for old in (store, pickle.loads(sent)):
            with pytest.raises(StoreReplacedError):
                old.zarr  # noqa: B018
