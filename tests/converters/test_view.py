"""What the server of ``skelstore view`` answers: the values of the stores, and the selections that were asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters.checks import check, opened_for_check
from converters.samples.pickles import write_samples
from converters.samples.skeletons import write_skeletons
from converters.tracking.dense import Settings, dense, recognise_form
from converters.view import skeletons, thumbnails
from skelstore.heatmaps import pose_target
from skelstore.joints import LAYOUTS, convert
from tests.support.viewing import Client, served, write_store

VIDEOS = 60
NAMES = ["S001C001", "s001c002", "<b>walk</b>", "../../etc/passwd", "a b&c=d#e", "ß walk\n", "日本", "", "x" * 50]
PERSONS = [0, 1, 1, 2, 3]


def mixed_annotations() -> list[dict[Any, Any]]:
    """Dense videos of which some lack a label, a length or a name, with labels of several types."""
    noise = np.random.default_rng(5)
    annotations: list[dict[Any, Any]] = []
    for i in range(VIDEOS):
        persons, frames = PERSONS[i % 5], 1 + (7 * i) % 31
        one: dict[Any, Any] = {"frame_dir": f"{NAMES[i % len(NAMES)]}{i // len(NAMES)}"}
        if i % 11:
            one["label"] = [i % 4, "walk", [i % 3, 7], np.int64(i % 5), np.float16(2)][min(i % 7, 4)]
        if i % 6:
            one["total_frames"] = frames
        one["img_shape"] = (320, 480) if i % 4 else (240, 320)
        one["keypoint"] = noise.uniform(1, 300, (persons, frames, 17, 2)).astype(np.float16 if i % 2 else np.float32)
        if i % 3:
            one["keypoint_score"] = noise.random((persons, frames, 17)).astype(np.float16)
            one["keypoint_score"][:, ::3, 4] = 0
        one["keypoint"][:, ::2, i % 17] = 0
        if i % 13 == 5:
            del one["frame_dir"]
        annotations.append(one)
    return annotations


MIXED = mixed_annotations()
SPLITS = {
    "train": [one["frame_dir"] for one in MIXED[::2] if "frame_dir" in one],
    "val <i>": [one["frame_dir"] for one in MIXED[1::3] if "frame_dir" in one] + ["nobody"],
    3: ["a"],
    "no list": 7,
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("view") / "mixed.zarr", MIXED, SPLITS)


@pytest.fixture
def client(mixed: Path) -> Iterator[Client]:
    with served(mixed) as made:
        yield made


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of a compressed source, of 3D skeletons and of raw NTU RGB+D."""
    from converters import convert as convert_source

    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder, 12)
    write_skeletons(folder / "raw", ["S001C001P001R001A001", "S001C001P001R001A060"])
    convert_source(folder / "k400" / "k400_hrnet.pkl", folder / "k400.zarr", kpfiles=folder / "k400" / "kpfiles")
    convert_source(folder / "ntu60_3d.pkl", folder / "ntu.zarr")
    convert_source(folder / "raw", folder / "raw.zarr")
    return folder


# ---------------------------------------------------------------------------------------------------- overview


