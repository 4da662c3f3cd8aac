"""The code in the documents runs, and a second reader written from docs/format.md alone reads every store."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters import open_source
from converters.conversion.convert import convert_source
from converters.samples.pickles import ntu_like, ntu_names, write_samples
from converters.samples.pose_clips import write_pose_clips
from converters.samples.pose_tools import write_pose_tools
from converters.samples.skeletons import write_skeletons
from converters.samples.sources import write_sources
from converters.samples.staged import write_people
from skelstore.write import parts
from tests.support.document_blocks import blocks, check_blocks
from tests.support.framework_data import close_log, mend_mmaction2, mend_mmcv
from tests.support.gcn_data import write_guide_files
from tests.support.other_readers import check_by_second_reader
from tests.support.repository import REPOSITORY
from tests.support.second_reader import SecondReader, decoded_chunk, shard_chunks

PAGES = (
    "reading",
    "performance",
    "stores",
    "converting",
    "format",
    "design",
    "sources",
    "sources_ntu",
    "own_data",
    "pose_tools",
    "checking",
    "report",
    "joints",
    "splits",
    "tracking",
    "viewing",
    "drawing",
    "remote",
    "scaling",
)
DOCUMENTS = ["README.md", *(f"docs/{page}.md" for page in PAGES)]
TRAINING = "docs/training.md"
GCN = "docs/gcn.md"
HEATMAPS = "docs/heatmaps.md"
PUBLISHING = "docs/publishing.md"
"""tests/remote/test_publishing_document.py runs it, with servers."""
FRAMEWORKS = {"torch": "mmaction-test", "mmaction": "mmaction-test", "pyskl": "pyskl-test"}
"""Frameworks that blocks of it need, named after the language of the block -> the target of make that tests them."""
PROFILES = ["fast", "default", "small"]
VIDEOS = 40

# --- the second reader --------------------------------------------------------------------------------------


def odd_annotations() -> list[dict[Any, Any]]:
    """Annotations that use every feature of the format."""
    nan = np.frombuffer(bytes.fromhex("ff7e"), ">f2").astype(np.float16)
    every = {f"numpy.{name}": np.dtype(name).type(1) for name in ["bool", "int8", "int16", "int32", "int64"]}
    every |= {f"numpy.u{name}": np.dtype(f"u{name}").type(200) for name in ["int8", "int16", "int32", "int64"]}
    every |= {f"numpy.{name}": np.dtype(name).type(1.5) for name in ["float16", "float32", "float64"]}
    return [
        {"frame_dir": "a", "keypoint": np.arange(24, dtype=np.float16).reshape(1, 3, 4, 2), "img_shape": (320, 570)},
        {"frame_dir": "b", "keypoint": np.arange(24, dtype=">f4").reshape(1, 3, 4, 2), "img_shape": [320, 570]},
        {"frame_dir": "a", "keypoint": np.ones((2, 1, 5, 2)), "scalar": np.array(7, np.int16)},
        {"filename": "é.mp4", "frame_dir": np.str_("c"), "empty": np.zeros((0, 4, 2)), "nothing": None},
        {"frame_dir": "", "flags": np.array([True, False]), "bytes": np.arange(5, dtype=np.uint8), "label": -1},
        {"valid": {0.5: 3, 1: True, b"k": 1.5, False: "x"}, "long": 2**70, "low": -(2**65), "raw": b"\0\xff"},
        {"label": [1, (2, {"a": None, 3: [b"b"]}), float("nan"), float("-inf"), -0.0], "text": "\ud800", "s": "t\0"},
        {"json": [np.float32(0.1), np.str_("n"), np.str_("\ud800"), np.arange(6, dtype=">i2").reshape(2, 3)], **every},
        {"json": [np.bool_(True), nan[0], np.uint8(3), np.zeros((0, 3)), 1e300, 1e-7, 2**63 - 1, 10**30], "f": -0.0},
        {"nan": float("nan"), "half": nan[0], "ok": np.array([nan[0], 1], np.float16), "flag": True, "\ud800": 1},
        {},
        {f"key{i}": i for i in range(200)},
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_second_reader_reads_every_form(tmp_path: Path, profile: Any) -> None:
    annotations = odd_annotations()
    with skelstore.Writer(tmp_path / "odd.zarr", profile=profile) as writer:
        for annotation in annotations:
            writer.add(annotation)
        writer.splits["train"] = ["a", "a", "nobody"]
        writer.splits[3] = (1, "b")
        writer.splits["\ud800"] = np.arange(3)
    check_by_second_reader(tmp_path / "odd.zarr", annotations)


@pytest.mark.parametrize("profile", PROFILES)
def test_second_reader_reads_many_parts(tmp_path: Path, profile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts begin on shard boundaries, so arrays have padding, missing chunks and videos that span shards."""
    monkeypatch.setattr(parts, "PART_VIDEOS", 7)
    data = ntu_like(VIDEOS)
    with skelstore.Writer(tmp_path / "ntu.zarr", profile=profile) as writer:
        for annotation in data["annotations"]:
            writer.add(annotation)
        writer.splits |= data["split"]
    assert len(list((tmp_path / "ntu.zarr" / "keypoint").glob("c.*"))) > 1
    check_by_second_reader(tmp_path / "ntu.zarr", data["annotations"])


