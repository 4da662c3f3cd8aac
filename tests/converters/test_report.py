"""Reports: their numbers against slow loops, their form, hostile data, and the command."""

from __future__ import annotations

import math
import re
import tracemalloc
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import skelstore
from converters import samples
from converters.checks.dataset import check, open_any, videos_of
from converters.checks.swaps import find_swaps
from converters.report import write_report
from converters.report.charts import number, percent, ticks
from converters.report.counts import Histograms, Integers, Tops, Values
from converters.report.gathering import gather
from converters.report.origin import origin_of
from converters.report.page import page
from converters.report.sections import binned
from converters.samples.skeletons import write_skeletons
from skelstore.errors import StoreExistsError, WorkerError
from tests.support.contracts import write
from tests.support.source_contract import dump

Annotation = dict[str, Any]


def report_on(path: Path, **options: Any) -> str:
    opened = open_any(path)
    try:
        gathered = gather(opened, **options)
        return page(gathered, origin_of(opened, gathered.statistics))
    finally:
        opened.close()


def stored(path: Path, annotations: list[Annotation], splits: dict[Any, Any] | None = None) -> Path:
    write(path, annotations, splits or {})
    return path


class Page:
    """A report, parsed: it must be well-formed, and refer to nothing outside of itself."""

    def __init__(self, text: str) -> None:
        assert text.startswith("<!DOCTYPE html>\n<html lang=")
        assert not re.search(r"https?:|//|<script|<link|<img|<iframe|<object|@import|url\(|\ssrc=|\son\w+=", text)
        self.tree = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
        names = [node.get("id") for node in self.tree.iter() if node.get("id")]
        assert len(names) == len(set(names))
        links = [node.get("href") for node in self.tree.iter("a")]
        assert {link[1:] for link in links if link} <= set(names)
        assert all(link and link[0] == "#" for link in links)
        for chart in self.tree.iter("svg"):
            assert chart.get("aria-label") or chart.find("title") is not None or chart.get("x") is not None
        self.text = "".join(self.tree.itertext())

    def table(self, caption: str) -> list[list[str]]:
        """The rows of the table with a caption that begins so."""
        for node in self.tree.iter("table"):
            title = node.find("caption")
            if title is not None and (title.text or "").startswith(caption):
                body = node.find("tbody")
                return [["".join(cell.itertext()) for cell in row] for row in ([] if body is None else body)]
        raise AssertionError(f"there is no table {caption}")

    def pairs(self, caption: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.table(caption)}

    def section(self, name: str) -> str:
        [node] = [node for node in self.tree.iter("section") if node.get("id") == name]
        return "".join(node.itertext())


def as_number(text: str) -> float:
    return float(text.replace(",", ""))


# ------------------------------------------------------------------------------- the numbers, against slow loops