def test_the_overview_is_that_of_the_store(client: Client, mixed: Path) -> None:
    (about,) = client.get("/api/stores").json()["stores"]
    assert about["title"] == "mixed.zarr"
    assert about["videos"] == VIDEOS
    assert (about["form"], about["dimensions"]) == ("dense", 2)
    ids = [set(SPLITS["train"]), set(SPLITS["val <i>"])]
    counts = [sum(one.get("frame_dir") in names for one in MIXED) for names in ids]
    assert about["splits"] == [
        {"name": "train", "videos": counts[0]},
        {"name": "val <i>", "videos": counts[1]},
        {"name": "3", "videos": 0},
        {"name": "no list", "videos": 0},
    ]
    assert about["classes"] is None
    for entry in about["labels"]:
        assert entry["videos"] == sum(entry["label"] in labels_of(one) for one in MIXED)
    assert {entry["label"] for entry in about["labels"]} == {label for one in MIXED for label in labels_of(one)}
    assert about["joints"]["joints"] == list(LAYOUTS["coco-17"].joints)
    assert about["joints"]["edges"] == [list(edge) for edge in LAYOUTS["coco-17"].edges]
    assert about["joints"]["pairs"] == [list(pair) for pair in LAYOUTS["coco-17"].pairs]
    views = {view["name"]: view for view in about["views"]}
    assert next(iter(views)) == "stored"
    assert "training" not in views
    assert views["layout:h36m-17"]["joints"]["joints"] == list(LAYOUTS["h36m-17"].joints)
    assert "layout:coco-17" not in views
    assert about["persons_max"] == 3
    assert about["frames_max"] == max(frames_of(one) for one in MIXED)
    assert set(about["fields"]) == {"frame_dir", "label", "total_frames", "img_shape", "keypoint", "keypoint_score"}
    assert about["videos_folder"] is False


def test_the_overview_of_other_forms(samples: Path) -> None:
    with served(samples / "k400.zarr", samples / "ntu.zarr", samples / "raw.zarr") as client:
        k400, ntu, raw = client.get("/api/stores").json()["stores"]
    assert [view["name"] for view in k400["views"][:3]] == ["stored", "training", "tracked"]
    assert (k400["form"], k400["dimensions"], k400["persons_max"]) == ("compressed", 2, None)
    assert (ntu["form"], ntu["dimensions"], ntu["joints"]["name"]) == ("dense", 3, "ntu-25")
    assert (raw["form"], raw["dimensions"], raw["joints"]["name"]) == ("raw", 3, "ntu-25")
    assert len({k400["digest"], ntu["digest"], raw["digest"]}) == 3


# -------------------------------------------------------------------------------------------------- selections


def labels_of(annotation: dict[Any, Any]) -> list[Any]:
    label = annotation.get("label")
    label = int(label) if isinstance(label, np.number) else label
    return label if isinstance(label, list) else [] if label is None else [label]


def frames_of(annotation: dict[Any, Any]) -> int:
    return annotation.get("total_frames", annotation["keypoint"].shape[1])


def meets(annotation: dict[Any, Any], query: dict[str, Any]) -> bool:
    """Whether a video meets the conditions of a request, decided from its annotation alone."""
    name = annotation.get("frame_dir")
    persons, frames = len(annotation["keypoint"]), frames_of(annotation)
    checks = [
        "split" not in query or name in SPLITS[query["split"]],
        not query.get("label") or any(str(label) in query["label"] for label in labels_of(annotation)),
        "name" not in query or (name is not None and query["name"].lower() in name.lower()),
        "names" not in query or name in query["names"].split("\n"),
        persons >= query.get("persons_min", 0),
        persons <= query.get("persons_max", 99),
        frames >= query.get("frames_min", 0),
        frames <= query.get("frames_max", 99),
        "where" not in query or annotation.get("total_frames", -1) > int(query["where"].split()[-1]),
    ]
    return all(checks)


def sort_key(annotation: dict[Any, Any], sort: str) -> Any:
    if sort == "name":
        return annotation["frame_dir"].encode() if "frame_dir" in annotation else None
    if sort == "persons":
        return len(annotation["keypoint"])
    if sort == "frames":
        return frames_of(annotation)
    label = annotation.get("label")
    if label is None:
        return None
    kind = 0 if isinstance(label, (int, np.number)) else 1 if isinstance(label, str) else 2
    return kind, str(tuple(label)) if kind == 2 else label


def in_order(rows: list[int], sort: str, descending: bool) -> bool:
    """Whether rows are sorted by a value, videos without it last, and those with equal values as in the store."""
    if sort == "stored":
        return rows == sorted(rows, reverse=descending)
    keys = [sort_key(MIXED[row], sort) for row in rows]
    there = [key for key in keys if key is not None]
    places = [[row for row, key in zip(rows, keys, strict=True) if key == one] for one in keys]
    return (
        keys[: len(there)] == there
        and there == sorted(there, reverse=descending)
        and all(place == sorted(place) for place in places)
    )


