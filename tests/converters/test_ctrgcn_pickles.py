"""CTR-GCN's raw_skes_data.pkl and raw_denoised_joints.pkl: exact values, names, what is derived, and wrong content."""

from __future__ import annotations

import copy
import os
import pickle
import re
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
import skelstore
from converters import open_source
from converters.conversion.convert import convert_source
from converters.dialects.ntu.raw_store import RawStore
from converters.dialects.ntu.recipes import apply_recipe
from converters.inputs.ntu_names import Recipe
from converters.samples.pickles import ntu_names
from converters.samples.skeletons import denoised_like, raw_skes_like
from skelstore.errors import SkelstoreError, SourceError
from tests.support import ctrgcn_reference, ntu_reference
from tests.support.exact import assert_exact
from tests.support.ntu_files import crowd_file
from tests.support.source_contract import check_source, dump, load

NAMES = ["S001C001P001R001A001", "S001C002P003R002A060", "S002C003P008R001A011", "S017C002P009R002A052"]
Entry = dict[str, Any]


def entries(names: list[str] = NAMES) -> list[Entry]:
    return raw_skes_like(names, frames=(15, 30))


def raw_annotation(entry: Entry) -> dict[str, Any]:
    """The annotation of an entry, made row by row."""
    rows = []
    for number, (body_id, body) in enumerate(entry["data"].items()):
        joints = body["joints"].reshape(-1, 25, 3)
        for place, frame in enumerate(body["interval"]):
            rows.append((frame, number, int(body_id), joints[place], body["colors"][place]))
    rows.sort(key=lambda row: row[:2])
    motions = [body["motion"] for body in entry["data"].values() if "motion" in body]
    return {
        "frame_dir": str(entry["name"]),
        "label": int(entry["name"][-3:]) - 1,
        "total_frames": entry["num_frames"],
        "frame_inds": np.array([row[0] for row in rows], np.int32),
        "body_id": np.array([row[2] for row in rows], np.int64),
        "position": np.array([row[3] for row in rows], np.float32).reshape(-1, 25, 3),
        "color": np.array([row[4] for row in rows], np.float32).reshape(-1, 25, 2),
        "motion": np.array(motions, np.float32),
    }


def dense_annotation(name: str, clip: np.ndarray[Any, Any]) -> dict[str, Any]:
    persons = [clip[:, start : start + 75].reshape(-1, 25, 3) for start in range(0, clip.shape[1], 75)]
    label = {"label": int(name[-3:]) - 1} if name in NAMES else {}
    return {"frame_dir": name, **label, "keypoint": np.stack(persons), "total_frames": len(clip)}


def names_file(folder: Path, names: list[str] = NAMES) -> Path:
    path = folder / "names.txt"
    path.write_text("".join(f"{name}\n" for name in names), "utf-8")
    return path


# ------------------------------------------------------------------------------------------------ contract


@pytest.mark.usefixtures("indexed_in_small_steps")
def test_the_contract_of_raw_skeletons(tmp_path: Path) -> None:
    path = dump(tmp_path / "raw_skes_data.pkl", entries())
    source = open_source(path)
    assert source.dialect == "raw-skes"
    expected = [raw_annotation(entry) for entry in entries()]
    check_source(source, expected, ntu_reference.splits(NAMES, "raw", "ntu60"))
    with closing(open_source(path, task="ntu120")) as other:
        assert_exact(other.splits(), ntu_reference.splits(NAMES, "raw", "ntu120"))


@pytest.mark.usefixtures("indexed_in_small_steps")
def test_the_contract_of_denoised_joints(tmp_path: Path) -> None:
    clips = denoised_like(entries())
    source = open_source(dump(tmp_path / "raw_denoised_joints.pkl", clips), names=names_file(tmp_path))
    assert source.dialect == "denoised"
    expected = [dense_annotation(name, clip) for name, clip in zip(NAMES, clips, strict=True)]
    check_source(source, expected, ctrgcn_reference.splits(NAMES, "ntu60"))


