"""A store with new splits, labels or source: the rest is unchanged, and the arrays are the same files."""

from __future__ import annotations

import copy
import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import skelstore
from converters import samples
from skelstore import DamageError, StoreError, StoreExistsError, UnsupportedValueError
from skelstore.combine.revision import revise
from skelstore.read.verification import verify
from skelstore.write import disk
from tests.support.contracts import check_store, write, written
from tests.support.exact import assert_exact
from tests.support.files import tree
from tests.support.other_readers import check_by_second_reader
from tests.support.small_store import crc, lay_out, made, sign_root

SPLITS = {"train": ["a"], "val": ["b", "nobody"]}


def clips(*labels: Any) -> list[dict[Any, Any]]:
    """Videos with these labels; Ellipsis means no label."""
    made = []
    for i, label in enumerate(labels):
        video: dict[Any, Any] = {"frame_dir": f"clip{i}", "label": label, "keypoint": np.full((1, i + 1, 2, 2), i)}
        if label is ...:
            del video["label"]
        made.append(video)
    return made


def inodes(store: Path) -> dict[str, int]:
    return {key: (store / key).stat().st_ino for key in tree(store)}


def assert_whole(path: Path, annotations: list[dict[Any, Any]], splits: dict[Any, Any]) -> None:
    """Check that a revised store is like any other for our reader, the second reader and verify."""
    with skelstore.open(path) as store:
        check_store(store, annotations, splits)
    check_by_second_reader(path, annotations)
    assert verify(path, level="decode") == []


def test_new_splits_over_the_same_files(tmp_path: Path) -> None:
    data = samples.ntu_like(12)
    old = write(tmp_path / "old.zarr", data["annotations"], data["split"])
    before = tree(old)
    revise(old, tmp_path / "new.zarr", splits=SPLITS)
    assert_whole(tmp_path / "new.zarr", data["annotations"], SPLITS)
    assert tree(old) == before
    own, others = inodes(tmp_path / "new.zarr"), inodes(old)
    unlike = {key for key in own if own[key] != others[key]}
    assert unlike == {"zarr.json", "manifest.json", "splits.arrow"}
    with skelstore.open(old) as store, skelstore.open(tmp_path / "new.zarr") as new:
        assert new.source == store.source


def test_the_new_store_survives_the_removal_of_the_old_one(tmp_path: Path) -> None:
    videos = clips(1, 2, 3)
    old = write(tmp_path / "old.zarr", videos)
    revise(old, tmp_path / "new.zarr", splits=SPLITS)
    revise(tmp_path / "new.zarr", old, labels=lambda label: label + 1, force=True)
    assert_whole(tmp_path / "new.zarr", videos, SPLITS)
    assert_whole(old, [{**video, "label": video["label"] + 1} for video in videos], SPLITS)


def test_files_are_copied_where_they_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = clips(1, 2)
    old = write(tmp_path / "old.zarr", videos)

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    revise(old, tmp_path / "new.zarr", splits=SPLITS)
    assert not set(inodes(old).values()) & set(inodes(tmp_path / "new.zarr").values())
    assert_whole(tmp_path / "new.zarr", videos, SPLITS)