def data_set(random: np.random.Generator, count: int = 9) -> tuple[list[Annotation], dict[str, list[str]]]:
    """Dense 2D videos with gaps, missing joints, NaN, several persons and image sizes."""
    annotations = []
    for i in range(count):
        persons, frames = int(random.integers(1, 4)), int(random.integers(1, 12))
        points = random.uniform(1, 300, (persons, frames, 5, 2)).astype(np.float32)
        scores = random.uniform(0, 1.1, (persons, frames, 5)).astype(np.float32)
        points[random.random((persons, frames, 5)) < 0.1] = 0
        scores[random.random((persons, frames, 5)) < 0.1] = 0
        points[random.random((persons, frames)) < 0.2] = 0
        points[random.random(points.shape) < 0.01] = random.choice([np.nan, np.inf])
        annotations.append(
            {
                "frame_dir": f"clip{i}",
                "label": int(random.integers(0, 4)),
                "img_shape": (240, int(random.choice([320, 426]))),
                "total_frames": frames,
                "keypoint": points,
                "keypoint_score": scores,
            }
        )
    names = [annotation["frame_dir"] for annotation in annotations]
    return annotations, {"train": names[: count // 2], "val": [*names[count // 2 :], "nobody"]}


def is_found(annotation: Annotation, m: int, t: int, v: int) -> bool:
    place = annotation["keypoint"][m, t, v].tolist()
    return any(place) and all(map(math.isfinite, place)) and annotation["keypoint_score"][m, t, v] > 0


def slow_numbers(annotations: list[Annotation]) -> dict[str, Any]:
    """The numbers of a report by loops over videos, persons, frames and joints."""
    persons: Counter[int] = Counter()
    missing: Counter[int] = Counter()
    scores: dict[int, list[float]] = {v: [] for v in range(5)}
    speeds: dict[int, list[float]] = {v: [] for v in range(5)}
    gaps: list[int] = []
    by_class: dict[int, list[float]] = {}
    tracks = skeletons = tracks_with_gaps = 0
    for annotation in annotations:
        points = annotation["keypoint"]
        there = np.zeros(points.shape[:2], bool)
        for m in range(points.shape[0]):
            for t in range(points.shape[1]):
                found = [is_found(annotation, m, t, v) for v in range(5)]
                there[m, t] = any(found)
                if not any(found):
                    continue
                skeletons += 1
                for v in range(5):
                    missing[v] += not found[v]
                    scores[v].append(float(annotation["keypoint_score"][m, t, v]))
                    by_class.setdefault(annotation["label"], []).append(scores[v][-1])
                    if t + 1 < points.shape[1] and found[v] and is_found(annotation, m, t + 1, v):
                        speeds[v].append(math.dist(points[m, t, v].tolist(), points[m, t + 1, v].tolist()))
            seen = [t for t in range(points.shape[1]) if there[m, t]]
            own = [b - a - 1 for a, b in pairwise(seen) if b - a > 1]
            gaps += own
            tracks += bool(seen)
            tracks_with_gaps += bool(own)
        persons.update(there.sum(axis=0).tolist())
    return {
        **{"persons": persons, "missing": missing, "scores": scores, "speeds": speeds, "gaps": gaps},
        **{"by_class": by_class, "tracks": tracks, "skeletons": skeletons, "tracks_with_gaps": tracks_with_gaps},
    }


def quantile(values: list[float], share: float) -> float:
    """The smallest value up to which at least ``share`` of the values are."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@settings(max_examples=12)
@given(st.integers(0, 10_000))
def test_numbers_against_loops(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    annotations, splits = data_set(np.random.default_rng(seed))
    folder = tmp_path_factory.mktemp("report")
    path = stored(folder / "a.zarr", annotations, splits)
    found = Page(report_on(path, share=4))
    expected = slow_numbers(annotations)

    frames = [annotation["total_frames"] for annotation in annotations]
    lengths = found.pairs("Lengths")
    assert [as_number(lengths[key]) for key in ("shortest", "longest", "all together", "50 %", "95 %")] == [
        *(min(frames), max(frames), sum(frames), quantile(frames, 0.5), quantile(frames, 0.95))
    ]
    in_bins = Counter({row[0]: int(as_number(row[1])) for row in found.table("Lengths of videos")})
    assert +in_bins == Counter(map(str, frames))

    per_frame = Counter({int(row[0]): int(row[1]) for row in found.table("Persons in each frame")})
    assert +per_frame == expected["persons"]
    rows = found.pairs("Rows of persons")
    assert as_number(rows["rows of persons"]) == expected["tracks"]
    assert rows["rows with gaps"].split()[0] == str(expected["tracks_with_gaps"])
    assert as_number(rows["gaps"]) == len(expected["gaps"])
    assert as_number(rows["frames in gaps"]) == sum(expected["gaps"])
    with np.errstate(all="ignore"):
        assert as_number(rows["changes of rows"]) == sum(int(find_swaps(a["keypoint"]).sum()) for a in annotations)

    for v, row in enumerate(found.table("5 joints in 2D")):
        assert row[1:3] == [f"{expected['missing'][v]}", percent(expected["missing"][v], expected["skeletons"])]
        for share, text in zip((0.05, 0.25, 0.5, 0.75, 0.95), row[3:], strict=True):
            exact = min(quantile(expected["scores"][v], share), 1.05)
            assert abs(float(text) - exact) <= 0.02 + 0.005
    for label, row in zip(sorted(expected["by_class"]), found.table("Scores per class"), strict=True):
        assert row[0] == f"class {label}"
        for share, text in zip((0.05, 0.25, 0.5, 0.75, 0.95), row[1:], strict=True):
            exact = min(quantile(expected["by_class"][label], share), 1.05)
            assert abs(float(text) - exact) <= 0.02 + 0.005
    for v, row in enumerate(found.table("Speed of 5 joints") if any(expected["speeds"].values()) else []):
        for share, text in zip((0.05, 0.25, 0.5, 0.75, 0.95), row[1:], strict=True):
            if expected["speeds"][v]:
                exact = quantile(expected["speeds"][v], share)
                assert as_number(text) == pytest.approx(exact, rel=0.125 + 0.005)

    labels = Counter(annotation["label"] for annotation in annotations)
    by_name = {annotation["frame_dir"]: annotation["label"] for annotation in annotations}
    own = {title: Counter(by_name[name] for name in ids if name in by_name) for title, ids in splits.items()}
    classes = found.table("Videos per class")
    assert [[int(cell) for cell in (row[0], *row[2:])] for row in classes] == [
        [label, labels[label], own["train"][label], own["val"][label]] for label in sorted(labels)
    ]
    assert [row[:3] for row in found.table("Splits")] == [["train", "4", "4"], ["val", "6", "5"]]
    sizes = Counter({row[0]: int(row[1]) for row in found.table("Image sizes")})
    assert sizes == Counter(f"{a['img_shape'][1]} x 240" for a in annotations)

    with skelstore.open(path) as store:
        on_disk = store.files()
        problems = check(videos_of(store))
    arrays = {row[0]: row[1:] for row in found.table("Bytes of each array")}
    for name in ("keypoint", "keypoint_score"):
        own_bytes = sum(size for file, size in on_disk.items() if file.startswith(f"{name}/"))
        assert arrays[name][:4] == ["float32", "9", f"{sum(a[name].nbytes for a in annotations):,}", f"{own_bytes:,}"]
    assert arrays["all"][3] == f"{sum(on_disk.values()):,}"
    for kind, about, tally in problems.ordered():
        assert kind in found.section("findings")
        assert about.remedy.replace("`", "") in found.section("findings")
        assert all(example.found in found.section("findings") for example in tally.examples)
    assert "split-unknown" in problems.problems
    assert "No video has the id" in found.section("attention")


def test_detections_against_loops(tmp_path: Path) -> None:
    """Detections have no rows of persons: neither speeds nor gaps; persons are counted in frames that have one."""
    random = np.random.default_rng(1)
    frames = np.sort(random.integers(0, 10, 40)).astype(np.int16)
    keypoint = random.uniform(1, 200, (40, 17, 3)).astype(np.float32)
    keypoint[..., 2] = np.where(random.random((40, 17)) < 0.2, 0, 0.5)
    keypoint[3] = 0
    annotation = {"frame_dir": "a", "keypoint": keypoint, "frame_inds": frames, "total_frames": 30}
    found = Page(report_on(stored(tmp_path / "a.zarr", [annotation])))
    there = keypoint[..., 2].any(axis=1)
    counts = Counter(Counter(frames[there].tolist()).values())
    assert +Counter({int(r[0]): int(r[1]) for r in found.table("Skeletons in each frame with one")}) == counts
    missing = (keypoint[there][..., 2] == 0).sum(axis=0).tolist()
    assert [int(row[1]) for row in found.table("17 joints in 2D")] == missing
    assert found.pairs("Lengths")["longest"] == "30"
    assert "not known for detections" in found.section("tracks")
    assert "how far a joint moves is not known" in found.section("motion")
    assert "detections, not persons" in found.section("attention")


def test_raw_bodies_against_loops(tmp_path: Path) -> None:
    """Bodies of raw NTU RGB+D are rows of persons: a body moves between frames that follow each other."""
    frames, ids = np.array([0, 1, 1, 2, 5, 6], np.int32), np.array([7, 7, 3, 3, 3, 7], np.int64)
    position = np.zeros((6, 25, 3), np.float32) + np.array([1, 1.5, 5, 5.25, 9, 9])[:, None, None]
    annotation = {"frame_dir": "a", "total_frames": 9, "frame_inds": frames, "body_id": ids, "position": position}
    write(tmp_path / "raw.zarr", [annotation], {}, source={"recipe": "raw"})
    found = Page(report_on(tmp_path / "raw.zarr"))
    rows = found.pairs("Rows of persons")
    assert [rows[key] for key in ("rows of persons", "gaps", "frames in gaps")] == ["2", "2", str(2 + 4)]
    assert rows["changes of rows"] == rows["videos in which persons change rows"] == "not checked"
    assert +Counter({int(r[0]): int(r[1]) for r in found.table("Persons in each frame")}) == Counter({0: 4, 1: 4, 2: 1})
    speeds = [as_number(text) for text in found.table("Speed of 25 joints in 3D in metres")[0][1:]]
    assert speeds[0] == pytest.approx(0.25 * math.sqrt(3), rel=0.13)
    assert speeds[-1] == pytest.approx(0.5 * math.sqrt(3), rel=0.13)
    assert "raw NTU RGB+D" in found.section("attention")
    assert "no error" not in found.text


# ------------------------------------------------------------------------------------------- the form of the page


@pytest.mark.parametrize("source", ["pyskl", "kinetics", "ntu", "store"])
def test_every_kind_of_source(tmp_path: Path, source: str) -> None:
    if source == "ntu":
        write_skeletons(tmp_path / "ntu", [f"S001C00{i}P001R001A001" for i in (1, 2)])
        path = tmp_path / "ntu"
    elif source == "kinetics":
        path = dump(tmp_path / "a.pkl", samples.compressed_like(3))
    else:
        path = dump(tmp_path / "a.pkl", samples.ntu_like(12))
    if source == "store":
        skelstore_convert(path, tmp_path / "a.zarr")
        path = tmp_path / "a.zarr"
    found = Page(report_on(path))
    assert found.tree.find(".//h1").text == path.name  # type: ignore[union-attr]
    assert len([node for node in found.tree.iter("svg") if node.get("width")]) >= 3, "outliers are drawn"
    digest = "SHA-256 of manifest.json" in found.pairs("Origin")
    assert digest == (source == "store")


def skelstore_convert(source: Path, destination: Path) -> None:
    from converters import convert

    convert(source, destination, workers=1, class_names=[f"class <{i}>" for i in range(120)])


def test_the_order_of_a_shuffled_store_and_what_was_downloaded(tmp_path: Path) -> None:
    from converters import convert

    path = dump(tmp_path / "a.pkl", samples.ntu_like(12))
    convert(path, tmp_path / "shuffled.zarr", shuffle=3)
    facts = Page(report_on(tmp_path / "shuffled.zarr")).pairs("Origin")
    assert facts["Order of the videos"] == "shuffled with seed 3; an export restores that of the source"
    assert "shuffled" not in facts
    downloaded = {"source": {"url": "s3:a.pkl", "sha256": "ab"}, "boxes": {"url": "s3:b.pkl", "sha256": "cd"}}
    with skelstore.Writer(tmp_path / "b.zarr", source={"dialect": "own", "downloaded": downloaded}) as writer:
        writer.add({"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 2, 17, 2), np.float32)})
    page = Page(report_on(tmp_path / "b.zarr"))
    assert "Order of the videos" not in page.pairs("Origin")
    assert ["Downloaded from", "s3:a.pkl, sha256 ab"] in page.table("Origin")
    assert ["Downloaded from", "s3:b.pkl, sha256 cd"] in page.table("Origin")


def test_class_names_and_layout(tmp_path: Path) -> None:
    skelstore_convert(dump(tmp_path / "a.pkl", samples.ntu_like(12)), tmp_path / "a.zarr")
    found = Page(report_on(tmp_path / "a.zarr"))
    assert found.table("Videos per class")[0][1].startswith("class <")
    assert [row[0] for row in found.table("17 joints in 2D")][:2] == ["nose", "left_eye"]


def test_clean_data_need_no_attention(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(10, 200, (1, 8, 17, 2))
    annotations = [
        {"frame_dir": f"v{i}", "label": i % 2, "img_shape": (240, 320), "total_frames": 8, "keypoint": points}
        for i in range(40)
    ]
    splits = {"train": [f"v{i}" for i in range(30)], "val": [f"v{i}" for i in range(30, 40)]}
    found = Page(report_on(stored(tmp_path / "a.zarr", annotations, splits)))
    assert "Nothing stands out" in found.section("attention")
    for annotation in annotations[:20]:
        annotation["label"] = 0
    for annotation in annotations[20:39]:
        annotation["label"] = 1
    annotations[39]["label"] = 2
    found = Page(report_on(stored(tmp_path / "b.zarr", annotations, splits)))
    assert "1 class of val have no video in train: class 2" in found.section("attention")
    assert "20 times as many videos" in found.section("attention")


def test_any_number_of_processes_gives_the_same_report(tmp_path: Path) -> None:
    annotations, splits = data_set(np.random.default_rng(5), 23)
    path = dump(tmp_path / "a.pkl", {"split": splits, "annotations": annotations})
    advanced: list[int] = []
    parallel = report_on(path, workers=2, share=4, advance=advanced.append)
    assert sum(advanced) == 23
    assert parallel == report_on(path, share=4)
    assert [*tmp_path.iterdir()] == [path]


def test_a_worker_that_dies_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations, _ = data_set(np.random.default_rng(5), 8)
    path = stored(tmp_path / "a.zarr", annotations)
    monkeypatch.setattr("converters.report.gathering.read_sent", exit_at_once)
    with pytest.raises(WorkerError, match=r"a\.zarr: the process that read videos \d to \d died: .*fewer workers"):
        report_on(path, workers=2, share=4)


def exit_at_once(*_: object) -> None:
    import os

    os._exit(3)


# ---------------------------------------------------------------------------------------------------- hostile data

MARKUP = "</td><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'"
TEXT = st.sampled_from([MARKUP, "a\nb", "\ud800", "\u202e", "\x00\x1b[31m", "]]>", "x" * 5000, "", "<!--"]) | st.text()
NUMBER = st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e-40, 1e30, 65504.0, 2.5, 100.0])


@st.composite
def hostile_annotation(draw: st.DrawFn) -> dict[Any, Any]:
    form = draw(st.sampled_from(["dense", "compressed", "raw", "other"]))
    joints, axes = draw(st.integers(1, 3)), draw(st.sampled_from([2, 3]))
    dtype = draw(st.sampled_from(["f2", "f4", ">f8", "i2", "u1", "i8", "u8"]))
    elements = NUMBER.map(np.float64) if "f" in dtype else st.integers(0, 200)
    rows = draw(st.integers(0, 4))
    integer = draw(st.sampled_from(["i1", "i8", "u8", "i2"]))
    ends = [np.iinfo(integer).min, np.iinfo(integer).max, 0, 1, 2, 3]

    def numbers(shape: tuple[int, ...]) -> Any:
        with np.errstate(all="ignore"):
            return draw(hnp.arrays(np.float64, shape, elements=elements)).astype(dtype)

    annotation: dict[Any, Any] = {"frame_dir": draw(TEXT), "label": draw(st.none() | st.integers() | TEXT)}
    annotation["img_shape"] = draw(st.none() | st.tuples(st.integers(), st.integers()) | TEXT)
    annotation["total_frames"] = draw(st.none() | st.integers() | TEXT)
    if form == "dense":
        shape = (draw(st.integers(0, 3)), rows, joints)
        annotation["keypoint"] = numbers((*shape, axes))
        if draw(st.booleans()):
            annotation["keypoint_score"] = numbers(shape)
    elif form == "compressed":
        annotation["keypoint"] = numbers((rows, joints, 3))
        annotation["frame_inds"] = draw(hnp.arrays(integer, rows, elements=st.sampled_from(ends)))
    elif form == "raw":
        annotation["position"] = numbers((rows, joints, 3))
        for key in ("frame_inds", "body_id"):
            annotation[key] = draw(hnp.arrays(integer, rows, elements=st.sampled_from(ends)))
    else:
        annotation[draw(TEXT)] = draw(hnp.arrays(st.sampled_from(["f4", "?", "U2"]), hnp.array_shapes(min_dims=0)))
    return annotation


class Annotations:
    """A source of annotations that are in memory."""

    dialect = MARKUP

    def __init__(self, annotations: list[Any], splits: dict[Any, Any]) -> None:
        self.path = Path(f"/tmp/{MARKUP.replace('/', '')}")
        self._annotations, self._splits = annotations, splits

    def __len__(self) -> int:
        return len(self._annotations)

    def video(self, index: int) -> tuple[Any, None]:
        return self._annotations[index], None

    def place(self, index: int) -> str:
        return f"{MARKUP}[{index}]"

    def splits(self) -> dict[Any, Any]:
        return self._splits

    def description(self) -> dict[str, Any]:
        return {"name": MARKUP, "class_names": [MARKUP] * 3, MARKUP: {"a": [MARKUP]}, "notes": [MARKUP]}

    def close(self) -> None:
        pass


def report_on_annotations(annotations: list[Any], splits: dict[Any, Any]) -> str:
    source: Any = Annotations(annotations, splits)
    gathered = gather(source, share=2)
    return page(gathered, origin_of(source, gathered.statistics))


@settings(max_examples=50)
@given(
    st.lists(hostile_annotation(), max_size=4),
    st.dictionaries(TEXT | st.integers(), st.lists(TEXT, max_size=3) | TEXT, max_size=3),
)
def test_hostile_data_give_a_well_formed_report(annotations: list[Any], splits: dict[Any, Any]) -> None:
    text = report_on_annotations(annotations, splits)
    Page(re.sub(r"//|https?:|\s(src|on\w+)=", " ", text))  # as text they are harmless: the tree has no such attribute
    tree = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    allowed = {"href", "id", "class", "scope", "lang", "charset", "name", "content", "role", "aria-label"}
    for node in tree.iter():
        assert node.tag not in ("script", "img", "iframe", "object", "link", "base", "form")
        if node.tag in ("html", "head", "body", "section", "div", "span", "td", "th", "li", "a", "p", "code", "strong"):
            assert set(node.attrib) <= allowed


def test_large_annotations_are_bounded(tmp_path: Path) -> None:
    """Many persons, frames and joints: counted, drawn only in part, in little more memory than the arrays take."""
    crowd = np.ones((10_000, 1, 17, 2), np.float16)
    long = np.ones((1, 100_000, 2, 2), np.float16)
    faces = np.random.default_rng(0).uniform(1, 100, (20, 3, 478, 2)).astype(np.float16)
    wide = np.ones((1, 2, 2000, 2), np.float16)
    annotations = [
        {"frame_dir": str(i), "label": 10**i, "total_frames": points.shape[1], "keypoint": points}
        for i, points in enumerate((crowd, long, faces, wide))
    ]
    tracemalloc.start()
    text = report_on_annotations(annotations, {"train": [str(i) for i in range(20_000)]})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(text) < 3_000_000
    assert peak < 150e6
    assert "10,000 persons" in text
    assert "100,000 frames" in text


def test_memory_does_not_grow_with_the_videos() -> None:
    """A video adds its digest, position and label: some 40 bytes."""
    points = np.random.default_rng(0).uniform(1, 100, (1, 4, 3, 2)).astype(np.float16)

    class Many(Annotations):
        def __len__(self) -> int:
            return self._splits["count"]

        def video(self, index: int) -> tuple[Any, None]:
            named = {"frame_dir": str(index), "label": index % 7, "total_frames": 4, "keypoint": points}
            return named, None

        def splits(self) -> dict[Any, Any]:
            return {}

    def peak(count: int) -> int:
        source: Any = Many([], {"count": count})
        tracemalloc.start()
        gather(source, share=100)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    assert peak(500) - peak(100) < 400 * 400


# --------------------------------------------------------------------------------------------- counts and charts


@given(st.lists(st.integers(0, 1 << 40), min_size=1), st.sampled_from([0.01, 0.5, 0.95]))
def test_integers(values: list[int], share: float) -> None:
    integers = Integers()
    integers.add_all(np.array(values[:3], np.int64))
    other = Integers()
    for value in values[3:]:
        other.add(value)
    integers.merge(other)
    exact = quantile([*map(float, values)], share)
    assert exact * (1 - 2**-11) <= integers.quantile(share) <= exact
    assert integers.total == len(values)
    bins = binned(integers)
    assert sum(bar.value for bar in bins) == len(values)
    assert len(bins) <= 26


@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=50), st.sampled_from([0.05, 0.5, 0.999]))
def test_histograms(values: list[float], share: float) -> None:
    one, other = Histograms(2), Histograms(2)
    for histogram, part in ((one, values[::2]), (other, [*values[1::2], math.nan, math.inf])):
        histogram.add(np.ones(len(part), np.int64), np.array(part, np.float32))
    one.merge(other)
    found = one.quantile(1, share)
    assert found == pytest.approx(quantile(values, share), rel=0.125, abs=1e-6)
    assert found == one.quantile(None, share)
    assert one.quantile(0, share) is None


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 100)), unique_by=lambda entry: entry[1]))
def test_tops(entries: list[tuple[int, int]]) -> None:
    entries.sort(key=lambda entry: entry[1])
    tops, later = Tops(3), Tops(3)
    for i, (value, position) in enumerate(entries):
        (tops if i < len(entries) // 2 else later).add(value, position)
    tops.merge(later)
    assert tops.entries == sorted(entries, key=lambda entry: (-entry[0], entry[1]))[:3]


def test_values_are_bounded() -> None:
    values = Values(2)
    for value in "abcab":
        values.add(value)
    later = Values(2)
    later.add("d")
    later.add("a")
    values.merge(later)
    assert values.ordered() == [("a", 3), ("b", 2)]
    assert values.others == 2


@given(st.floats(1e-12, 1e12))
def test_ticks_are_few_and_round(top: float) -> None:
    found = ticks(top)
    assert found[0] == 0
    assert found[-1] >= top * (1 - 1e-6)
    assert len(found) <= 7
    assert found[-2] < top * (1 + 1e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12.0, "12"), (0.0345, "0.0345"), (1234.5, "1,234"), (1.5, "1.5"), (1e-7, "1.00e-07"), (-0.25, "-0.25")],
)
def test_numbers_as_text(value: float, text: str) -> None:
    assert number(value) == text


# ----------------------------------------------------------------------------------------------------- the command


def test_command(tmp_path: Path, run: Any) -> None:
    source = dump(tmp_path / "a.pkl", samples.ntu_like(6))
    out = tmp_path / "report.html"
    done = run("report", source, "-o", out, "--workers", "1")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{out}: report on 6 videos, ")
    Page(out.read_text())
    before = out.read_text()
    done = run("report", source, "-o", out, "--workers", "1")
    assert done.status == 1
    assert "exists: choose another name, or replace it with --force" in done.err
    assert out.read_text() == before
    assert run("report", source, "-o", out, "--force").status == 0
    assert out.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pkl", "report.html"]
    done = run("report", tmp_path / "nothing.pkl", "-o", tmp_path / "b.html")
    assert done.status == 1
    assert "is not there" in done.err


def test_nothing_is_written_if_reading_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / "a.zarr", data_set(np.random.default_rng(5), 3)[0])
    (tmp_path / "old.html").write_text("old")
    with skelstore.open(path) as store:
        with pytest.raises(StoreExistsError):
            write_report(store, tmp_path / "old.html")
        monkeypatch.setattr("converters.report.writing.page", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_report(store, tmp_path / "old.html", force=True)
    assert (tmp_path / "old.html").read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zarr", "old.html"]


def test_a_damaged_video_is_reported(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.zarr", data_set(np.random.default_rng(5), 3)[0])
    [shard] = path.glob("keypoint/c.*")
    data = bytearray(shard.read_bytes())
    data[10] ^= 255
    shard.write_bytes(data)
    found = Page(report_on(path))
    assert "unreadable" in found.section("findings")