@pytest.mark.parametrize("videos", [0, 1])
def test_second_reader_reads_small_stores(tmp_path: Path, videos: int) -> None:
    with skelstore.Writer(tmp_path / "small.zarr") as writer:
        for annotation in odd_annotations()[:videos]:
            writer.add(annotation)
    check_by_second_reader(tmp_path / "small.zarr")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    write_samples(folder, VIDEOS)
    write_people(folder, VIDEOS)
    write_sources(folder, VIDEOS)
    write_skeletons(folder / "nturgb+d_skeletons", ntu_names(6))
    write_pose_tools(folder, VIDEOS)
    write_pose_clips(folder, VIDEOS)
    return folder


@pytest.mark.parametrize(
    "source",
    ["gym_list.pkl", "one", "nturgb+d_skeletons", "k400/k400_hrnet.pkl", "k400_mmaction/k400_2d.pkl", "alphapose"],
)
def test_second_reader_reads_converted_samples(samples: Path, tmp_path: Path, source: str) -> None:
    kpfiles = (samples / source).parent / "kpfiles"
    opened = open_source(samples / source, kpfiles=kpfiles if kpfiles.is_dir() else None)
    convert_source(opened, tmp_path / "s.zarr", profile="small")
    opened.close()
    check_by_second_reader(tmp_path / "s.zarr")
    about = SecondReader(tmp_path / "s.zarr").about["source"]
    known = {"dialect", "name", "size", "document", "kpfiles", "left_out", "boxes", "class_names", "joints", "unlisted"}
    known |= {"recipe", "task", "notes", "options"}
    assert set(about) <= known


# --- the documents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_code_blocks_run(samples: Path, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of a document, in order, in a folder that holds the sample data."""
    monkeypatch.chdir(samples)
    monkeypatch.setenv("SKELSTORE_CACHE", str(samples / "cache"))
    torch = {"torch"} if document == "docs/remote.md" and importlib.util.find_spec("torch") is not None else set()
    check_blocks(document, "", *torch)
    if "skelstore.remote.connections" in sys.modules:
        sys.modules["skelstore.remote.connections"].close_connections()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.filterwarnings("ignore")
