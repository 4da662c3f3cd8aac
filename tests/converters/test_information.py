"""The output of ``skelstore info``, checked against the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from converters import samples
from converters.dialects import ntu, pyskl
from converters.information import as_lines, information
from converters.samples.skeletons import write_skeletons
from tests.support.contracts import write
from tests.support.source_contract import dump


def test_a_store_of_the_samples(tmp_path: Path) -> None:
    data = samples.ntu_like(8)
    path = dump(tmp_path / "a.pkl", data)
    pyskl.convert(path, tmp_path / "a.zarr", workers=1, profile="small")
    with skelstore.open(tmp_path / "a.zarr") as store:
        found = information(store)
        json.dumps(found)
        text = "\n".join(as_lines(found))
    annotations = data["annotations"]
    assert found["videos"] == 8
    assert found["profile"] == "small"
    assert found["source"] == {"dialect": "pyskl", "name": "a.pkl", "size": path.stat().st_size}
    assert found["splits"] == [
        {"name": name, "ids": len(ids), "videos": len(ids)} for name, ids in data["split"].items()
    ]
    labels = [a["label"] for a in annotations]
    assert found["labels"] == {"videos": 8, "distinct": len(set(labels)), "min": min(labels), "max": max(labels)}
    keypoint = next(field for field in found["fields"] if field["name"] == "keypoint")
    assert keypoint["dtype"] == "<f2"
    assert keypoint["shape"] == ["M", "T", 17, 2]
    assert keypoint["videos"] == 8
    assert found["joints"] == [17]
    persons = [len(a["keypoint"]) for a in annotations]
    assert (found["persons"]["min"], found["persons"]["max"]) == (min(persons), max(persons))
    frames = [a["total_frames"] for a in annotations]
    assert (found["frames"]["min"], found["frames"]["max"]) == (min(frames), max(frames))
    assert found["frames"]["mean"] == round(float(np.mean(frames)), 1)
    assert found["array_bytes"] >= sum(a["keypoint"].nbytes + a["keypoint_score"].nbytes for a in annotations)
    assert found["ratio_to_source"] == round(found["stored_bytes"] / path.stat().st_size, 4)
    for part in ("8 videos", "xsub_train", "keypoint", "joints    17", "persons", "frames"):
        assert part in text


def test_an_empty_store(tmp_path: Path) -> None:
    with skelstore.open(write(tmp_path / "a.zarr", [])) as store:
        found = information(store)
    json.dumps(found)
    assert found["videos"] == 0
    assert found["labels"] is None
    assert found["frames"] is None
    assert as_lines(found)


def test_a_store_of_anything(tmp_path: Path) -> None:
    annotations = [
        {"label": "drink"},
        {"label": 3, "keypoint": np.zeros((2, 3, 17, 2)), "total_frames": None},
        {"label": [1, 2], "keypoint": np.zeros((4, 25, 3))},
        {},
        {"keypoint": 3, "label": None, "total_frames": "many"},
    ]
    splits = {"a": [1, None], 3: ("x",), "bits": np.zeros(2, int), b"b": [], "none": None}
    with skelstore.open(
        write(tmp_path / "a.zarr", annotations, {k: v for k, v in splits.items() if v is not None})
    ) as s:
        found = information(s)
    json.dumps(found)
    assert found["joints"] == [17, 25]
    assert as_lines(found)


def test_axes_are_those_of_each_array(tmp_path: Path) -> None:
    """[M, T] of persons and frames, [N] of contiguous rows, and the length of every video."""
    rows = {"frame_inds": np.arange(4), "keypoint": np.zeros((4, 17, 3)), "angle": np.zeros((4, 5, 2))}
    longer = {"frame_inds": np.arange(7), "keypoint": np.zeros((7, 17, 3)), "angle": np.zeros((7, 5, 2))}
    assert shapes(tmp_path / "rows.zarr", [rows, longer]) == {
        "frame_inds": ["N"],
        "keypoint": ["N", 17, 3],
        "angle": ["N", 5, 2],
    }
    tracks = [
        {
            "keypoint": np.zeros((m, t, 17, 2)),
            "keypoint_score": np.zeros((m, t, 17)),
            "box": np.zeros((m, t, 4)),
            "map": a,
        }
        for m, t, a in [(1, 5, np.zeros((2, 6, 3))), (2, 9, np.zeros((5, 6, 3)))]
    ]
    assert shapes(tmp_path / "tracks.zarr", tracks) == {
        "keypoint": ["M", "T", 17, 2],
        "keypoint_score": ["M", "T", 17],
        "box": ["M", "T", 4],
        "map": ["n0", 6, 3],
    }


def shapes(path: Path, annotations: list[dict[str, Any]]) -> dict[str, list[Any]]:
    with skelstore.open(write(path, annotations)) as store:
        return {field["name"]: field["shape"] for field in information(store)["fields"]}


def test_raw_ntu(tmp_path: Path) -> None:
    write_skeletons(tmp_path / "ntu", ["S001C001P001R001A001"])
    ntu.convert(tmp_path / "ntu", tmp_path / "a.zarr", workers=1)
    with skelstore.open(tmp_path / "a.zarr") as store:
        found = information(store)
    lines = as_lines(found)
    assert lines[0].endswith("a.zarr: 1 video, profile default")
    for field in (
        "position: <f8 [N, 25, 3]",
        "depth: <f8 [N, 25, 2]",
        "orientation: <f8 [N, 25, 4]",
        "body: <f8 [N, 9]",
    ):
        assert f"field     {field} in 1 video" in lines
    assert "joints    25: ntu-25" in lines


def test_class_names_are_printed(tmp_path: Path) -> None:
    source = {"dialect": "writer", "class_names": ["drink", "eat", "sit"]}
    with skelstore.open(write(tmp_path / "a.zarr", [{"label": 1}], source=source)) as store:
        assert "classes   3 names, 'drink' to 'sit'" in as_lines(information(store))
