"""The documents hold: their code runs, and a reader written from docs/format.md alone reads every store.

`SecondReader` follows docs/format.md and nothing else. It must not import the packages that it judges, and knows of a
store what the specification says.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import json
import math
import os
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa
import pytest
from numcodecs import blosc

import skelstore
from converters import open_source
from converters.conversion.convert import convert_source
from converters.samples.pickles import ntu_like, ntu_names, write_samples
from converters.samples.skeletons import write_skeletons
from converters.samples.sources import write_sources
from skelstore.write import parts
from tests.conftest import REPOSITORY
from tests.support.exact import assert_exact
from tests.support.framework_data import close_log, mend_mmaction2, mend_mmcv

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
    "checking",
    "joints",
    "splits",
)
DOCUMENTS = ["README.md", *(f"docs/{page}.md" for page in PAGES)]
TRAINING = "docs/training.md"
#: Frameworks that blocks of it need, each named behind the language, and where their tests run.
FRAMEWORKS = {"torch": "mmaction-test", "mmaction": "mmaction-test", "pyskl": "pyskl-test"}
PROFILES = ["fast", "default", "small"]
VIDEOS = 40
#: What a document may tell a person to type that is not run here, by its first words.
NOT_RUN = ("pip install ", "git clone ")

# --- the second reader --------------------------------------------------------------------------------------


def crc(data: bytes) -> str:
    return f"{google_crc32c.value(data):08x}"


class SecondReader:
    """Reads a store by docs/format.md, slowly and with every check that it asks for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        root = json.loads((path / "zarr.json").read_bytes())
        assert root["zarr_format"] == 3
        assert root["node_type"] == "group"
        self.about = root["attributes"]["skelstore"]
        assert self.about["version"] == 1
        checksum = self.about.pop("checksum")
        assert checksum == crc(json.dumps(root, sort_keys=True, separators=(",", ":")).encode())
        data = (path / "manifest.json").read_bytes()
        assert self.about["manifest"] == {"size": len(data), "crc32c": crc(data)}
        self.manifest = json.loads(data)["files"]
        consolidated = root["consolidated_metadata"]["metadata"]
        assert consolidated == {name: json.loads(self.file(f"{name}/zarr.json")) for name in self.about["fields"]}
        self.videos = self.table("videos.arrow")
        assert len(self.videos) == self.about["videos"]

    def __len__(self) -> int:
        return len(self.videos)

    def file(self, key: str) -> bytes:
        """A file that the manifest lists, held against it."""
        data = (self.path / key).read_bytes()
        entry = self.manifest[key]
        assert (len(data), crc(data)) == (entry["size"], entry["crc32c"])
        return data

    def table(self, key: str) -> pa.Table:
        data = self.file(key)
        assert data[:6] == b"ARROW1"
        opened = pa.ipc.open_file(pa.py_buffer(data))
        assert opened.num_record_batches <= 1
        return opened.read_all()

    def annotation(self, i: int) -> Any:
        return self.node(self.about["layouts"][self.videos["skelstore.layout"][i].as_py()], i)

    def node(self, node: Any, i: int) -> Any:
        ((kind, body),) = node.items()
        if kind == "column":
            return self.cell(body, i)
        if kind == "field":
            return self.array(body, i)
        if kind == "value":
            return typed(body)
        if kind == "tuple":
            return tuple(self.node(child, i) for child in body)
        assert kind == "dict"
        return {typed(key): self.node(child, i) for key, child in body}

    def cell(self, name: str, i: int) -> Any:
        kind = self.about["columns"][name]["type"]
        value = self.videos[name].chunk(0)[i : i + 1]
        assert value.null_count == 0
        if kind == "json":
            return typed(json.loads(value[0].as_py()))
        if kind == "numpy.str":
            return np.str_(value[0].as_py())
        if not kind.startswith("numpy."):
            return value[0].as_py() if kind != "float" else value.to_numpy().item()
        if kind == "numpy.bool":
            return np.bool_(value[0].as_py())
        return value.to_numpy()[0]

    def array(self, name: str, i: int) -> np.ndarray[Any, Any]:
        node = json.loads(self.file(f"{name}/zarr.json"))
        assert node["zarr_format"] == 3
        assert node["chunk_grid"]["name"] == "regular"
        assert node["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "."}}
        assert node["dimension_names"][0] == f"{name}.row"
        (sharding,) = node["codecs"]
        assert sharding["name"] == "sharding_indexed"
        options = sharding["configuration"]
        assert options["index_location"] == "end"
        assert [codec["name"] for codec in options["index_codecs"]] == ["bytes", "crc32c"]
        shard_rows, *_ = node["chunk_grid"]["configuration"]["chunk_shape"]
        chunk_rows, *fixed = options["chunk_shape"]
        assert node["shape"][1:] == fixed

        first = self.videos[f"{name}.row"][i].as_py()
        dims = [self.videos[f"{name}.dim{axis}"][i].as_py() for axis in range(self.about["fields"][name]["ragged"])]
        dtype = array_dtype(node["data_type"], options["codecs"])
        rows = np.zeros((0, *fixed), dtype)
        last = first + math.prod(dims)
        assert last <= node["shape"][0]
        while first < last:
            shard, offset = divmod(first, shard_rows)
            key = ".".join(["c", str(shard), *["0"] * len(fixed)])
            data = self.file(f"{name}/{key}")
            chunks = shard_chunks(data, shard_rows // chunk_rows, self.manifest[f"{name}/{key}"]["digest"])
            chunk, skip = divmod(offset, chunk_rows)
            decoded = decoded_chunk(chunks[chunk], options["codecs"], dtype, [chunk_rows, *fixed])
            taken = min(chunk_rows - skip, last - first)
            rows = np.concatenate([rows, decoded[skip : skip + taken]])
            first += taken
        return rows.astype(dtype).reshape([*dims, *fixed])

    def named(self, name: str) -> list[int]:
        table = self.table("names.arrow")
        buckets, videos = table["bucket"].to_pylist(), table["video"].to_pylist()
        if not videos:
            return []
        bucket = google_crc32c.value(name.encode("utf-8", "surrogatepass")) % len(videos)
        end = buckets[bucket + 1] if bucket + 1 < len(videos) else len(videos)
        return [i for i in videos[buckets[bucket] : end] if self.name(i) == name]

    def name(self, i: int) -> str | None:
        annotation = self.annotation(i)
        found = [annotation[key] for key in ("frame_dir", "filename") if isinstance(annotation.get(key), str)]
        return found[0] if found else None

    def splits(self) -> dict[Any, Any]:
        splits = {}
        for row in self.table("splits.arrow").to_pylist():
            name, ids = row["name"], row["ids"]
            if row["value"] is not None:
                name, ids = map(typed, json.loads(row["value"]))
            splits[name] = ids
        return splits


def typed(node: Any) -> Any:
    """A typed JSON value."""
    if isinstance(node, list):
        return [typed(element) for element in node]
    if not isinstance(node, dict):
        return node
    ((kind, body),) = node.items()
    if kind == "numpy":
        name, value = body
        if name == "str":
            return np.str_(typed(value))
        return np.frombuffer(bytes.fromhex(value), np.dtype(name).newbyteorder("<"))[0].astype(name)
    if kind == "ndarray":
        dtype, shape, data = body
        return np.frombuffer(base64.b64decode(data), dtype).reshape(shape)
    forms: dict[str, Callable[[Any], Any]] = {
        "tuple": lambda elements: tuple(map(typed, elements)),
        "dict": lambda entries: {typed(key): typed(value) for key, value in entries},
        "int": lambda text: int(text, 16),
        "float": lambda text: struct.unpack(">d", bytes.fromhex(text))[0],
        "str": lambda text: bytes.fromhex(text).decode("utf-8", "surrogatepass"),
        "bytes": base64.b64decode,
    }
    return forms[kind](body)


def array_dtype(name: str, codecs: list[Any]) -> np.dtype[Any]:
    big = any(codec.get("configuration", {}).get("endian") == "big" for codec in codecs)
    return np.dtype(name).newbyteorder(">" if big else "<")


def shard_chunks(data: bytes, count: int, digest: str) -> list[bytes]:
    """The chunks of a shard without their crc32c, which are checked."""
    *entries, checksum = struct.unpack(f"<{2 * count}QI", data[-(16 * count + 4) :])
    assert checksum == google_crc32c.value(data[-(16 * count + 4) : -4])
    end = len(data) - 16 * count - 4 - 16
    assert data[end : end + 16].hex() == digest
    chunks, sums, at = [], b"", 0
    for offset, length in zip(entries[::2], entries[1::2], strict=True):
        if (offset, length) == (2**64 - 1, 2**64 - 1):
            assert at == end
            continue
        assert offset == at
        at += length
        chunk, found = data[offset : at - 4], data[at - 4 : at]
        assert google_crc32c.value(chunk) == int.from_bytes(found, "little")
        chunks.append(chunk)
        sums += found
    assert at == end
    assert hashlib.blake2b(sums, digest_size=16).hexdigest() == digest
    return chunks


def decoded_chunk(chunk: bytes, codecs: list[Any], dtype: np.dtype[Any], shape: list[int]) -> np.ndarray[Any, Any]:
    names = [codec["name"] for codec in codecs]
    assert names[-1] == "crc32c"
    nbytes = math.prod(shape) * dtype.itemsize
    if "blosc" in names:
        assert struct.unpack_from("<I4xI", chunk, 4) == (nbytes, len(chunk))
        chunk = blosc.decompress(chunk)
    assert len(chunk) == nbytes
    if names[0] != "transpose":
        return np.frombuffer(chunk, dtype).reshape(shape)
    order = codecs[0]["configuration"]["order"]
    assert order == [*range(1, len(shape)), 0]
    return np.frombuffer(chunk, dtype).reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


def test_second_reader_is_independent() -> None:
    """Nothing of the packages is used between the two lines that enclose the second reader."""
    text = Path(__file__).read_text().split("# --- the second reader")[1].split("def test_second_reader_is")[0]
    names = {node.id for node in ast.walk(ast.parse(text.partition("\n")[2])) if isinstance(node, ast.Name)}
    assert not names & {"skelstore", "converters", "parts", "open_source", "convert_source"}


# --- what it is held against --------------------------------------------------------------------------------


def odd_annotations() -> list[dict[Any, Any]]:
    """Annotations in which every form of the format occurs."""
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


def assert_read_alike(path: Path, annotations: list[Any] | None = None) -> None:
    second = SecondReader(path)
    with skelstore.open(path) as store:
        assert len(second) == len(store)
        assert_exact(second.splits(), store.splits)
        for i in range(len(store)):
            found = second.annotation(i)
            assert_exact(found, store[i], f"video {i}")
            if annotations is not None:
                assert_exact(found, annotations[i], f"annotation {i}")
            name = store.name(i)
            assert second.name(i) == name
            if name is not None:
                assert i in second.named(name)
        assert second.named("nobody at all") == []


@pytest.mark.parametrize("profile", PROFILES)
def test_second_reader_reads_every_form(tmp_path: Path, profile: Any) -> None:
    annotations = odd_annotations()
    with skelstore.Writer(tmp_path / "odd.zarr", profile=profile) as writer:
        for annotation in annotations:
            writer.add(annotation)
        writer.splits["train"] = ["a", "a", "nobody"]
        writer.splits[3] = (1, "b")
        writer.splits["\ud800"] = np.arange(3)
    assert_read_alike(tmp_path / "odd.zarr", annotations)


@pytest.mark.parametrize("profile", PROFILES)
def test_second_reader_reads_many_parts(tmp_path: Path, profile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts begin on shard boundaries, so arrays have padding, absent chunks and videos across shards."""
    monkeypatch.setattr(parts, "PART_VIDEOS", 7)
    data = ntu_like(VIDEOS)
    with skelstore.Writer(tmp_path / "ntu.zarr", profile=profile) as writer:
        for annotation in data["annotations"]:
            writer.add(annotation)
        writer.splits |= data["split"]
    assert len(list((tmp_path / "ntu.zarr" / "keypoint").glob("c.*"))) > 1
    assert_read_alike(tmp_path / "ntu.zarr", data["annotations"])


@pytest.mark.parametrize("videos", [0, 1])
def test_second_reader_reads_small_stores(tmp_path: Path, videos: int) -> None:
    with skelstore.Writer(tmp_path / "small.zarr") as writer:
        for annotation in odd_annotations()[:videos]:
            writer.add(annotation)
    assert_read_alike(tmp_path / "small.zarr")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    write_samples(folder, VIDEOS)
    write_sources(folder, VIDEOS)
    write_skeletons(folder / "nturgb+d_skeletons", ntu_names(6))
    return folder


@pytest.mark.parametrize(
    "source", ["gym_list.pkl", "one", "nturgb+d_skeletons", "k400/k400_hrnet.pkl", "k400_mmaction/k400_2d.pkl"]
)
def test_second_reader_reads_converted_samples(samples: Path, tmp_path: Path, source: str) -> None:
    kpfiles = (samples / source).parent / "kpfiles"
    opened = open_source(samples / source, kpfiles=kpfiles if kpfiles.is_dir() else None)
    convert_source(opened, tmp_path / "s.zarr", profile="small")
    opened.close()
    assert_read_alike(tmp_path / "s.zarr")
    about = SecondReader(tmp_path / "s.zarr").about["source"]
    known = {"dialect", "name", "size", "document", "kpfiles", "left_out", "boxes", "class_names", "joints", "unlisted"}
    known |= {"recipe", "task"}
    assert set(about) <= known


# --- the documents ------------------------------------------------------------------------------------------


class Block(NamedTuple):
    line: int
    language: str
    text: str
    needs: str = ""


def blocks(document: str) -> list[Block]:
    """The fenced code blocks of a document."""
    text = (REPOSITORY / document).read_text()
    assert text.count("```") % 2 == 0
    found = re.finditer(r"^```(\w*) ?(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert text.count("\n```") % 2 == 0
    return [Block(text.count("\n", 0, match.start()) + 2, match[1], match[3], match[2]) for match in found]


def commands(block: Block) -> Iterator[str]:
    """The commands of a block: in a console block, what stands behind the prompt."""
    for line in block.text.splitlines():
        if block.language == "sh" and line and not line.startswith("#"):
            yield line
        elif block.language == "console" and line.startswith("$ "):
            yield line.removeprefix("$ ")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_code_blocks_run(samples: Path, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of a document, in order, in a folder that holds the sample data."""
    monkeypatch.chdir(samples)
    check_blocks(document, "")


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.filterwarnings("ignore")
def test_blocks_that_need_a_framework_run(tmp_path: Path, framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After those that need none, which convert the data."""
    if checkout := os.environ.get("PYSKL_CHECKOUT", ""):
        monkeypatch.syspath_prepend(checkout)
        mend_mmcv()
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed here: see `make {FRAMEWORKS[framework]}`")
    assert any(block.needs == framework for block in blocks(TRAINING))
    mend_mmaction2(monkeypatch)
    write_samples(tmp_path, VIDEOS if framework == "torch" else 20)  # PoseC3D takes a second a video without a GPU
    monkeypatch.chdir(tmp_path)
    check_blocks(TRAINING, "")
    left = check_blocks(TRAINING, framework)
    if framework != "torch":
        assert left["runner"].epoch == 1
        close_log(left["runner"])


def test_the_guide_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/training.md that need no framework."""
    assert {block.needs for block in blocks(TRAINING)} == {"", *FRAMEWORKS}
    write_samples(tmp_path, VIDEOS)
    monkeypatch.chdir(tmp_path)
    check_blocks(TRAINING, "")
    assert len(skelstore.open("k400.zarr").split("train")) > 0


def check_blocks(document: str, framework: str) -> dict[str, Any]:
    """The blocks of a document that need just that framework, in one namespace, which is returned."""
    namespace: dict[str, Any] = {"__name__": "document"}
    for block in (block for block in blocks(document) if block.needs == framework):
        place = f"{document}:{block.line}"
        assert block.language, f"{place}: a block without a language"
        if block.language == "python":
            padding = "\n" * (block.line - 1)  # so that a traceback names the line of the document
            exec(compile(padding + block.text, str(REPOSITORY / document), "exec"), namespace)
        elif block.language == "json":
            json.loads(block.text)
        for command in commands(block):
            run(command, place)
    return namespace


def run(command: str, place: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets), f"{place}: {command}"
    elif program == "skelstore":
        real = str(Path(sys.executable).with_name("skelstore"))
        done = subprocess.run([real, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{place}: {command}: {done.stderr}"
    else:
        assert command.startswith(NOT_RUN), f"{place}: {command} is neither run nor known"


def test_readme_begins_with_working_code() -> None:
    first = [block for block in blocks("README.md") if block.line <= 30]
    assert {"sh", "python"} <= {block.language for block in first}
    text = "".join(block.text for block in first)
    assert all(word in text for word in ("convert", "open", "store[", "read", "split", "select", "export"))


def test_example_bytes_of_the_format_are_a_shard(tmp_path: Path) -> None:
    """The dump in docs/format.md is read as the table below it says, and holds the arrays of the example."""
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
    assert_read_alike(tmp_path / "tiny.zarr")


def test_links_of_documents_lead_somewhere() -> None:
    for document in [*DOCUMENTS, TRAINING, "CHANGELOG.md"]:
        path = REPOSITORY / document
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{document}: {target}"


def test_demo_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "converters.demo", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("passed: all 7 data sets")
