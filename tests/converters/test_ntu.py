"""Folders and zip files of ``.skeleton`` files: the contract, splits, lists of ignored samples, broken files."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters import open_source
from converters.conversion.convert import convert_source
from converters.dialects import ntu
from converters.dialects.ntu.raw_store import RawStore
from converters.dialects.ntu.recipes import RECIPES
from converters.dialects.ntu.source import NtuFiles
from converters.dialects.registry import recorded_options
from converters.inputs.ntu_names import Recipe
from converters.samples.skeletons import skeleton_file, write_skeletons
from skelstore.errors import SkelstoreError, SourceError, UnsupportedValueError
from tests.support import ctrgcn_reference, ntu_reference
from tests.support.exact import assert_exact
from tests.support.source_contract import check_source, load

NAMES_60 = [
    *("S001C001P001R001A001", "S001C002P003R002A060", "S002C003P008R001A011", "S017C002P009R002A052"),
    *("S004C001P020R001A005",),
]
NAMES_120 = [*NAMES_60, "S018C001P045R001A061", "S019C002P044R002A120", "S032C003P103R001A106"]


def folder_of(folder: Path, names: list[str] = NAMES_60) -> Path:
    write_skeletons(folder, names, frames=(30, 45))
    return folder


def zipped(folder: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("skeletons")
        for file in sorted(folder.rglob("*.skeleton")):
            archive.write(file, f"skeletons/{file.name}")
        archive.writestr("README.txt", "no sample")
        archive.writestr("__MACOSX/._S001C001P001R001A001.skeleton", b"\0\5\26\7")
    return path


def names_of(source: NtuFiles) -> list[str]:
    """All names in the splits of the first benchmark."""
    return source.splits()["xsub_train"] + source.splits()["xsub_val"]


def expected_of(folder: Path, names: list[str], recipe: Recipe, task: str = "ntu60") -> list[dict[str, Any]]:
    """The annotations that the references make from the files with these names."""
    found = []
    for name in names:
        frames = ntu_reference.read((folder / f"{name}.skeleton").read_bytes())
        annotation = {"frame_dir": name, "label": int(name[-3:]) - 1}
        if recipe == "raw":
            found.append(annotation | ntu_reference.raw(frames))
            continue
        if recipe == "ctrgcn":
            keypoint = ctrgcn_reference.keypoint(ctrgcn_reference.row(frames, task))
        else:
            keypoint = getattr(ntu_reference, recipe)(frames)
        found.append(annotation | {"keypoint": keypoint, "total_frames": keypoint.shape[1]})
    return found


def ordered(names: list[str], recipe: Recipe, task: str) -> list[str]:
    names = sorted(names)
    if recipe == "mmaction2":
        split = ntu_reference.splits(names, recipe, task)
        return split["xsub_train"] + split["xsub_val"]
    return names


def splits_of(names: list[str], recipe: Recipe, task: str) -> dict[str, list[str]]:
    if recipe == "ctrgcn":
        return ctrgcn_reference.splits(sorted(names), task)
    return ntu_reference.splits(sorted(names), recipe, task)


# ------------------------------------------------------------------------------------------ the contract


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("packed", [False, True])
def test_the_contract(tmp_path: Path, recipe: Recipe, packed: bool) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_120)
    path = zipped(folder) if packed else folder
    source = open_source(path, recipe=recipe)
    assert source.dialect == "ntu"
    names = ordered(NAMES_120, recipe, "ntu120")
    assert [source.place(i)[-29:-9] for i in range(len(source))] == names
    check_source(source, expected_of(folder, names, recipe, "ntu120"), splits_of(names, recipe, "ntu120"))


@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_the_contract_of_a_raw_store(tmp_path: Path, recipe: Recipe) -> None:
    folder = folder_of(tmp_path / "skeletons")
    ntu.convert(folder, tmp_path / "raw.zarr")
    names = ordered(NAMES_60, recipe, "ntu60")
    source = RawStore(tmp_path / "raw.zarr", recipe=recipe)
    check_source(source, expected_of(folder, names, recipe), splits_of(names, recipe, "ntu60"))


def test_real_files_in_a_store(real_folder: Path, tmp_path: Path) -> None:
    folder = real_folder / "ntu"
    if not folder.is_dir():
        pytest.skip(f"no real files in {folder}")
    names = sorted(file.stem for file in folder.glob("*.skeleton"))
    for recipe in RECIPES:
        ntu.convert(folder, tmp_path / f"{recipe}.zarr", recipe=recipe, workers=1)
        with skelstore.open(tmp_path / f"{recipe}.zarr") as store:
            assert_exact(list(store), expected_of(folder, ordered(names, recipe, "ntu60"), recipe))


# -------------------------------------------------------------------------------- data sets and splits


def test_both_data_sets_of_a_folder_with_actions_above_60(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_120)
    whole, first = (NtuFiles(folder, recipe="pyskl", task=task) for task in (None, "ntu60"))
    assert list(whole.splits()) == ["xsub_train", "xsub_val", "xset_train", "xset_val"]
    assert list(first.splits()) == ["xsub_train", "xsub_val", "xview_train", "xview_val"]
    assert sorted(names_of(first)) == sorted(NAMES_60)
    assert len(whole) == 8
    assert len(first) == 5
    assert len(NtuFiles(folder, recipe="mmaction2", task="ntu60")) == 8, "as in the script, which leaves none out"
    assert whole.description()["task"] == "ntu120"


def test_splits_by_name(tmp_path: Path) -> None:
    split = NtuFiles(folder_of(tmp_path / "skeletons", NAMES_120), recipe="pyskl").splits()
    assert split["xsub_train"] == [
        name for name in sorted(NAMES_120) if name[8:12] in ("P001", "P008", "P009", "P045", "P103")
    ]
    assert split["xset_train"] == [name for name in sorted(NAMES_120) if name[:4] in ("S002", "S004", "S018", "S032")]
    split = NtuFiles(tmp_path / "skeletons", recipe="pyskl", task="ntu60").splits()
    assert split["xview_val"] == ["S001C001P001R001A001", "S004C001P020R001A005"]


def test_splits_of_ctrgcn_follow_its_rows(tmp_path: Path) -> None:
    """By subject, camera or setup, then by name; subjects, cameras and setups of neither data set are in none."""
    names = [*NAMES_120, "S001C003P001R001A002", "S002C001P001R001A001", "S001C004P041R001A001", "S033C001P107R001A070"]
    folder = folder_of(tmp_path / "skeletons", names)
    split = NtuFiles(folder, recipe="ctrgcn", task="ntu60").splits()
    assert [name[8:12] for name in split["xsub_train"]] == ["P001", "P001", "P001", "P008", "P009"]
    assert split["xsub_train"][:3] == sorted(split["xsub_train"][:3])
    assert [name[4:8] for name in split["xview_train"]] == ["C002", "C002", "C003", "C003"]
    assert all("P041" not in name for ids in (split["xsub_train"], split["xsub_val"]) for name in ids)
    assert all("C004" not in name for ids in (split["xview_train"], split["xview_val"]) for name in ids)
    split = NtuFiles(folder, recipe="ctrgcn", task="ntu120").splits()
    assert all("S033C001P107R001A070" not in ids for ids in split.values())
    assert "S001C004P041R001A001" in split["xsub_val"]
    assert split["xset_train"] == sorted(split["xset_train"])


def test_a_list_of_ignored_samples(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_120)
    listed = tmp_path / "missing.txt"
    listed.write_text(f"Samples:\n\n{NAMES_60[1]}\r\n{NAMES_120[6]}.skeleton\n{NAMES_120[7]}\nS001C002P005R002A008\n")
    for recipe in RECIPES:
        source = NtuFiles(folder, recipe=recipe, ignore=listed)
        assert sorted(names_of(source)) == sorted({*NAMES_60, NAMES_120[5]} - {NAMES_60[1]})
        assert source.description()["ignored"] == sorted([NAMES_60[1], NAMES_120[6], NAMES_120[7]])
    listed.write_text(f"{NAMES_60[1]}\n{NAMES_120[6]}\n", "utf-8-sig")
    assert NtuFiles(folder, ignore=listed).description()["ignored"] == sorted([NAMES_60[1], NAMES_120[6]])
    listed.write_text(f"{NAMES_60[1]}\nS001C002P005R002A08\n")
    with pytest.raises(SourceError, match=r"missing\.txt: line 2: 'S001C002P005R002A08'; expected a name"):
        NtuFiles(folder, ignore=listed)
    listed.write_text("none\n")
    with pytest.raises(SourceError, match="names no sample"):
        NtuFiles(folder, ignore=listed)


def test_the_published_lists_by_their_form(tmp_path: Path) -> None:
    names = [f"S{s:03d}C001P{p:03d}R001A{a:03d}" for s in range(1, 33) for p in (1, 2) for a in range(1, 10)][:535]
    (tmp_path / "list.txt").write_text("".join(f"{name}\n" for name in names))
    folder = folder_of(tmp_path / "skeletons", [names[0], NAMES_60[1]])
    assert len(NtuFiles(folder, ignore=tmp_path / "list.txt")) == 1


# ------------------------------------------------------------------------------------------------- refusals


def test_invalid_names(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons")
    for name in ("mine", "S001C001P001R001A000", "S001C001P001R001A001_2"):
        shutil.copy(folder / f"{NAMES_60[0]}.skeleton", folder / f"{name}.skeleton")
    with pytest.raises(SourceError) as error:
        NtuFiles(folder)
    assert len(str(error.value).splitlines()) == 3
    assert "mine.skeleton: 'mine' is not a name of NTU RGB+D" in str(error.value)
    source = NtuFiles(folder, skip_broken=True)
    assert len(source) == 5
    assert [entry["name"] for entry in source.description()["left_out"]] == [
        *("S001C001P001R001A000.skeleton", "S001C001P001R001A001_2.skeleton", "mine.skeleton"),
    ]


def test_a_name_twice(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons")
    (folder / "more").mkdir()
    shutil.copy(folder / f"{NAMES_60[0]}.skeleton", folder / "more")
    with pytest.raises(SourceError, match="has S001C001P001R001A001 twice"):
        NtuFiles(folder)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_60[:1])
    wrong: list[dict[str, Any]] = [{"recipe": "stgcn"}, {"task": "ntu240"}]
    for options in wrong:
        with pytest.raises(SourceError, match="expected one of"):
            NtuFiles(folder, **options)
    with pytest.raises(SourceError, match="--recipe goes with ntu, not with folder"):
        open_source(folder, "folder", recipe="raw")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"has no \.skeleton file"):
        NtuFiles(tmp_path / "empty")


# ------------------------------------------------------------------------------------------- broken files


def break_some(folder: Path) -> dict[str, str]:
    """Break two of the files and remove the bodies of a third; return the names and lines of the broken ones."""
    (folder / f"{NAMES_60[1]}.skeleton").write_bytes(b"")
    path = folder / f"{NAMES_60[2]}.skeleton"
    start = path.read_bytes().index(b"\n72057") + 1
    path.write_bytes(path.read_bytes().replace(b"\n25", b"\n26", 1))
    line = path.read_bytes()[:start].count(b"\n") + 2
    (folder / f"{NAMES_60[3]}.skeleton").write_bytes(b"2\n0\n0\n")
    return {NAMES_60[1]: "the file is empty", NAMES_60[2]: f"line {line}: 26 joints"}


def test_broken_files_are_reported_together(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons")
    broken = break_some(folder)
    with pytest.raises(SkelstoreError) as error:
        ntu.convert(folder, tmp_path / "s.zarr", recipe="pyskl")
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    for line, (name, reason) in zip(lines, sorted(broken.items()), strict=True):
        assert line.startswith(f"{folder}: {name}.skeleton: {reason}")
    assert not (tmp_path / "s.zarr").exists()


def test_many_broken_files_are_a_bounded_list(tmp_path: Path) -> None:
    (tmp_path / "skeletons").mkdir()
    for i in range(50):
        (tmp_path / "skeletons" / f"S001C001P001R001A{i + 1:03d}.skeleton").write_bytes(b"")
    with pytest.raises(UnsupportedValueError) as error:
        ntu.convert(tmp_path / "skeletons", tmp_path / "s.zarr")
    assert len(str(error.value).splitlines()) == 21
    assert "more after these 20" in str(error.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_broken_files_are_left_out_and_recorded(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skelstore.format.chunking.PART_BYTES", 1 << 18)
    folder = folder_of(tmp_path / "skeletons")
    broken = break_some(folder)
    for recipe in RECIPES if workers == 1 else ("ctrgcn",):
        ntu.convert(folder, tmp_path / f"{recipe}.zarr", recipe=recipe, skip_broken=True, workers=workers)
        with skelstore.open(tmp_path / f"{recipe}.zarr") as store:
            left_out = {entry["name"]: entry["reason"] for entry in store.source["left_out"]}
            gone = {*broken, NAMES_60[3]} if recipe in ("pyskl", "ctrgcn") else set(broken)
            assert left_out.keys() == gone
            assert all(left_out[name].startswith(broken[name]) for name in broken)
            names = ordered([name for name in NAMES_60 if name not in gone], recipe, "ntu60")
            assert_exact(list(store), expected_of(folder, names, recipe))
            assert_exact(store.splits, splits_of(names, recipe, "ntu60"))
            source = store.source
        again = open_source(folder, **recorded_options(source))
        assert_exact(again.description()["recipe"], recipe)


def test_pyskl_leaves_a_sample_without_a_body_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons")
    (folder / f"{NAMES_60[3]}.skeleton").write_bytes(b"2\n0\n0\n")
    ntu.convert(folder, tmp_path / "s.zarr", recipe="pyskl")
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert [store.name(i) for i in range(4)] == sorted({*NAMES_60} - {NAMES_60[3]})
        assert all(NAMES_60[3] not in ids for ids in store.splits.values())
        assert store.source["left_out"] == [{"index": 4, "name": NAMES_60[3], "reason": "no frame has a body"}]


@pytest.mark.parametrize("names", [NAMES_60[:1], NAMES_60[:3]])
def test_parts_in_which_every_sample_is_left_out(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skelstore.format.chunking.PART_BYTES", 1)
    folder = folder_of(tmp_path / "skeletons", names)
    (folder / f"{NAMES_60[0]}.skeleton").write_bytes(b"")
    ntu.convert(folder, tmp_path / "raw.zarr", skip_broken=True, workers=1)
    convert_source(RawStore(tmp_path / "raw.zarr", recipe="pyskl"), tmp_path / "pyskl.zarr")
    for store in (skelstore.open(tmp_path / name) for name in ("raw.zarr", "pyskl.zarr")):
        with store:
            assert [store.name(i) for i in range(len(store))] == sorted(names[1:])
            assert [entry["name"] for entry in store.source["left_out"]] == names[:1]


# ---------------------------------------------------------------------------------------------- zip files


def test_stored_zip_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_60[:2])
    source = NtuFiles(zipped(folder, zipfile.ZIP_STORED))
    assert_exact([source.video(i)[0] for i in range(2)], expected_of(folder, NAMES_60[:2], "raw"))


def check_damage_is_reported(path: Path, what: str) -> None:
    """Check that every sample of a zip file is refused with its name, or the file as a whole."""

    def read_all() -> None:
        source = NtuFiles(path)
        for i in range(len(source)):
            source.video(i)

    with pytest.raises(SourceError, match=what) as error:
        read_all()
    assert str(path) in str(error.value)


def test_damaged_zip_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_60[:1])
    whole = zipped(folder).read_bytes()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(whole[: len(whole) // 2])
    check_damage_is_reported(damaged, "is not a readable zip file")
    for position in range(200, len(whole) // 2, 5000):
        damaged.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        check_damage_is_reported(damaged, "it is damaged in the zip file")
    with zipfile.ZipFile(damaged, "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(folder / f"{NAMES_60[0]}.skeleton", f"{NAMES_60[0]}.skeleton")
    check_damage_is_reported(damaged, "compressed with a method other than deflate")


def test_zip_files_with_a_misleading_directory(tmp_path: Path) -> None:
    path = tmp_path / "astray.zip"
    name = f"{NAMES_60[0]}.skeleton"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"0")
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    entry, end = whole[start : whole.index(b"PK\x05\x06")], whole[whole.index(b"PK\x05\x06") :]

    def rewritten(changed: bytes) -> None:
        size = len(changed).to_bytes(4, "little")
        path.write_bytes(whole[:start] + changed + end[:12] + size + end[16:])

    for packed, offset in ((1, 2**63 + 5), (2**62, 0), (2**64 - 1, 0), (1, 2**64 - 1), (1, len(whole) + 999)):
        extra = struct.pack("<HHQQ", 1, 16, packed, offset)
        head = bytearray(entry)
        head[20:24] = head[42:46] = b"\xff" * 4
        head[30:32] = len(extra).to_bytes(2, "little")
        rewritten(bytes(head) + extra)
        check_damage_is_reported(path, r"its directory places|is not a readable zip file")
    rewritten(entry.replace(b"S001", b"\0" + b"001"))
    check_damage_is_reported(path, "is not a readable zip file|has no .skeleton file")


def test_a_zip_file_that_promises_less_than_it_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{NAMES_60[0]}.skeleton", bytes(100 << 20))
    data = path.read_bytes()
    path.write_bytes(data.replace((100 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    check_damage_is_reported(path, "damaged in the zip file")
    path.write_bytes(data.replace((100 << 20).to_bytes(4, "little"), (3 << 30).to_bytes(4, "little")))
    check_damage_is_reported(path, "the file has 3,221,225,472 bytes")


# ------------------------------------------------------------------------------------------- the commands


def test_the_commands(tmp_path: Path, run: Callable[..., Any]) -> None:
    folder = folder_of(tmp_path / "skeletons")
    break_some(folder)
    listed = tmp_path / "missing.txt"
    listed.write_text(NAMES_60[4])
    done = run("convert", folder, tmp_path / "raw.zarr", "--ignore", listed, "--workers", 1)
    assert done.status == 1
    assert done.err.count(".skeleton: ") == 2
    done = run("convert", folder, tmp_path / "raw.zarr", "--ignore", listed, "--skip-broken", "--workers", 1)
    assert (done.status, "left out 2 videos" in done.err, "kpfiles" in done.err) == (0, True, False)
    found = json.loads(run("info", tmp_path / "raw.zarr", "--json").out)
    assert found["videos"] == 2
    assert [entry["name"] for entry in found["left_out"]] == [NAMES_60[1], NAMES_60[2]]
    assert run("verify", tmp_path / "raw.zarr", "--against", folder).status == 0
    for recipe in RECIPES[1:]:
        skipping = ["--skip-broken"] if recipe == "ctrgcn" else []
        done = run("derive", tmp_path / "raw.zarr", tmp_path / f"{recipe}.zarr", "--recipe", recipe, *skipping)
        assert done.status == 0
        direct = tmp_path / f"direct_{recipe}.zarr"
        run("convert", folder, direct, "--recipe", recipe, "--ignore", listed, "--skip-broken", "--workers", 1)
        assert run("verify", tmp_path / f"{recipe}.zarr", "--level", "decode", "--against", folder).err == ""
        for stored in (tmp_path / f"{recipe}.zarr", direct):
            assert run("export", stored, stored.with_suffix(".pkl")).status == 0
        assert_exact(load(tmp_path / f"{recipe}.pkl"), load(direct.with_suffix(".pkl")))
    assert len(load(tmp_path / "mmaction2.pkl")["annotations"]) == 2
    assert len(load(tmp_path / "pyskl.pkl")["annotations"]) == 1
    done = run("derive", tmp_path / "pyskl.zarr", tmp_path / "x.zarr", "--recipe", "pyskl")
    assert (done.status, "does not hold raw NTU RGB+D" in done.err) == (1, True)
    assert run("derive", tmp_path / "raw.zarr", tmp_path / "x.zarr", "--recipe", "raw").status == 2
    assert not (tmp_path / "x.zarr").exists()


def test_archives_that_are_merged_raw_and_then_derived(tmp_path: Path) -> None:
    """NTU RGB+D 120 comes as two archives; here the first contains a file that is left out."""
    first, second = folder_of(tmp_path / "1", NAMES_60), folder_of(tmp_path / "2", NAMES_120[len(NAMES_60) :])
    (first / "notes.skeleton").write_bytes(b"")
    for folder in (first, second):
        ntu.convert(folder, folder.with_suffix(".zarr"), skip_broken=True)
    skelstore.merge([tmp_path / "1.zarr", tmp_path / "2.zarr"], tmp_path / "merged.zarr")
    whole = tmp_path / "whole"
    shutil.copytree(first, whole)
    shutil.copytree(second, whole, dirs_exist_ok=True)
    ntu.convert(whole, tmp_path / "whole.zarr", skip_broken=True)
    found = []
    for raw in ("merged", "whole"):
        convert_source(RawStore(tmp_path / f"{raw}.zarr", recipe="mmaction2"), tmp_path / f"{raw} derived.zarr")
        with skelstore.open(tmp_path / f"{raw} derived.zarr") as store:
            about = {key: value for key, value in store.source.items() if key != "name"}
            found.append((list(store), store.splits, about))
    assert_exact(found[0], found[1])
    assert found[0][2]["left_out"][0]["name"] == "notes.skeleton"


def test_verify_reports_a_changed_file(tmp_path: Path, run: Callable[..., Any]) -> None:
    folder = folder_of(tmp_path / "skeletons")
    ntu.convert(folder, tmp_path / "s.zarr", recipe="mmaction2")
    (folder / f"{NAMES_60[2]}.skeleton").write_bytes(skeleton_file(NAMES_60[2], [99]))
    done = run("verify", tmp_path / "s.zarr", "--against", folder)
    assert done.status == 1
    assert NAMES_60[2] in done.err


def test_a_recipe_that_fails_while_deriving(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons")
    short = skeleton_file(NAMES_60[3]).replace(b"\r\n", b"\n").split(b"\n")
    start = next(i for i, line in enumerate(short) if line.startswith(b"72057"))
    one = b"\n".join(short[start : start + 27])
    other = b"1" + one
    (folder / f"{NAMES_60[3]}.skeleton").write_bytes(b"1\n2\n" + one + b"\n" + other)
    ntu.convert(folder, tmp_path / "raw.zarr")
    with pytest.raises(SkelstoreError, match=rf"raw\.zarr: {NAMES_60[3]}: none of several bodies has"):
        convert_source(RawStore(tmp_path / "raw.zarr", recipe="pyskl"), tmp_path / "s.zarr")
    convert_source(RawStore(tmp_path / "raw.zarr", recipe="pyskl", skip_broken=True), tmp_path / "s.zarr")
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert len(store) == 4
        assert [entry["name"] for entry in store.source["left_out"]] == [NAMES_60[3]]


def test_the_names_of_the_classes_are_derived_too(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_60[:2])
    names = [f"class {i}" for i in range(60)]
    convert_source(NtuFiles(folder), tmp_path / "raw.zarr", class_names=names, workers=1)
    convert_source(RawStore(tmp_path / "raw.zarr", recipe="pyskl"), tmp_path / "out.zarr", workers=1)
    with skelstore.open(tmp_path / "out.zarr") as store:
        assert store.class_names == names


def test_an_unreadable_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "skeletons", NAMES_60[:1])
    source = NtuFiles(folder)
    os.unlink(folder / f"{NAMES_60[0]}.skeleton")
    with pytest.raises(FileNotFoundError):
        source.video(0)


def test_zip_files_whose_entries_share_bytes(tmp_path: Path) -> None:
    """With shared bytes a small archive unpacks to any number of files."""
    path = tmp_path / "shared.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"S001C001P001R001A00{i}.skeleton", b"0\n" * 1000)
        for info in archive.infolist():
            info.header_offset = archive.infolist()[0].header_offset
    with pytest.raises(SourceError, match=r"shared\.zip.*A000.*overlap in the zip file"):
        NtuFiles(path)


def test_a_packed_file_that_is_larger_than_what_it_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("S001C001P001R001A001.skeleton", bytes(100_000))
        archive.infolist()[0].file_size = 10
    check_damage_is_reported(path, "100,000 bytes compressed, 10 uncompressed")


RAW = {
    "frame_dir": NAMES_60[0],
    "label": 0,
    "total_frames": 15,
    "frame_inds": np.arange(15, dtype=np.int32),
    "body_id": np.full(15, 72),
    "position": np.random.default_rng(0).normal(0, 1, (15, 25, 3)),
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": None},
        {"position": np.zeros((15, 20, 3))},
        {"position": np.zeros((14, 25, 3))},
        {"position": np.zeros((15, 25, 3), np.int64)},
        {"frame_inds": np.arange(15) - 1},
        {"frame_inds": np.arange(15) + 1},
        {"frame_inds": np.arange(15.0)},
        {"body_id": np.full((15, 1), 72)},
        {"total_frames": 15.0},
        {"motion": np.zeros((1, 1), np.float32)},
        {"motion": np.zeros(1), "frame_inds": np.full(15, 1 << 30)},
    ],
)
def test_stores_of_others_that_only_claim_to_be_raw(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with skelstore.Writer(tmp_path / "a.zarr", source={"dialect": "ntu", "recipe": "raw"}) as writer:
        writer.add(RAW)
        writer.add(
            {key: value for key, value in (RAW | wrong).items() if value is not None} | {"frame_dir": NAMES_60[1]}
        )
    for recipe in ("pyskl", "ctrgcn"):
        with closing(RawStore(tmp_path / "a.zarr", recipe=recipe)) as source:
            assert source.video(0)[0]["keypoint"].shape == (1, 15, 25, 3)
            with pytest.raises(SourceError, match=rf"{NAMES_60[1]}: the video is not a raw annotation"):
                source.video(1)