def crowds(seeds: list[int]) -> tuple[list[Entry], list[list[Any]]]:
    """The entries that the first script makes of files, and what is in the files; without those at which it fails."""
    made, files = [], []
    for number, seed in enumerate(seeds):
        frames = ntu_reference.read(crowd_file(seed))
        try:
            made.append(ctrgcn_reference.pickled(f"S001C001P{number + 1:03d}R001A050", frames))
        except ntu_reference.UpstreamFails:
            continue
        files.append(frames)
    return made, files


@given(st.lists(st.integers(0, 1 << 32), min_size=1, max_size=3))
@settings(max_examples=5)
def test_an_export_gives_the_pickle_back(seeds: list[int]) -> None:
    made, _ = crowds(seeds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        converters.convert(dump(folder / "a.pkl", made), folder / "a.zarr", dialect="raw-skes", workers=1)
        with skelstore.open(folder / "a.zarr") as store:
            converters.export(store, folder / "b.pkl")
        assert_exact(load(folder / "b.pkl"), made)


@given(st.integers(0, 1 << 32), st.sampled_from(["ctrgcn", "pyskl"]))
@settings(max_examples=30)
def test_what_a_recipe_makes_is_what_it_makes_of_the_files(seed: int, recipe: Recipe) -> None:
    [entry], [frames] = crowds([seed])
    with tempfile.TemporaryDirectory() as name, closing(open_source(dump(Path(name) / "a.pkl", [entry]))) as source:
        annotation = source.video(0)[0]
    try:
        if recipe == "ctrgcn":
            keypoint: Any = ctrgcn_reference.keypoint(ctrgcn_reference.row(frames, "ntu60"))
        else:
            keypoint = ntu_reference.pyskl(frames)
    except ntu_reference.UpstreamFails:
        with pytest.raises(SourceError, match="fails on it"):
            apply_recipe(recipe, annotation)
        return
    found = apply_recipe(recipe, annotation)
    assert_exact(found["keypoint"], keypoint)
    assert found["total_frames"] == keypoint.shape[1]


@pytest.mark.parametrize("recipe", ["ctrgcn", "pyskl"])
def test_what_is_derived(tmp_path: Path, recipe: Recipe) -> None:
    made, files = crowds(list(range(28, 40)))
    converters.convert(dump(tmp_path / "a.pkl", made), tmp_path / "a.zarr", workers=1)
    convert_source(RawStore(tmp_path / "a.zarr", recipe=recipe, skip_broken=True), tmp_path / "b.zarr", workers=1)
    expected = []
    for frames in files:
        with suppress(ntu_reference.UpstreamFails):
            if recipe == "ctrgcn":
                expected.append(ctrgcn_reference.keypoint(ctrgcn_reference.row(frames, "ntu60")))
            else:
                expected.append(ntu_reference.pyskl(frames))
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert_exact([video["keypoint"] for video in store], expected)
        assert len(store) + len(store.source.get("left_out", [])) == len(made)


def test_the_motion_of_the_pickle_decides() -> None:
    """As the second script, which does not compute it again: here it makes the other body the first person."""
    entry = entries(["S001C001P001R001A050"])[0]
    frames = entry["num_frames"]
    bodies = [
        {**copy.deepcopy(next(iter(entry["data"].values()))), "interval": list(range(frames)), "motion": motion}
        for motion in (np.float32(0.5), np.float32(0.25))
    ]
    random = np.random.default_rng(0)
    for body, x in zip(bodies, (1, 5), strict=True):
        points = random.normal([x, 0, 3], [0.05, 1, 0.1], (frames, 25, 3))
        body |= {"joints": points.astype(np.float32).reshape(-1, 3), "colors": np.zeros((frames, 25, 2), np.float32)}
    found = []
    for motions in ((0.5, 0.25), (0.25, 0.5)):
        for body, motion in zip(bodies, motions, strict=True):
            body["motion"] = np.float32(motion)
        made = [{**entry, "data": {"72": bodies[0], "73": bodies[1]}}]
        with tempfile.TemporaryDirectory() as name:
            converters.convert(dump(Path(name) / "a.pkl", made), Path(name) / "a.zarr", workers=1)
            with closing(RawStore(Path(name) / "a.zarr", recipe="ctrgcn")) as source:
                found.append(source.video(0)[0]["keypoint"][1, :, :, 0].mean())
    assert found[0] > 3
    assert found[1] < -3


def test_mmaction2_needs_the_files(tmp_path: Path) -> None:
    converters.convert(dump(tmp_path / "a.pkl", entries()), tmp_path / "a.zarr", workers=1)
    with pytest.raises(
        SourceError, match=r"has videos of raw_skes_data\.pkl, which lacks .*: convert the \.skeleton files"
    ):
        RawStore(tmp_path / "a.zarr", recipe="mmaction2")


def test_the_commands(tmp_path: Path, run: Callable[..., Any]) -> None:
    folder = tmp_path / "ntu60"
    names = sorted(ntu_names(6))
    made = raw_skes_like(names, frames=(20, 30))
    raw = dump(folder / "raw_data" / "raw_skes_data.pkl", made, 5)
    dense = dump(folder / "denoised_data" / "raw_denoised_joints.pkl", denoised_like(made), 5)
    for path, store in ((raw, tmp_path / "raw.zarr"), (dense, tmp_path / "dense.zarr")):
        if path == dense:
            done = run("convert", path, store, "--workers", 1)
            assert (done.status, "give a text file with the name of each clip" in done.err) == (1, True)
            (folder / "statistics").mkdir()
            (folder / "statistics" / "skes_available_name.txt").write_text("\n".join(names) + "\n")
        done = run("convert", path, store, "--workers", 1)
        assert (done.status, "no video has a keypoint" in done.err) == (0, False)
        assert run("verify", store, "--against", path).status == 0
        assert run("export", store, tmp_path / path.name).status == 0
        assert_exact(load(tmp_path / path.name), load(path))
    assert run("derive", tmp_path / "raw.zarr", tmp_path / "d.zarr", "--recipe", "ctrgcn", "--workers", 1).status == 0
    assert "raw NTU RGB+D data" in run("check", tmp_path / "raw.zarr").err
    assert "check the store that `skelstore derive` makes" in run("check", raw).err
    with skelstore.open(tmp_path / "d.zarr") as store:
        assert [store.name(i) for i in range(6)] == names
        assert store.source["task"] == "ntu60"
        assert_exact(store.splits, ctrgcn_reference.splits(names, "ntu60"))
    with skelstore.open(tmp_path / "dense.zarr") as store:
        assert store[names[0]]["label"] == int(names[0][-3:]) - 1


def test_a_clip_without_a_frame_comes_back(tmp_path: Path) -> None:
    clips = [*denoised_like(entries(NAMES[:1])), np.zeros((0, 75), np.float32), np.zeros((0, 150), np.float32)]
    path = dump(tmp_path / "a.pkl", clips)
    converters.convert(path, tmp_path / "a.zarr", names=names_file(tmp_path, NAMES[:3]), workers=1)
    with skelstore.open(tmp_path / "a.zarr") as store:
        assert [video["keypoint"].shape[:2] for video in store][1:] == [(1, 0), (2, 0)]
        converters.export(store, tmp_path / "b.pkl")
    assert_exact(load(tmp_path / "b.pkl"), clips)


def test_names_of_other_data_give_neither_labels_nor_splits(tmp_path: Path) -> None:
    clips = denoised_like(entries())
    names = ["a", *NAMES[1:]]
    path = dump(tmp_path / "a.pkl", clips)
    with closing(open_source(path, names=names_file(tmp_path, names))) as source:
        assert source.splits() == {}
        assert "label" not in source.video(0)[0]
        assert source.video(1)[0]["label"] == 59


# ------------------------------------------------------------------------------------------- wrong content


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"a\nb\nc", r"names\.txt has 3 names; .*a\.pkl has 4 clips"),
        (b"a\nb\nc\nd\ne", r"names\.txt has 5 names; .*a\.pkl has 4 clips"),
        (b"", r"names\.txt has 0 names; .*a\.pkl has 4 clips"),
        (b"a\n\nc\nd", r"names\.txt: line 2 is empty"),
        (b"a\nb\na\nd", r"names\.txt: line 3: 'a' is also in line 1"),
        (b"a\nb\xff\nc\nd", r"names\.txt: byte 3 is not UTF-8"),
    ],
)
def test_files_of_names_that_do_not_fit(tmp_path: Path, text: bytes, what: str) -> None:
    path = dump(tmp_path / "a.pkl", denoised_like(entries()))
    (tmp_path / "names.txt").write_bytes(text)
    with pytest.raises(SkelstoreError, match=what):
        converters.convert(path, tmp_path / "a.zarr", names=tmp_path / "names.txt", workers=1)
    assert not (tmp_path / "a.zarr").exists()


