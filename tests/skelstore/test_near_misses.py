"""Errors about missing names suggest existing ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

import skelstore
from skelstore.errors import FieldNotFoundError, SplitNotFoundError, StoreError, VideoNotFoundError
from skelstore.read.identifiers import names_like
from skelstore.read.reader import Reader
from skelstore.read.verification import verify
from skelstore.wording import COMPARED_NAMES
from tests.support.contracts import write


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos: list[dict[str, Any]] = [
        {"frame_dir": f"S001C001P{i:03}R001A{i:03}", "label": i, "keypoint": np.zeros((1, 2, 3, 2))} for i in range(9)
    ]
    videos.append({"filename": "brush_hair/april.mp4", "label": 3})
    splits = {"xsub_train": ["S001C001P000R001A000"], "xsub_val": [], "all": [v.get("frame_dir") for v in videos]}
    return write(tmp_path_factory.mktemp("near") / "a.zarr", videos, splits)


def test_a_video(path: Path) -> None:
    with skelstore.open(path) as store:
        with pytest.raises(VideoNotFoundError, match=r"among 10 videos; did you mean 'S001C001P003R001A003', "):
            store["S001C001P003R001A03"]
        with pytest.raises(VideoNotFoundError, match=r"did you mean 'brush_hair/april\.mp4'\?$"):
            store.index("brush_hair/april.avi")
        with pytest.raises(VideoNotFoundError, match=r"among 1 video; did you mean 'S001C001P000R001A000'\?$"):
            store.split("xsub_train")["S001C001P003R001A03"]
        with pytest.raises(VideoNotFoundError, match=r"among 10 videos$"):
            store["x"]
        with pytest.raises(VideoNotFoundError, match=r"among 0 videos$"):
            store[:0]["S001C001P003R001A03"]


@pytest.mark.parametrize("name", ["", "\ud800", "a\0", "a" * 10**6, "\ud800" * 50])
def test_a_name_that_no_video_can_have(path: Path, name: str) -> None:
    with skelstore.open(path) as store, pytest.raises(VideoNotFoundError):
        store[name]


def test_a_split(path: Path) -> None:
    with skelstore.open(path) as store:
        there = "there are 'xsub_train', 'xsub_val', 'all'"
        said = f"no split 'xsub_trian'; {there}; did you mean 'xsub_train' or 'xsub_val'"
        with pytest.raises(SplitNotFoundError, match=said):
            store.split("xsub_trian")
        with pytest.raises(SplitNotFoundError, match=f"{there}$"):
            store.split(5)  # type: ignore[arg-type]


def test_a_field_and_a_column(path: Path) -> None:
    with skelstore.open(path) as store:
        with pytest.raises(FieldNotFoundError, match=r"has no 'keypoints'.*; did you mean 'keypoint'\?$"):
            store.read_one(0, fields=["label", "keypoints"])
        with pytest.raises(FieldNotFoundError, match=r"has no 'labels'.*; did you mean 'label'\?$"):
            store.lazy(0)["labels"]
        with pytest.raises(FieldNotFoundError, match=r"the table has the columns .*; did you mean 'label'\?$"):
            store.select(pc.field("lable") < 3)
        with pytest.raises(FieldNotFoundError, match=r"keypoint\.dim1$"):
            store.select(pc.field("zzz") < 3)


def test_words_of_options(path: Path) -> None:
    with pytest.raises(StoreError, match=r"; did you mean 'always'\?$"):
        skelstore.open(path, check="alway")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"; did you mean 'small'\?$"):
        skelstore.Writer(path.with_name("new.zarr"), profile="smal")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"; did you mean 'checksums'\?$"):
        verify(path, level="checksum")  # type: ignore[arg-type]


def test_close_names_among_many_videos_are_found_quickly(tmp_path: Path) -> None:
    count = COMPARED_NAMES + 5000
    with skelstore.Writer(tmp_path / "a.zarr") as writer:
        for i in range(count):
            writer.add({"frame_dir": f"{i:06}_{i * 7919 % count:06}", "label": 0})
    with skelstore.open(tmp_path / "a.zarr") as store:
        last = store.name(count - 1)
        assert last is not None
        started = time.process_time()
        for wrong in (last[:-1] + "x", "x" + last[1:], last.upper() + "_"):
            with pytest.raises(VideoNotFoundError, match=f"did you mean '{last}'"):
                store[wrong]
        with pytest.raises(VideoNotFoundError, match=f"did you mean '{last}'"):
            store[5:][last + "_"]
        assert time.process_time() - started < 4


def test_names_that_cannot_be_decoded_do_not_hide_the_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(path, "first")
    assert len(names_like(reader, None, "x")) == 10
    monkeypatch.setattr(pc, "starts_with", lambda *_, **__: b"\xff".decode())
    monkeypatch.setattr("skelstore.read.identifiers.COMPARED_NAMES", 1)
    assert names_like(reader, None, "x") == []
    reader.files.close()
