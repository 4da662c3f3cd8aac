"""Other readers of a store: zarr-python reads the arrays, pyarrow the tables. skelstore needs no zarr-python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, Profile
from tests.support import strategies
from tests.support.contracts import write, written
from tests.support.other_readers import check_by_zarr_python
from tests.support.processes import run_python


@settings(max_examples=25)
@given(
    annotations=strategies.annotation_lists(), profile=st.sampled_from(PROFILES), part=st.sampled_from([400, 1 << 26])
)
def test_zarr_python_alone_reads_every_array(annotations: list[dict[Any, Any]], profile: Profile, part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", part)
        with written(annotations, profile=profile) as path:
            check_by_zarr_python(path, annotations)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_typical_store_in_zarr_python(tmp_path: Path, profile: Profile) -> None:
    noise = np.random.default_rng(0)
    annotations = [
        {
            "frame_dir": f"v{i}",
            "label": i,
            "keypoint": noise.normal(500, 200, (1 + i % 2, 20 + i, 17, 2)).astype(np.float16),
            "keypoint_score": noise.random((1 + i % 2, 20 + i, 17)).astype(np.float16),
        }
        for i in range(30)
    ]
    path = write(tmp_path / "a.zarr", annotations, {"train": ["v3", "v1"]}, profile=profile)
    check_by_zarr_python(path, annotations)
    array = zarr.open_group(path, mode="r")["keypoint"]
    assert array.dtype == np.float16
    assert array.shape[1:] == (17, 2)
    assert list(zarr.open_group(path, mode="r").array_keys()) == ["keypoint", "keypoint_score"]
    for node in path.rglob("zarr.json"):
        assert "numcodecs" not in node.read_text()
        assert json.loads(node.read_text())["zarr_format"] == 3


def test_pyarrow_alone_reads_the_tables(tmp_path: Path) -> None:
    annotations = [
        {"frame_dir": f"v{i}", "label": i, "img_shape": (100, 200 + i), "score": i / 4, "ok": i % 2 == 0, "raw": b"\0"}
        for i in range(10)
    ]
    del annotations[3]["label"]
    path = write(tmp_path / "a.zarr", annotations, {"train": ["v3", "v1", "v3"], "odd": (1, "v2")})
    with pa.memory_map(str(path / "videos.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
        assert pa.total_allocated_bytes() < 10 * table.nbytes + 4096
        assert table["frame_dir"].to_pylist() == [f"v{i}" for i in range(10)]
        assert table["label"].to_pylist() == [None if i == 3 else i for i in range(10)]
        assert table["img_shape.1"].to_pylist() == [200 + i for i in range(10)]
        assert table["score"].to_pylist() == [i / 4 for i in range(10)]
        assert table["ok"].to_pylist() == [i % 2 == 0 for i in range(10)]
        assert table.filter(pc.field("label") > 7)["frame_dir"].to_pylist() == ["v8", "v9"]
        types = {name: str(table.schema.field(name).type) for name in table.column_names}
        assert types["frame_dir"] == "large_string"
        assert types["label"] == "int64"
        assert types["ok"] == "bool"
        assert table["label"].null_count == 1
    with pa.memory_map(str(path / "splits.arrow")) as source:
        splits = pa.ipc.open_file(source).read_all().select(["name", "ids"]).to_pylist()
    assert splits == [{"name": "train", "ids": ["v3", "v1", "v3"]}, {"name": "odd", "ids": ["v2"]}]
    with pa.memory_map(str(path / "names.arrow")) as source:
        names = pa.ipc.open_file(source).read_all()
    assert sorted(names["video"].to_pylist()) == list(range(10))


@pytest.mark.parametrize("profile", PROFILES)
def test_reading_needs_neither_zarr_nor_the_command_line(tmp_path: Path, profile: Profile) -> None:
    annotation = {"frame_dir": "a", "keypoint": np.ones((1, 9, 17, 2), np.float16), "extra": [1, {"x": (2,)}]}
    path = write(tmp_path / "a.zarr", [annotation], {"t": ["a"]}, profile=profile)
    code = f"""if True:
        import sys, skelstore
        store = skelstore.open({str(path)!r})
        assert store[0]["keypoint"].sum() == 9 * 34
        assert len(store.split("t")) == 1 and "a" in store
        heavy = ("zarr", "click", "tqdm", "converters", "dask", "pandas", "torch", "asyncio", "hypothesis", "pytest")
        print(sorted(name for name in heavy if name in sys.modules))
    """
    done = run_python(code, check=True)
    assert done.stdout == "[]\n"
    assert len(skelstore.open(path)) == 1