def test_names_end_with_any_line_end(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*NAMES, "", ""]).encode())
    with closing(
        open_source(dump(tmp_path / "a.pkl", denoised_like(entries())), names=tmp_path / "names.txt")
    ) as source:
        assert [source.video(i)[0]["frame_dir"] for i in range(4)] == NAMES


@pytest.mark.parametrize(
    ("clip", "what"),
    [
        (np.zeros((3, 76), np.float32), r"float32 \(3, 76\)"),
        (np.zeros((3, 75), np.int64), r"int64 \(3, 75\)"),
        (np.zeros(75, np.float32), r"float32 \(75,\)"),
        (None, "None"),
        ([1.0] * 75, "a list"),
    ],
)
def test_a_clip_that_is_none(tmp_path: Path, clip: Any, what: str) -> None:
    path = dump(tmp_path / "a.pkl", [*denoised_like(entries(NAMES[:1])), clip])
    with pytest.raises(SkelstoreError, match=rf"a\.pkl: \[1\] is {what}; expected an array of floats"):
        converters.convert(path, tmp_path / "a.zarr", names=names_file(tmp_path, NAMES[:2]), workers=1)


def body(change: Callable[[Entry], object]) -> Callable[[Entry], object]:
    """A change of the first body of an entry."""
    return lambda entry: change(next(iter(entry["data"].values())))