def test_link_or_copy_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(FileExistsError):
        disk.link_or_copy(tmp_path / "a", tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        disk.link_or_copy(tmp_path / "none", tmp_path / "c")
    assert (tmp_path / "b").read_bytes() == b"b"
    assert not (tmp_path / "c").exists()


LABEL = st.recursive(
    st.none() | st.integers() | st.integers(0, 9).map(np.int64) | st.floats() | st.text(max_size=3) | st.booleans(),
    lambda child: (
        st.lists(child, max_size=3)
        | st.lists(child, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b", "field"]), child, max_size=2)
    ),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.tuples(LABEL | st.just(...), LABEL), max_size=6))
def test_any_label_becomes_any_other(pairs: list[tuple[Any, Any]]) -> None:
    """The result is as if the store had been written with the new labels; videos without a label stay without."""
    videos = clips(*[old for old, _ in pairs])
    expected = copy.deepcopy(videos)
    for video, (old, new) in zip(expected, pairs, strict=True):
        if old is not ...:
            video["label"] = new
    news = iter([new for old, new in pairs if old is not ...])
    with written(videos, SPLITS) as path:
        out = path.with_name("out.zarr")
        revise(path, out, labels=lambda _: next(news))
        with skelstore.open(out) as store:
            assert_exact(list(store), expected)
            assert list(store.videos.column_names) == list(dict.fromkeys(store.videos.column_names))
        check_by_second_reader(out, expected)
        assert verify(out, level="decode") == []


def test_a_new_label_is_a_column_that_can_be_selected(tmp_path: Path) -> None:
    old = write(tmp_path / "old.zarr", clips("walk", "run", "walk"))
    revise(old, tmp_path / "new.zarr", labels={"walk": 0, "run": 1}.__getitem__)
    with skelstore.open(tmp_path / "new.zarr") as store:
        assert store.videos["label"].to_pylist() == [0, 1, 0]
        assert str(store.videos.schema.field("label").type) == "int64"


def test_labels_that_cannot_be_changed(tmp_path: Path) -> None:
    array = write(tmp_path / "array.zarr", [{"frame_dir": "a", "label": np.zeros(3)}])
    with pytest.raises(StoreError, match=r"video 0 \('a'\): its label is an array"):
        revise(array, tmp_path / "out.zarr", labels=lambda label: label)
    plain = write(tmp_path / "plain.zarr", clips(1))
    with pytest.raises(StoreError, match="its new label is not a number"):
        revise(plain, tmp_path / "out.zarr", labels=lambda _: np.zeros(3))
    with pytest.raises(UnsupportedValueError):
        revise(plain, tmp_path / "out.zarr", labels=lambda _: object())
    whole = write(tmp_path / "whole.zarr", [{"label": 1, **{f"k{i}": i for i in range(200)}}])
    with pytest.raises(StoreError, match="stored whole, as JSON"):
        revise(whole, tmp_path / "out.zarr", labels=lambda label: label)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["array.zarr", "plain.zarr", "whole.zarr"]


def test_the_destination_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    old = write(tmp_path / "old.zarr", clips(1))
    other = write(tmp_path / "other.zarr", clips(2))
    with pytest.raises(StoreExistsError):
        revise(old, other, splits=SPLITS)
    with pytest.raises(StoreExistsError):
        revise(old, old, splits=SPLITS)
    revise(old, old, splits=SPLITS, force=True)
    assert_whole(old, clips(1), SPLITS)


def test_damage_stays_damage(tmp_path: Path) -> None:
    """The arrays are not read, so a damaged shard still contradicts the manifest."""
    old = write(tmp_path / "old.zarr", clips(1, 2))
    (shard,) = (old / "keypoint").glob("c.*")
    data = bytearray(shard.read_bytes())
    data[3] ^= 1
    shard.write_bytes(data)
    revise(old, tmp_path / "new.zarr", splits=SPLITS)
    with skelstore.open(tmp_path / "new.zarr") as store, pytest.raises(DamageError):
        store[0]


@pytest.mark.parametrize("missing", ["keypoint/c.0.0.0", "splits.arrow"])
def test_a_missing_file_is_damage(tmp_path: Path, missing: str) -> None:
    old = write(tmp_path / "old.zarr", clips(1, 2), SPLITS)
    (old / missing).unlink()
    with pytest.raises(DamageError, match=f"{missing} is missing"):
        revise(old, tmp_path / "new.zarr", labels=lambda label: label)
    assert [path.name for path in tmp_path.iterdir()] == ["old.zarr"]


@pytest.mark.parametrize("more", [{}, {"digest": "0" * 32}], ids=["file", "shard"])
def test_no_file_outside_of_the_stores_is_linked(tmp_path: Path, more: dict[str, str]) -> None:
    """A hostile manifest that names a file beside the store."""
    (tmp_path / "secret").write_text("of this machine")
    files = dict(made("default", first=0, stop=2))
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["../secret"] = {"size": 15, "crc32c": crc(b"of this machine"), **more}
    files["manifest.json"] = json.dumps(manifest).encode()
    old = lay_out(tmp_path / "old.zarr", sign_root(files, json.loads(files["zarr.json"])))
    (tmp_path / "deep").mkdir()
    with pytest.raises(StoreError, match=re.escape("'../secret' cannot be the name of a file in a store")):
        revise(old, tmp_path / "deep" / "new.zarr", splits=SPLITS)
    assert not list((tmp_path / "deep").iterdir())
