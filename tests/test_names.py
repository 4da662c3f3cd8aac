"""A frame_dir is data: it is stored, found and exported unchanged, and no path is built from it."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters import export
from converters.dialects import bare_list, kinetics, pyskl
from converters.dialects.registry import open_source
from skelstore import SourceError
from tests.support.exact import assert_exact
from tests.support.source_contract import dump, load

LONG = "n" * 10_000
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))

NAMES = [
    "",
    ".",
    "..",
    "../x",
    "../../../../etc/passwd",
    "/etc/passwd",
    "/",
    "a/b",
    "a/../b",
    "C:\\x",
    "\\\\host\\share",
    "a\0b",
    "a",
    "\0",
    "a\nb",
    "a\r\n",
    " a ",
    LONG,
    LONG + "x",
    "jf7RDuUTrsQ",
    "JF7RDuUTrsQ",
    "jf7rduutrsq",
    COMPOSED,
    DECOMPOSED,
    "ﬁ",
    "fi",
    "ß",
    "ss",
    "\u202exyz",
    "😀",
    "-x",
    "%2e%2e%2fx",
    "CON",
    "zarr.json",
    "keypoint",
    "\ud800",
]
"""Names that a file cannot have at all, not on every file system, or not beside the others."""
FILES = [name for name in NAMES if name not in ("/", "\ud800") and "\0" not in name and len(name) < 200]
"""Those by which MMAction2 finds a file, on any file system whose names are bytes."""
FILES = [name for name in FILES if not name.startswith(("..", "/")) and "/../" not in name] + [".."]


def entry(name: str, number: int) -> dict[str, Any]:
    return {"frame_dir": name, "label": number, "total_frames": 3}


def skeleton(number: int) -> dict[str, Any]:
    return {"keypoint": np.full((3, 4, 3), number, np.float16)}


def tree(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def dataset(names: list[str]) -> dict[str, Any]:
    annotations = [{**entry(name, i), "keypoint": np.full((1, 3, 4, 2), i, np.float16)} for i, name in enumerate(names)]
    return {"split": {"all": names, "back": names[::-1], "../train": names[:1]}, "annotations": annotations}


def check_found(path: Path, annotations: list[dict[str, Any]]) -> None:
    """Find each video by its name, with a reader that knows nothing else."""
    with skelstore.open(path) as store:
        for i, annotation in enumerate(annotations):
            assert annotation["frame_dir"] in store
            assert_exact(store[annotation["frame_dir"]], annotation)
            assert_exact(store[i]["frame_dir"], annotation["frame_dir"])
        for other in ("x", "A", "etc/passwd", LONG + "y", "A\0B", "jF7RDuUTrsQ"):
            assert other not in store


@pytest.mark.parametrize("dialect", ["pyskl", "list"])
def test_names_round_trip(tmp_path: Path, dialect: str) -> None:
    data = dataset(NAMES)
    value = data if dialect == "pyskl" else data["annotations"]
    module: Any = pyskl if dialect == "pyskl" else bare_list
    module.convert(dump(tmp_path / "a.pkl", value), tmp_path / "a.zarr", workers=1)
    check_found(tmp_path / "a.zarr", data["annotations"])
    with skelstore.open(tmp_path / "a.zarr") as store:
        if dialect == "pyskl":
            assert_exact(store.splits, data["split"])
            assert [a["frame_dir"] for a in store.split("back")] == NAMES
            assert [a["frame_dir"] for a in store.split("../train")] == NAMES[:1]
        export(store, tmp_path / "out.pkl")
    assert_exact(load(tmp_path / "out.pkl"), value)


def test_no_file_of_a_store_is_named_after_a_video(tmp_path: Path) -> None:
    """The files are the same for other names, and no others appear beside them."""
    plain = [f"video {i}" for i in range(len(NAMES))]
    for folder, names in ("odd", NAMES), ("plain", plain):
        pyskl.convert(dump(tmp_path / folder / "a.pkl", dataset(names)), tmp_path / folder / "a.zarr", workers=1)
    assert tree(tmp_path / "odd") == tree(tmp_path / "plain")


@pytest.mark.parametrize("videos", [1, 5, None])
def test_kpfiles_are_named_by_number(tmp_path: Path, videos: int | None) -> None:
    """Names are the keys in kpfiles; a kpfile with one video is not named after it."""
    data = dataset(NAMES)
    pyskl.convert(dump(tmp_path / "a.pkl", data), tmp_path / "a.zarr", workers=1)
    out = tmp_path / "out"
    out.mkdir()
    with skelstore.open(tmp_path / "a.zarr") as store:
        export(store, out / "toc.pkl", format="kinetics", kpfile_videos=videos)
    count = -(-len(NAMES) // (videos or 1000))
    assert tree(out) == {"toc.pkl", *(f"kpfiles/kpfile_{i:05}.pkl" for i in range(count))}
    keys = [key for i in range(count) for key in load(out / "kpfiles" / f"kpfile_{i:05}.pkl")]
    assert keys == NAMES
    kinetics.convert(out / "toc.pkl", out / "b.zarr", kpfiles=out / "kpfiles", workers=1)
    with skelstore.open(out / "b.zarr") as store:
        for i, name in enumerate(NAMES):
            assert_exact(store[name]["keypoint"], data["annotations"][i]["keypoint"])


def test_one_file_per_video_round_trips(tmp_path: Path) -> None:
    """MMAction2's layout: the files are exported under the names that they had, byte for byte."""
    toc = {"split": {"all": FILES}, "annotations": [entry(name, i) for i, name in enumerate(FILES)]}
    dump(tmp_path / "toc.pkl", toc)
    for i, name in enumerate(FILES):
        dump(tmp_path / "kpfiles" / f"{name}.pkl", skeleton(i))
    if len(tree(tmp_path / "kpfiles")) < len(set(FILES)):
        pytest.skip("some of the names are the same to this file system")
    kinetics.convert(tmp_path / "toc.pkl", tmp_path / "a.zarr", kpfiles=tmp_path / "kpfiles", workers=1)
    expected = [{**entry(name, i), **skeleton(i)} for i, name in enumerate(FILES)]
    check_found(tmp_path / "a.zarr", expected)
    (tmp_path / "out").mkdir()
    with skelstore.open(tmp_path / "a.zarr") as store:
        export(store, tmp_path / "out" / "toc.pkl")
    assert_exact(load(tmp_path / "out" / "toc.pkl"), toc)
    assert tree(tmp_path / "out" / "kpfiles") == tree(tmp_path / "kpfiles")
    for name in FILES:
        found = load(tmp_path / "out" / "kpfiles" / f"{name}.pkl")
        assert_exact(found, load(tmp_path / "kpfiles" / f"{name}.pkl"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FILES])
def test_a_name_that_no_file_has_is_missing(tmp_path: Path, name: str) -> None:
    """In MMAction2's layout, which builds paths from names: nothing outside the folder is read or looked for."""
    for path in (tmp_path / "x.pkl", tmp_path / "b.pkl", tmp_path / "kpfiles" / "y.pkl"):
        dump(path, skeleton(1))
    dump(tmp_path / "toc.pkl", {"split": {}, "annotations": [entry(name, 0)]})
    with pytest.raises(SourceError, match=r"leads outside|missing") as error:
        open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles")
    lines = str(error.value).splitlines()
    assert len(lines) <= 2
    assert all(line.isprintable() and len(line) < 500 + len(os.fspath(tmp_path)) for line in lines)
    os.remove(tmp_path / "kpfiles" / "y.pkl")
    dump(tmp_path / "kpfiles" / "0.pkl", {name: skeleton(7)})  # as a key of a kpfile it is like any other name
    if ".." in name.split("/"):
        return
    kinetics.convert(tmp_path / "toc.pkl", tmp_path / "a.zarr", kpfiles=tmp_path / "kpfiles", workers=1)
    check_found(tmp_path / "a.zarr", [{**entry(name, 0), **skeleton(7)}])
