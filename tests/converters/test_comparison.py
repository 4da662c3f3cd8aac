"""Comparing a store with its source finds every kind of change, with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters import open_source, samples
from converters.comparison import as_lines, compare
from converters.dialects import bare_list, pyskl
from tests.support.source_contract import dump


def compared(tmp_path: Path, change: Callable[[dict[Any, Any]], Any]) -> list[str]:
    """The problems of a store of the sample compared with a changed sample."""
    pyskl.convert(dump(tmp_path / "a.pkl", samples.ntu_like(5)), tmp_path / "a.zarr", workers=1)
    data = samples.ntu_like(5)
    changed = change(data)
    source = open_source(dump(tmp_path / "b.pkl", data if changed is None else changed))
    with skelstore.open(tmp_path / "a.zarr") as store:
        found = compare(store, source)
    source.close()
    return found


def put(data: dict[Any, Any], index: int, **values: Any) -> None:
    data["annotations"][index].update(values)


def flip(data: dict[Any, Any]) -> None:
    data["annotations"][4]["keypoint"].reshape(-1)[-1] += 1


CHANGES: dict[str, tuple[Callable[[dict[Any, Any]], Any], str]] = {
    "a value": (lambda d: put(d, 2, label=999), "annotations[2].label"),
    "a type": (lambda d: put(d, 2, label=np.int64(d["annotations"][2]["label"])), "annotations[2].label"),
    "a list for a tuple": (lambda d: put(d, 0, img_shape=[1080, 1920]), "annotations[0].img_shape"),
    "a number in an array": (flip, "annotations[4].keypoint"),
    "a dtype": (
        lambda d: put(d, 1, keypoint=d["annotations"][1]["keypoint"].astype("<f4")),
        "annotations[1].keypoint",
    ),
    "a shape": (lambda d: put(d, 1, keypoint=d["annotations"][1]["keypoint"][:, :-1]), "annotations[1].keypoint"),
    "a further key": (lambda d: put(d, 3, extra=None), "annotations[3]"),
    "the order of keys": (lambda d: put(d, 3, frame_dir=d["annotations"][3].pop("frame_dir")), "annotations[3]"),
    "the order of videos": (lambda d: d["annotations"].reverse(), "annotations[0]"),
    "an id of a split": (lambda d: d["split"]["xsub_train"].append("x"), "split.xsub_train"),
    "the order of splits": (
        lambda d: d["split"].update(xsub_train=d["split"].pop("xsub_train")),
        "a key of split",
    ),
    "a further key at the top": (lambda d: {**d, "meta": 1}, "the top of the file"),
    "the order of the top": (lambda d: dict(reversed(d.items())), "the top of the file"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_with_its_place(tmp_path: Path, name: str) -> None:
    change, place = CHANGES[name]
    found = compared(tmp_path, change)
    assert found
    assert place in found[0]
    assert all("\n" not in text and str(tmp_path / "a.zarr") in text for text in found)


def test_no_change_gives_no_problem(tmp_path: Path) -> None:
    assert compared(tmp_path, lambda _: None) == []


def test_another_number_of_videos_is_reported(tmp_path: Path) -> None:
    [text] = compared(tmp_path, lambda d: d["annotations"].pop() and None)
    assert "has 5 videos" in text
    assert "has 4" in text


def test_up_to_twenty_unreadable_videos_are_reported(tmp_path: Path) -> None:
    source = open_source(dump(tmp_path / "a.pkl", [{"label": 0}, *range(49)]), "list")
    with skelstore.Writer(tmp_path / "a.zarr") as writer:
        for _ in range(50):
            writer.add({"label": 0})
    with skelstore.open(tmp_path / "a.zarr") as store:
        found = compare(store, source)
    source.close()
    assert len(found) == 21
    assert "[1] is an int" in found[0]
    assert "more after these 20" in found[-1]


def test_up_to_twenty_changed_videos_are_reported(tmp_path: Path) -> None:
    def change(data: dict[Any, Any]) -> None:
        for annotation in data["annotations"]:
            annotation["label"] = -7

    assert len(compared(tmp_path, change)) == 5
    many = [{"label": i} for i in range(50)]
    dump(tmp_path / "c.pkl", many)
    source = open_source(tmp_path / "c.pkl")
    with skelstore.Writer(tmp_path / "c.zarr") as writer:
        for _ in many:
            writer.add({"label": -1})
    with skelstore.open(tmp_path / "c.zarr") as store:
        found = compare(store, source)
    source.close()
    assert len(found) == 21
    assert "more after these 20" in found[-1]


def named(*names: str) -> list[dict[str, Any]]:
    return [{"frame_dir": name, "label": 0} for name in names]


def compared_names(tmp_path: Path, here: list[dict[str, Any]], there: list[dict[str, Any]]) -> list[str]:
    bare_list.convert(dump(tmp_path / "a.pkl", here), tmp_path / "a.zarr", force=True)
    source = open_source(dump(tmp_path / "b.pkl", there))
    with skelstore.open(tmp_path / "a.zarr") as store:
        found = compare(store, source)
    source.close()
    return found


@pytest.mark.parametrize("count", [2, 19, 20, 30])
def test_another_source_is_reported_in_one_sentence(tmp_path: Path, count: int) -> None:
    here, there = (named(*(f"{letter}{i}" for i in range(count))) for letter in "vw")
    [text] = compared_names(tmp_path, here, there)
    assert f"all {min(count, 20)} compared videos have other names, such as 'v0' and 'w0'" in text
    assert "is it another source" in text


def test_some_changed_names_do_not_make_another_source(tmp_path: Path) -> None:
    [text] = compared_names(tmp_path, named("a", "b", "c"), named("a", "x", "c"))
    assert "[1].frame_dir is 'b'; expected 'x'" in text
    [text] = compared_names(tmp_path, named("a"), named("x"))
    assert "[0].frame_dir is 'a'; expected 'x'" in text


def test_differences_are_listed_under_one_heading(tmp_path: Path) -> None:
    here, there = named("a", "b", "c"), named("a", "x", "y")
    found = compared_names(tmp_path, here, there)
    assert len(found) == 2
    lines = as_lines(tmp_path / "a.zarr", tmp_path / "b.pkl", found)
    assert lines[0] == f"{tmp_path / 'a.zarr'} against {tmp_path / 'b.pkl'}:"
    assert [line[:5] for line in lines[1:]] == ["  [1]", "  [2]"]
    assert as_lines(tmp_path / "a.zarr", tmp_path / "b.pkl", found[:1]) == found[:1]