NUMBERS = st.integers(0, 33)
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "split": st.sampled_from(["train", "val <i>"]),
        "label": st.lists(st.sampled_from(["0", "1", "2", "7", "walk", "99"]), max_size=3),
        "name": st.sampled_from(["S001", "WALK", "b&c=d#e", "\n", "日", "<B>", "no", "%"]),
        "names": st.lists(st.sampled_from([one["frame_dir"] for one in MIXED if "frame_dir" in one]), min_size=1)
        .filter(lambda names: not any("\n" in name or not name for name in names))
        .map("\n".join),
        "persons_min": st.integers(0, 4),
        "persons_max": st.integers(0, 4),
        "frames_min": NUMBERS,
        "frames_max": NUMBERS,
        "where": NUMBERS.map("total_frames > {}".format),
        "sort": st.sampled_from(["stored", "name", "label", "frames", "persons"]),
        "descending": st.integers(0, 1),
    },
)


def test_selections_are_those_of_brute_force(client: Client) -> None:
    @settings(max_examples=80)
    @given(QUERIES)
    def check_query(query: dict[str, Any]) -> None:
        rows = client.rows(**query)
        assert sorted(rows) == [row for row, one in enumerate(MIXED) if meets(one, query)]
        assert in_order(rows, query.get("sort", "stored"), bool(query.get("descending")))

    check_query()


def test_empty_parameters_do_not_filter(client: Client) -> None:
    empty = dict.fromkeys(
        ["split", "label", "name", "names", "persons_min", "frames_max", "where", "problem", "sort"], ""
    )
    assert client.rows(**empty) == list(range(VIDEOS))


def test_a_list_shows_the_values_of_the_videos(client: Client) -> None:
    made = client.select()
    assert made["videos"] == VIDEOS
    listed = client.get("/api/stores/0/videos", selection=made["selection"], from_=0, to=VIDEOS).json()["videos"]
    for row, (shown, one) in enumerate(zip(listed, MIXED, strict=True)):
        label = one.get("label")
        assert shown == {
            "row": row,
            "name": one.get("frame_dir"),
            "label": int(label) if isinstance(label, np.number) else label,
            "class": None,
            "frames": frames_of(one),
            "persons": len(one["keypoint"]),
            "splits": [name for name in ("train", "val <i>") if one.get("frame_dir") in SPLITS[name]],
            "problems": [],
        }
    part = client.get("/api/stores/0/videos", selection=made["selection"], from_=7, to=9).json()["videos"]
    assert part == listed[7:9]
    assert client.get("/api/stores/0/videos", selection=made["selection"], from_=VIDEOS, to=999).json() == {
        "videos": []
    }


def test_a_selection_that_was_forgotten(client: Client) -> None:
    first = client.select()["selection"]
    for least in range(30):
        client.select(frames_min=least)
    forgotten = client.get("/api/stores/0/videos", selection=first)
    assert (forgotten.status, forgotten.json()["code"]) == (404, "selection")
    assert client.select()["selection"] == first  # the page selects again
    assert client.get("/api/stores/0/videos", selection=first).status == 200


def test_a_video_is_found_by_its_name(client: Client) -> None:
    for row in (0, 2, 3, 6):
        assert client.get("/api/stores/0/find", name=MIXED[row]["frame_dir"]).json() == {"row": row, "note": None}
    missing = client.get("/api/stores/0/find", name="S001C0019")
    assert (missing.status, missing.json()["row"]) == (200, None)
    assert "did you mean" in missing.json()["note"]