def test_blocks_that_need_a_framework_run(
    tmp_path: Path, s3: str, framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run after the blocks without a framework, which convert the data."""
    if checkout := os.environ.get("PYSKL_CHECKOUT", ""):
        monkeypatch.syspath_prepend(checkout)
        mend_mmcv()
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed here: see `make {FRAMEWORKS[framework]}`")
    assert any(block.needs == framework for block in blocks(TRAINING))
    mend_mmaction2(monkeypatch)
    write_samples(tmp_path, VIDEOS if framework == "torch" else 20)  # PoseC3D takes a second per video without a GPU
    monkeypatch.chdir(tmp_path)
    check_blocks(TRAINING, "")
    left = check_blocks(TRAINING, framework)
    if framework != "torch":
        assert left["runner"].epoch == 1
        close_log(left["runner"])


@pytest.mark.filterwarnings("ignore")
def test_from_the_json_of_a_pose_tool_to_a_training(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/own_data.md that begin with the files of pose tools."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip(f"torch is not installed here: see `make {FRAMEWORKS['torch']}`")
    monkeypatch.chdir(samples)
    left = check_blocks("docs/own_data.md", "pose")
    assert len(left["models"]) == 4


def test_the_guide_converts(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/training.md that need no framework; moto's server stands in for S3."""
    assert {block.needs for block in blocks(TRAINING)} == {"", *FRAMEWORKS}
    write_samples(tmp_path, VIDEOS)
    monkeypatch.chdir(tmp_path)
    check_blocks(TRAINING, "")
    assert len(skelstore.open("s3://bucket/skeletons/k400.zarr").split("train")) > 0


def test_the_guide_for_gcn_code_bases_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of docs/gcn.md; those that need PyTorch, if it is installed."""
    write_samples(tmp_path, 20)
    write_skeletons(tmp_path / "nturgb+d_skeletons", ntu_names(6))
    write_guide_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert {block.needs for block in blocks(GCN)} == {"", "torch"}
    check_blocks(GCN, "")
    if importlib.util.find_spec("torch") is not None:
        check_blocks(GCN, "torch")


def test_the_guide_to_heatmaps_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/heatmaps.md that need no framework."""
    assert {block.needs for block in blocks(HEATMAPS)} == {"", *FRAMEWORKS}
    write_samples(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    assert check_blocks(HEATMAPS, "")["limbs"].any()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.filterwarnings("ignore")
def test_heatmaps_in_a_framework(tmp_path: Path, framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/heatmaps.md that need a framework, after those that need none."""
    if checkout := os.environ.get("PYSKL_CHECKOUT", ""):
        monkeypatch.syspath_prepend(checkout)
        mend_mmcv()
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed here: see `make {FRAMEWORKS[framework]}`")
    mend_mmaction2(monkeypatch)
    write_samples(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    check_blocks(HEATMAPS, "")
    left = check_blocks(HEATMAPS, framework)
    volume = left["volumes"] if framework == "torch" else left["items"][1]
    assert float(volume.max()) > 0


def test_readme_begins_with_working_code() -> None:
    first = [block for block in blocks("README.md") if block.line <= 30]
    assert {"sh", "python"} <= {block.language for block in first}
    text = "".join(block.text for block in first)
    assert all(word in text for word in ("convert", "open", "store[", "read", "split", "select", "export"))


def test_example_bytes_of_the_format_are_a_shard(tmp_path: Path) -> None:
    """The dump in docs/format.md can be read as the table below it says and holds the arrays of the example."""
    (dump,) = (block.text for block in blocks("docs/format.md") if block.language == "hexdump")
    data = bytes.fromhex("".join(line.partition(":")[2] for line in dump.splitlines()))
    (chunk,) = shard_chunks(data, 1, "1eb2c327c55815c78f188618dd1df48e")
    codecs = [{"name": "bytes"}, {"name": "blosc"}, {"name": "crc32c"}]
    rows = decoded_chunk(chunk, codecs, np.dtype("<f2"), [256, 2, 2])
    assert rows[:3].ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]
    assert not rows[3:].any()
    (example,) = (block.text for block in blocks("docs/format.md") if block.language == "python")
    exec(example.replace("tiny.zarr", str(tmp_path / "tiny.zarr")), {})
    (shown,) = (json.loads(block.text) for block in blocks("docs/format.md") if block.language == "json")
    about = SecondReader(tmp_path / "tiny.zarr").about
    assert shown == {key: about[key] for key in shown}
    check_by_second_reader(tmp_path / "tiny.zarr")


def test_links_of_documents_lead_somewhere() -> None:
    for document in [*DOCUMENTS, TRAINING, GCN, HEATMAPS, PUBLISHING, "CHANGELOG.md"]:
        path = REPOSITORY / document
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{document}: {target}"


def test_demo_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "converters.demo", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("passed: all 7 data sets")