def renamed(key: object) -> Callable[[Entry], object]:
    """A change of the id of the first body."""
    return lambda entry: entry.update(data={key: next(iter(entry["data"].values()))})


WRONG: dict[str, tuple[Callable[[Entry], object], str]] = {
    "name of something else": (lambda e: e.update(name="a"), r"\[1\]\.name: 'a' is not a name of NTU RGB\+D"),
    "number for a name": (lambda e: e.update(name=3), r"\[1\]\.name is an int"),
    "further key": (lambda e: e.update(more=1), r"\[1\] is a dict with the keys .*'more'"),
    "missing key": (lambda e: e.pop("num_frames"), r"\[1\] is a dict with the keys 'name', 'data'"),
    "too many frames": (lambda e: e.update(num_frames=10**15), r"\[1\]\.num_frames is 1000000000000000; expected"),
    "frames that are a float": (lambda e: e.update(num_frames=3.0), r"\[1\]\.num_frames is 3\.0"),
    "list of bodies": (lambda e: e.update(data=[]), r"\[1\]\.data is a list"),
    "text for an id": (renamed("one"), r"\[1\]\.data: 'one' is a key; expected the id of a body"),
    "id with a zero": (renamed("072"), r"'072' is a key"),
    "id of another script": (renamed("٣"), r"'٣' is a key"),
    "id beyond 64 bits": (renamed("9" * 20), r"is a key; expected the id"),
    "number for an id": (renamed(72), r"72 is a key"),
    "no body": (lambda e: e.update(data={"72": None}), r"\[1\]\.data\['72'\] is None"),
    "no interval": (body(lambda b: b.update(interval=[])), r"\.interval is \[\]"),
    "gap": (body(lambda b: b["interval"].__setitem__(-1, 10**6)), r"\.interval is .*; expected numbers that follow"),
    "negative frame": (body(lambda b: b.update(interval=list(range(-3, 2)))), r"\.interval is \[-3,"),
    "huge frame": (body(lambda b: b.update(interval=[2**40])), r"\.interval is "),
    "text for a frame": (body(lambda b: b.update(interval=["0"])), r"\.interval is "),
    "float64": (body(lambda b: b.update(joints=b["joints"].astype(float))), r"\.joints is float64"),
    "missing joints": (body(lambda b: b.update(joints=b["joints"][1:])), r"\.joints is float32 .*; expected float32"),
    "colours of a frame less": (body(lambda b: b.update(colors=b["colors"][1:])), r"\.colors is float32"),
    "NaN": (body(lambda b: b["joints"].__setitem__(0, np.nan)), r"\.joints has values that are not finite"),
    "further key of a body": (body(lambda b: b.update(depth=1)), r"is a dict with the keys .*'depth'"),
    "motion of one body": (body(lambda b: b.update(motion=np.float32(1))), r"1 of 1 body have motion"),
    "motion of Python": (body(lambda b: b.update(motion=1.0)), r"\.motion is a float"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_entry_that_the_script_does_not_write(tmp_path: Path, name: str) -> None:
    change, what = WRONG[name]
    one = {**entries(["S001C001P001R001A001"])[0]}
    only = copy.deepcopy(next(iter(one["data"].values())))
    only.pop("motion", None)
    one["data"] = {"72": only}
    good = copy.deepcopy(one)
    one["name"] = "S001C001P001R001A002"
    change(one)
    path = dump(tmp_path / "a.pkl", [good, one])
    with pytest.raises(SkelstoreError, match=what) as error:
        converters.convert(path, tmp_path / "a.zarr", workers=1)
    assert str(path) in str(error.value)
    assert os.listdir(tmp_path) == ["a.pkl"]


def test_bodies_in_another_order_and_names_twice(tmp_path: Path) -> None:
    one = entries(["S001C001P001R001A001"])[0]
    first = copy.deepcopy(next(iter(one["data"].values()))) | {"motion": np.float32(1)}
    later = copy.deepcopy(first)
    later["interval"] = [frame + 1 for frame in first["interval"]]
    one["data"] = {"72": later, "73": first}
    with pytest.raises(SkelstoreError, match="a body begins before the one above it"):
        converters.convert(dump(tmp_path / "a.pkl", [one]), tmp_path / "a.zarr", workers=1)
    path = dump(tmp_path / "b.pkl", entries([NAMES[0], NAMES[1], NAMES[0]]))
    with pytest.raises(SourceError, match=rf"\[2\] is named {NAMES[0]}, as is \[0\]"):
        converters.convert(path, tmp_path / "b.zarr", workers=1)


@given(st.data())
@settings(max_examples=40)
def test_damaged_pickles_are_values_or_errors(data: st.DataObject) -> None:
    made = data.draw(st.sampled_from([entries(NAMES[:2]), denoised_like(entries(NAMES[:2]))]))
    content = bytearray(pickle.dumps(made, data.draw(st.sampled_from([2, 4, 5]))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(len(content), 600) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.pkl"
        path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
        dialect = "denoised" if isinstance(made[0], np.ndarray) else "raw-skes"
        options = {"names": names_file(Path(name), NAMES[:2])} if dialect == "denoised" else {}
        found = ""
        try:
            with closing(open_source(path, dialect, **options)) as source:
                for index in range(len(source)):
                    source.video(index)
                source.splits()
        except SkelstoreError as error:
            found = str(error)
        assert not found or re.search(r"a\.pkl|names\.txt", found)


def test_a_store_that_is_not_of_the_dialect_is_not_exported(tmp_path: Path) -> None:
    for name, key in (("raw-skes", "frame_dir|color"), ("denoised", "keypoint")):
        with skelstore.Writer(tmp_path / f"{name}.zarr", source={"dialect": name}) as writer:
            writer.add({"total_frames": 2, "position": np.zeros((2, 25, 3))})
        with skelstore.open(tmp_path / f"{name}.zarr") as store, pytest.raises(SourceError, match=f"has no ({key})"):
            converters.export(store, tmp_path / "out.pkl")
    assert not (tmp_path / "out.pkl").exists()


def test_other_files_name_the_dialects(tmp_path: Path) -> None:
    for made, dialect in ((entries(), "raw-skes"), (denoised_like(entries()), "denoised")):
        folder = dump(tmp_path / dialect / "a.pkl", made).parent
        with pytest.raises(SourceError, match=f"convert that file itself, with --from {dialect}"):
            open_source(folder)
        with pytest.raises(SourceError, match=f"the dialect {dialect} is a list of"):
            open_source(dump(tmp_path / "one.pkl", {"annotations": []}), dialect)