def test_the_place_of_a_video_in_a_selection(client: Client) -> None:
    made = client.select(frames_min=10, sort="name", descending=1)["selection"]
    rows = client.rows(frames_min=10, sort="name", descending=1)
    for row in range(VIDEOS):
        place = client.get("/api/stores/0/place", selection=made, row=row).json()["index"]
        assert place == (rows.index(row) if row in rows else None)
    assert client.get("/api/stores/0/place", selection="none", row=0).json()["code"] == "selection"


def test_groups_are_the_runs_of_equal_values(client: Client) -> None:
    def splits_of(row: int) -> list[str]:
        return [name for name in ("train", "val <i>") if MIXED[row].get("frame_dir") in SPLITS[name]]

    def label_of(row: int) -> Any:
        label = MIXED[row].get("label")
        return int(label) if isinstance(label, np.number) else label

    values = {"splits": splits_of, "label": label_of}
    for sort, key in (("split", "splits"), ("label", "label")):
        for query in ({}, {"descending": 1}, {"frames_min": 12, "label": ["0", "walk"]}):
            groups = client.select(sort=sort, **query)["groups"]
            rows = iter(client.rows(sort=sort, **query))
            for group in groups:
                assert [values[key](next(rows)) for _ in range(group["videos"])] == [group[key]] * group["videos"]
            assert next(rows, None) is None
            found = [json.dumps(group[key]) for group in groups]
            assert len(set(found)) == len(found)
            assert groups[-1][key] in ([], None) or "label" in query
    assert client.select(sort="frames")["groups"] is None
    assert client.select(sort="label", name="nobody")["groups"] is None
    assert [group["splits"] for group in client.select(sort="split")["groups"]] == [
        ["train"],
        ["train", "val <i>"],
        ["val <i>"],
        [],
    ]


def test_class_names_are_listed(tmp_path: Path) -> None:
    with skelstore.Writer(tmp_path / "s.zarr", source={"class_names": ["<walk>", "fall"]}) as writer:
        for label in (0, 1, 5):
            writer.add({"frame_dir": f"v{label}", "label": label, "keypoint": np.ones((1, 2, 17, 2), np.float16)})
    with served(tmp_path / "s.zarr") as client:
        assert client.get("/api/stores").json()["stores"][0]["classes"] == ["<walk>", "fall"]
        made = client.select()
        listed = client.get("/api/stores/0/videos", selection=made["selection"]).json()["videos"]
        assert [video["class"] for video in listed] == ["<walk>", "fall", None]
        assert client.get("/api/stores/0/video", row=1).arrays()[0]["class"] == "fall"


# ------------------------------------------------------------------------------------------------------ videos


@pytest.fixture(params=["whole", "in parts"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read all videos as a whole, or all as long videos are read."""
    if request.param == "in parts":
        monkeypatch.setattr(skeletons, "WHOLE_BYTES", -1)
        monkeypatch.setattr(thumbnails, "WHOLE_BYTES", -1)


@pytest.mark.usefixtures("reading")
def test_the_stored_view_has_the_values_of_the_store(client: Client) -> None:
    @settings(max_examples=40)
    @given(st.integers(0, VIDEOS - 1), st.integers(0, 33), st.integers(0, 40))
    def check_video(row: int, first: int, last: int) -> None:
        one = MIXED[row]
        header, arrays = client.get("/api/stores/0/video", row=row, from_=first, to=last).arrays()
        persons, total = one["keypoint"].shape[:2]
        first = min(first, total)
        last = max(first, min(last, total))
        assert (header["from"], header["to"], header["frames_total"]) == (first, last, total)
        expected = one["keypoint"][:, first:last].astype(np.float32)
        np.testing.assert_array_equal(arrays["keypoint"], expected, strict=True)
        scores = one.get("keypoint_score")
        assert ("score" in arrays) == (scores is not None)
        if scores is not None:
            np.testing.assert_array_equal(arrays["score"], scores[:, first:last].astype(np.float32), strict=True)
        found = (expected != 0).any(axis=-1) if scores is None else (scores[:, first:last] > 0) & expected.any(axis=-1)
        np.testing.assert_array_equal(arrays["present"], found.any(axis=-1).astype(np.uint8), strict=True)
        assert arrays["present"].shape == (persons, last - first)
        assert header["name"] == one.get("frame_dir")
        assert header["image"] == list(one["img_shape"])
        assert header["persons"] == persons
        assert header["note"] is None

    check_video()


def test_a_video_shows_its_other_values(client: Client) -> None:
    header, _ = client.get("/api/stores/0/video", row=2).arrays()
    assert header["fields"]["frame_dir"] == "'<b>walk</b>0'"
    assert header["fields"]["img_shape"] == "(320, 480)"
    assert header["joints"]["name"] == "coco-17"
    assert header["rate"] is None


def detections(annotation: dict[str, Any], key: str = "keypoint") -> np.ndarray[Any, Any]:
    """The detections of each frame of a compressed video, in order: [P, T, V, C], NaN where there is none."""
    numbers, points = annotation["frame_inds"].tolist(), annotation[key]
    total = max(annotation["total_frames"], max(numbers) + 1)
    most = max(numbers.count(number) for number in numbers)
    slots = np.full((most, total, *points.shape[1:]), np.nan, np.float32)
    for number, point in zip(numbers, points, strict=True):
        place = next(p for p in range(most) if np.isnan(slots[p, number]).all())
        slots[place, number] = point
    return slots


@pytest.mark.usefixtures("reading")
def test_the_views_of_compressed_videos(samples: Path) -> None:
    with skelstore.open(samples / "k400.zarr") as store, served(samples / "k400.zarr") as client:
        form = recognise_form(store[i] for i in range(len(store)))
        assert form is not None
        for row in range(4):
            slots = detections(store[row])
            there = ~np.isnan(slots).all(axis=(2, 3))
            for first, last in ((0, 2000), (20, 60)):
                header, arrays = client.get("/api/stores/0/video", row=row, from_=first, to=last).arrays()
                part = np.nan_to_num(slots[:, first:last])
                np.testing.assert_array_equal(arrays["keypoint"], part[..., :2], strict=True)
                np.testing.assert_array_equal(arrays["score"], part[..., 2], strict=True)
                np.testing.assert_array_equal(arrays["present"], there[:, first:last].astype(np.uint8), strict=True)
                assert header["frames_total"] == slots.shape[1]
                training = store.decompressed()[row]
                tracked = dense(store[row], form, Settings(10, 30, False))
                for view, expected in (("training", training), ("tracked", tracked)):
                    header, arrays = client.get(
                        "/api/stores/0/video", row=row, view=view, from_=first, to=last
                    ).arrays()
                    for name, key in (("keypoint", "keypoint"), ("score", "keypoint_score")):
                        values = expected[key][:, first:last].astype(np.float32)
                        np.testing.assert_array_equal(arrays[name], values, strict=True)
                    assert header["frames_total"] == expected["keypoint"].shape[1]
                target = LAYOUTS["h36m-17"]
                header, arrays = client.get(
                    "/api/stores/0/video", row=row, view="layout:h36m-17", from_=first, to=last
                ).arrays()
                converted = convert(np.ascontiguousarray(part[..., :2]), part[..., 2], LAYOUTS["coco-17"], target)
                np.testing.assert_array_equal(arrays["keypoint"], converted.keypoint, strict=True)
                np.testing.assert_array_equal(arrays["score"], converted.keypoint_score, strict=True)
                assert header["joints"]["name"] == "h36m-17"


def test_the_persons_of_compressed_videos_are_the_most_detections_in_a_frame(samples: Path) -> None:
    with served(samples / "k400.zarr", samples / "raw.zarr") as client:
        for number, name in enumerate(("k400.zarr", "raw.zarr")):
            with skelstore.open(samples / name) as store:
                most = [int(np.bincount(one["frame_inds"]).max()) for one in store]
            made = client.select(number)["selection"]
            listed = client.get(f"/api/stores/{number}/videos", selection=made).json()["videos"]
            assert [video["persons"] for video in listed] == most
            assert client.rows(number, persons_min=2) == [row for row, count in enumerate(most) if count >= 2]
            rows = client.rows(number, sort="persons", descending=1)
            assert rows == sorted(range(len(most)), key=lambda row: -most[row])


@pytest.mark.usefixtures("reading")
def test_raw_ntu_shows_the_bodies_of_each_frame(samples: Path) -> None:
    with skelstore.open(samples / "raw.zarr") as store, served(samples / "raw.zarr") as client:
        for row in range(len(store)):
            slots = detections(store[row], "position")
            header, arrays = client.get("/api/stores/0/video", row=row).arrays()
            np.testing.assert_array_equal(arrays["keypoint"], np.nan_to_num(slots), strict=True)
            assert "score" not in arrays
            assert header["joints"]["name"] == "ntu-25"
            assert client.get("/api/stores/0/thumbnails", rows=row).arrays()[0]["videos"][0]["frames"] == 12


def test_dense_videos_have_no_other_persons(client: Client) -> None:
    for view in ("training", "tracked"):
        refused = client.get("/api/stores/0/video", row=1, view=view)
        assert refused.status == 422
        assert "not compressed" in refused.json()["error"]
    for view in ("Stored", "layout:ntu-25", "layout:", "layout:../x"):
        assert client.get("/api/stores/0/video", row=1, view=view).status == 400


# -------------------------------------------------------------------------------------------------- thumbnails


def thumbnail(annotation: dict[Any, Any]) -> tuple[float, float, np.ndarray[Any, Any]]:
    """Width, height and places of the thumbnail of a dense video in 2D, joint by joint."""
    points, scores = annotation["keypoint"], annotation.get("keypoint_score")
    height, width = annotation["img_shape"]
    persons, total, joints = points.shape[:3]
    frames = sorted({round(i * (total - 1) / max(min(12, total) - 1, 1)) for i in range(min(12, total))})
    places = np.full((len(frames), min(persons, 4), joints, 2), -1.0)
    for k, frame in enumerate(frames):
        for p in range(min(persons, 4)):
            for v in range(joints):
                point = points[p, frame, v].astype(float)
                if point.any() and (scores is None or scores[p, frame, v] > 0):
                    places[k, p, v] = np.clip(point * 32767 / max(width, height), 0, 32767)
    return width, height, places


@pytest.mark.usefixtures("reading")
def test_thumbnails_are_the_skeletons_in_their_image(client: Client) -> None:
    header, arrays = client.get("/api/stores/0/thumbnails", rows=",".join(map(str, range(VIDEOS)))).arrays()
    assert [video["row"] for video in header["videos"]] == list(range(VIDEOS))
    for video, one in zip(header["videos"], MIXED, strict=True):
        width, height, places = thumbnail(one)
        assert (video["width"], video["height"], video["frames"]) == (width, height, len(places))
        made = arrays[str(video["row"])]
        assert made.dtype == np.int16
        assert made.shape == places.shape
        assert np.abs(made - places).max(initial=0) <= 0.5 + 1e-6


def test_thumbnails_of_3d_are_seen_from_the_front(samples: Path) -> None:
    with skelstore.open(samples / "ntu.zarr") as store, served(samples / "ntu.zarr") as client:
        header, arrays = client.get("/api/stores/0/thumbnails", rows="0").arrays()
        (video,) = header["videos"]
        keypoint = store[0]["keypoint"]
        frames = np.linspace(0, keypoint.shape[1] - 1, 12).round().astype(int)
        flat = keypoint[:, frames, :, :2].astype(float).swapaxes(0, 1) * [1, -1]
    seen = flat[keypoint[:, frames].swapaxes(0, 1).any(-1)]
    low, extent = seen.min(axis=0), np.ptp(seen, axis=0)
    assert (video["width"], video["height"]) == pytest.approx(tuple(extent))
    made = arrays["0"]
    there = made[..., 0] >= 0
    assert there.any()
    expected = (flat - low) * 32767 / max(extent)
    assert np.abs(made - expected)[there].max() <= 0.5 + 1e-6


def test_a_thumbnail_that_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s.zarr", [{"frame_dir": "a"}, {"keypoint": np.ones((1, 2, 17, 2))}])
    with served(path) as client:
        header, arrays = client.get("/api/stores/0/thumbnails", rows="0,1").arrays()
    assert [video["frames"] for video in header["videos"]] == [0, 2]
    assert "no keypoint" in header["videos"][0]["note"]
    assert arrays["0"].shape == (0, 0, 0, 2)


# ---------------------------------------------------------------------------------------------------- heatmaps


@pytest.mark.parametrize("kind", ["keypoint", "limb"])
def test_a_heatmap_is_the_maximum_over_the_channels(client: Client, kind: str) -> None:
    for row in (1, 4, 8):
        one = dict(MIXED[row])
        frame = one["keypoint"].shape[1] // 2
        _, arrays = client.get("/api/stores/0/heatmap", row=row, frame=frame, kind=kind).arrays()
        part = {
            "keypoint": one["keypoint"][:, frame : frame + 1].astype(np.float32),
            "keypoint_score": one["keypoint_score"][:, frame : frame + 1].astype(np.float32),
            "img_shape": one["img_shape"],
        }
        volume = pose_target(
            part,
            with_kp=kind == "keypoint",
            with_limb=kind == "limb",
            skeletons=LAYOUTS["coco-17"].edges,
            scaling=64 / min(one["img_shape"]),
        )
        expected = np.rint(volume[0].max(axis=0) * 255)
        assert min(expected.shape) == 64
        assert expected.any()
        assert np.abs(arrays["heatmap"].astype(float) - expected).max() == 0


def test_heatmaps_that_cannot_be_drawn(client: Client, samples: Path) -> None:
    assert client.get("/api/stores/0/heatmap", row=1, frame=99).status == 404
    assert client.get("/api/stores/0/heatmap", row=1, kind="joint").status == 400
    with served(samples / "ntu.zarr") as other:
        assert other.get("/api/stores/0/heatmap", row=0).status == 422


# -------------------------------------------------------------------------------------------------- the check


def test_the_check_runs_beside_the_server(tmp_path: Path) -> None:
    annotations = [dict(one) for one in MIXED]
    annotations[4]["keypoint"] = annotations[4]["keypoint"].copy()
    annotations[4]["keypoint"][0, 0, 0] = np.nan
    path = write_store(tmp_path / "s.zarr", annotations, {"train": ["nobody"]})
    with opened_for_check(path) as videos:
        report = check(videos)
    with served(path) as client:
        assert client.get("/api/stores/0/problems").json() == {
            "state": "none",
            "checked": 0,
            "videos": VIDEOS,
            "kinds": [],
        }
        client.get("/api/stores/0/problems", start=1)
        deadline = time.monotonic() + 30
        while (found := client.get("/api/stores/0/problems").json())["state"] != "done":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert found["checked"] == VIDEOS
        kinds = {one["kind"]: one for one in found["kinds"]}
        assert {kind: one["cases"] for kind, one in kinds.items()} == {k: t.count for k, t in report.problems.items()}
        assert [one["severity"] for one in found["kinds"]] == sorted(one["severity"] for one in found["kinds"])
        assert client.rows(problem="not-finite") == [4]
        assert kinds["split-unknown"]["videos"] == 0
        short = [row for row, one in enumerate(MIXED) if "total_frames" not in one]
        assert client.rows(problem="total-frames") == short
        assert kinds["total-frames"]["videos"] == len(short)
        made = client.select(problem="not-finite")
        (video,) = client.get("/api/stores/0/videos", selection=made["selection"]).json()["videos"]
        assert "not-finite" in video["problems"]
        assert client.get("/api/stores/0/select", problem="not-infinite").status == 400
