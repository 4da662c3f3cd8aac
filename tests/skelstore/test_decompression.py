"""Decompression compared with a slow reference in plain loops, and annotations that it refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import skelstore
from converters.samples.pickles import iter_kinetics_like
from skelstore.errors import (
    DamageError,
    DecompressionError,
    EmptyVideoError,
    FieldNotFoundError,
    FrameIndexError,
    SkelstoreError,
)
from skelstore.read import decompressed
from skelstore.read.decompression import box_filter, decompress_frames, decompress_pose, with_box_filter
from skelstore.train.selection import Selection
from tests.support.contracts import write
from tests.support.decompression import (
    REFUSED,
    REFUSED_UNSQUEEZED,
    compressed_annotations,
    keeps_video,
    reference,
    video,
)
from tests.support.exact import assert_exact
from tests.support.processes import run_python

Annotation = dict[str, Any]


@given(compressed_annotations(), st.booleans(), st.sampled_from([0, 1, 2, 3, 10, 100]))
@settings(max_examples=500)
@np.errstate(all="ignore")
def test_equals_the_reference(annotation: Annotation, squeeze: bool, max_person: int) -> None:
    before = copy.deepcopy(annotation)
    found = decompress_pose(annotation, squeeze=squeeze, max_person=max_person)
    assert_exact(annotation, before)
    assert_exact(found, reference(annotation, squeeze, max_person))
    for key in ("keypoint", "keypoint_score"):
        assert found[key].flags.c_contiguous
        assert found[key].flags.writeable
        assert not np.shares_memory(found[key], annotation["keypoint"])


def with_boxes(annotation: Annotation, scores: list[float]) -> Annotation:
    """The annotation with a ``box_score`` of as many rows, which repeats these scores, and without ``anno_inds``."""
    box_score = np.resize(np.array(scores, np.float16), len(annotation["frame_inds"]))
    return {key: value for key, value in annotation.items() if key != "anno_inds"} | {"box_score": box_score}


BOX_SCORES = st.lists(st.sampled_from([0.25, 0.5, 0.75]), min_size=1, max_size=7)


@given(compressed_annotations(), BOX_SCORES, st.booleans(), st.sampled_from([0, 1, 2, 10]))
@settings(max_examples=300)
@np.errstate(all="ignore")
def test_filtering_boxes_equals_dropping_them_before(
    annotation: Annotation, scores: list[float], squeeze: bool, max_person: int
) -> None:
    annotation = with_boxes(annotation, scores)
    options: dict[str, Any] = {"squeeze": squeeze, "max_person": max_person}
    mask = annotation["box_score"] >= 0.5
    dropped = {key: value[mask] if key in ("frame_inds", "keypoint") else value for key, value in annotation.items()}
    del dropped["box_score"]
    if mask.any():
        expected = decompress_pose(dropped, **options)
        found = decompress_pose(with_box_filter(annotation, 0.5), **options)
        assert_exact(found.pop("anno_inds"), mask)
        assert_exact(found, expected)
    else:
        with pytest.raises(EmptyVideoError):
            decompress_pose(with_box_filter(annotation, 0.5), **options)


@st.composite
def some_frames(draw: st.DrawFn, total: int) -> Any:
    """Frames of a video: none, some, repeated, from the end, or a slice."""
    if draw(st.booleans()):
        return draw(st.slices(total))
    return draw(st.lists(st.integers(-total, total - 1), max_size=6))


@given(compressed_annotations(), BOX_SCORES, st.booleans(), st.sampled_from([0, 1, 2, 10]), st.data())
@settings(max_examples=300)
@np.errstate(all="ignore")
def test_some_frames_equal_those_of_the_whole(
    annotation: Annotation, scores: list[float], squeeze: bool, max_person: int, data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        annotation = with_box_filter(with_boxes(annotation, [0.5, *scores]), 0.5)
    whole = decompress_pose(annotation, squeeze=squeeze, max_person=max_person)
    frames = data.draw(some_frames(whole["keypoint"].shape[1]))
    few = {name: whole[name][:, frames] for name in ("keypoint", "keypoint_score")}
    keypoint = annotation["keypoint"]
    found = decompress_frames(annotation, lambda rows: keypoint[rows], frames, squeeze=squeeze, max_person=max_person)
    assert_exact(found, whole | few)


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", "<f8"])
def test_rows_that_are_filtered_out_have_no_effect(dtype: str) -> None:
    """Not even a warning, though float16 cannot hold their values."""
    annotation = video([0, 0, 1], anno_inds=np.array([True, False, True]))
    annotation["keypoint"] = annotation["keypoint"].astype(dtype)
    expected = decompress_pose(annotation)
    annotation["keypoint"][1] = np.finfo(dtype).max
    with np.errstate(all="raise"):
        assert_exact(decompress_pose(annotation), expected)


@pytest.mark.parametrize("squeeze", [True, False])
@pytest.mark.parametrize("max_person", [1, 2, 10])
@pytest.mark.parametrize("box_thr", [None, 0.5, 0.9])
def test_equals_the_reference_on_kinetics_like_videos(squeeze: bool, max_person: int, box_thr: float | None) -> None:
    for entry, keypoint in iter_kinetics_like(20, seed=7):
        entry = with_box_filter({**entry, "total_frames": entry["total_frames"] + 1, "keypoint": keypoint}, box_thr)
        found = decompress_pose(entry, squeeze=squeeze, max_person=max_person)
        assert_exact(found, reference(entry, squeeze, max_person))


def test_a_small_video_by_hand() -> None:
    annotation = video([1, 1, 4])
    found = decompress_pose(annotation)
    assert list(found) == ["frame_dir", "total_frames", "keypoint", "keypoint_score"]
    assert found["total_frames"] == 2
    assert found["keypoint"][:, :, 0].tolist() == [[[1, 10], [3, 30]], [[2, 20], [0, 0]]]
    assert found["keypoint_score"][:, :, 0].tolist() == [[0.5, 0.5], [0.5, 0]]

    found = decompress_pose(annotation, squeeze=False)
    assert found["total_frames"] is annotation["total_frames"]
    assert found["keypoint"][0, :, 0, 0].tolist() == [0, 1, 0, 0, 3, 0, 0, 0, 0, 0]


def test_crowded_frames_keep_the_best_and_equal_ones_in_order() -> None:
    annotation = video([0, 0, 0, 0, 5, 5])
    annotation["keypoint"][:, 0, 2] = [0.25, 0.5, 0.75, 0.5, 0.125, 1]
    found = decompress_pose(annotation, max_person=3)
    assert list(found) == ["frame_dir", "total_frames", "keypoint", "num_person", "keypoint_score"]
    assert found["num_person"] == 3
    assert found["keypoint"][:, :, 0, 0].tolist() == [[3, 6], [2, 5], [4, 0]]
    # Persons are sorted only if some frame has more than max_person.
    assert decompress_pose(annotation, max_person=4)["keypoint"][:, 1, 0, 0].tolist() == [5, 6, 0, 0]


@pytest.mark.parametrize("joints", [2, 7, 8, 17, 25, 133])
def test_scores_are_summed_as_numpy_sums_float16(joints: int) -> None:
    """Large numbers that cancel: the width of the accumulator and the order of the sum decide which person is best."""
    random = np.random.default_rng(joints)
    keypoint = random.random((2000, joints, 3)).astype(np.float16)
    keypoint[:, :, 2] = random.choice([16384, -16384, 2**-12, 2**-11], (2000, joints))
    annotation = video([], frame_inds=np.repeat([0, 4], 1000), keypoint=keypoint)
    with np.errstate(over="ignore"):
        assert_exact(decompress_pose(annotation, max_person=999), reference(annotation, True, 999))


def test_equal_sums_in_float16_are_equal() -> None:
    keypoint = np.zeros((2, 2, 3))
    keypoint[:, 0, 0] = [1, 2]
    keypoint[:, 0, 2], keypoint[:, 1, 2] = 2048, [0.5, 0.75]
    assert decompress_pose(video([0, 0], keypoint=keypoint), max_person=1)["keypoint"][0, 0, 0, 0] == 1


def test_total_frames_beyond_int16() -> None:
    frames = 40_000
    found = decompress_pose(video(list(range(5)), frame_inds=np.arange(frames), keypoint=np.ones((frames, 1, 3))))
    assert_exact(found["total_frames"], np.int64(frames))
    assert found["keypoint"].shape == (1, frames, 1, 2)
    assert found["keypoint"].all()


@pytest.mark.parametrize("inds", [[5.0, 5.0, 7.5], [-3, -3, 2]])
def test_squeezing_needs_an_order_only(inds: list[float]) -> None:
    found = decompress_pose(video([0, 0, 0], frame_inds=np.array(inds)))
    assert found["keypoint"][:, :, 0, 0].tolist() == [[1, 3], [2, 0]]


def test_anno_inds_is_kept_and_other_values_are_shared() -> None:
    label = [1, 2]
    annotation = video([0, 1, 2], anno_inds=np.array([False, True, False]), label=label)
    found = decompress_pose(annotation)
    assert found["label"] is label
    assert found["anno_inds"] is annotation["anno_inds"]
    assert found["keypoint"].ravel().tolist() == [2, 20]


@pytest.mark.parametrize(
    ("annotation", "message", "squeezes"),
    [
        *(pytest.param(*case, [True, False], id=name) for name, case in REFUSED.items()),
        *(pytest.param(*case, [False], id=name) for name, case in REFUSED_UNSQUEEZED.items()),
    ],
)
def test_contradictions_are_refused_with_the_name(annotation: Annotation, message: str, squeezes: list[bool]) -> None:
    for squeeze in squeezes:
        with pytest.raises(DecompressionError, match=f"^video 'clip7': .*{message}"):
            decompress_pose(annotation, squeeze=squeeze)


BEYOND_THE_MEMORY = """
import resource
from pathlib import Path
import numpy as np
from skelstore import decompress_pose
from skelstore.errors import DecompressionError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), resource.RLIM_INFINITY))
video = {"frame_dir": "clip7", "frame_inds": np.zeros(10, int), "keypoint": np.zeros((10, 17, 3), np.float16)}
for total_frames in (1_000_000, 1_000_000_000):
    try:
        decompress_pose(video | {"total_frames": total_frames}, squeeze=False)
    except DecompressionError as error:
        print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory in use is read from /proc")
def test_a_video_that_does_not_fit_into_memory_is_refused_by_name() -> None:
    done = run_python(BEYOND_THE_MEMORY, check=True)
    tracks, frames = done.stdout.splitlines()
    assert tracks.startswith("video 'clip7': 1,000,000 frames of 10 persons, which do not fit in memory (")
    assert frames.startswith("video 'clip7': total_frames is 1000000000; that many frames do not fit in memory (")


@pytest.mark.parametrize("squeeze", [True, False])
def test_bool_frames_are_refused(squeeze: bool) -> None:
    # Not in REFUSED: whether upstream answers depends on its SciPy.
    with pytest.raises(DecompressionError, match="'clip7': frame_inds of dtype bool"):
        decompress_pose(video([0], frame_inds=np.array([True])), squeeze=squeeze)


@pytest.mark.parametrize("squeeze", [True, False])
def test_a_video_without_skeletons_is_named(squeeze: bool) -> None:
    with pytest.raises(EmptyVideoError, match="video 'clip7': it has no skeleton"):
        decompress_pose(video([]), squeeze=squeeze)
    for nothing in (np.zeros(2, bool), []):
        with pytest.raises(EmptyVideoError, match=r"video 'clip7': anno_inds \(the box filter\) leaves no skeleton"):
            decompress_pose(video([0, 1], anno_inds=nothing), squeeze=squeeze)
    nameless = video([])
    del nameless["frame_dir"]
    with pytest.raises(SkelstoreError, match="a video without a name: it has no skeleton"):
        decompress_pose(nameless, squeeze=squeeze)


@pytest.mark.parametrize("field", ["total_frames", "frame_inds", "keypoint"])
def test_a_missing_field_is_named(field: str) -> None:
    annotation = video([0])
    del annotation[field]
    with pytest.raises(FieldNotFoundError, match=f"'clip7' has no {field}"):
        decompress_pose(annotation)


def test_a_negative_max_person_is_refused() -> None:
    with pytest.raises(ValueError, match="max_person is -1"):
        decompress_pose(video([0]), max_person=-1)


@given(st.lists(st.floats(0, 1, width=16), max_size=20), st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]))
@example([0.89990234375, 0.7998046875], 0.9)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_box_filter_compares_in_the_dtype_of_the_scores(dtype: str, scores: list[float], box_thr: float) -> None:
    box_score = np.array(scores, dtype)
    limit = np.array([box_thr], dtype)[0]
    assert_exact(box_filter(box_score, box_thr), np.array([score >= limit for score in box_score], bool))
    assert_exact(box_filter(box_score, box_thr), np.asarray(box_score >= box_thr))
    assert_exact(box_filter(box_score, np.float64(box_thr)), box_filter(box_score, box_thr))


def test_with_box_filter() -> None:
    box_score = np.array([0.95, 0.3], np.float16)
    annotation = video([0, 1], box_score=box_score, valid={0.5: 1})
    found = with_box_filter(annotation, 0.5)
    assert list(found) == ["frame_dir", "total_frames", "frame_inds", "keypoint", "anno_inds"]
    assert found["anno_inds"].tolist() == [True, False]
    assert list(with_box_filter(annotation, None)) == ["frame_dir", "total_frames", "frame_inds", "keypoint"]
    assert annotation["box_score"] is box_score
    with pytest.raises(EmptyVideoError, match="clip7"):
        decompress_pose(with_box_filter(annotation, 0.99))
    with pytest.raises(FieldNotFoundError, match="'clip7' has no box_score"):
        with_box_filter(video([0]), 0.5)
    with pytest.raises(DecompressionError, match="box_score of shape \\(2, 1\\)"):
        with_box_filter(video([0], box_score=np.ones((2, 1))), 0.5)


# ------------------------------------------------------------------------------------ the views of a store


@pytest.fixture(params=["short", "long"])
def length(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether `read_one` treats the small videos of these tests as short ones, which it reads as a whole."""
    if request.param == "long":
        monkeypatch.setattr(decompressed, "SHORT_BYTES", -1)


def compressed(number: int, dtype: str = "<f2") -> Annotation:
    """A video of Kinetics: two persons per frame, ``valid`` for one threshold."""
    inds = np.repeat(np.arange(1, 4 + number % 4), 2)
    random = np.random.default_rng(number)
    return {
        "frame_dir": f"v{number}",
        "total_frames": 10,
        "frame_inds": inds,
        "keypoint": random.random((len(inds), 17, 3)).astype(np.float16),
        "box_score": np.append(1, random.random(len(inds) - 1)).astype(dtype),
        "valid": {0.5: number % 10},
    }


@pytest.mark.usefixtures("length")
@pytest.mark.parametrize("valid_ratio", [None, 0.0, 0.1, 0.5, 0.9, 1])
def test_a_view_has_the_videos_that_pose_dataset_keeps(tmp_path: Path, valid_ratio: float | None) -> None:
    """Also if box_score has several dtypes and so is stored as several arrays. Selection follows upstream's rule."""
    videos = [compressed(number, ("<f2", "<f4")[number % 2]) for number in range(20)]
    store = skelstore.open(write(tmp_path / "a.zarr", videos))
    kept = [video for video in videos if keeps_video(video, 0.5, valid_ratio)]
    filters = isinstance(valid_ratio, float) and valid_ratio > 0
    selection = Selection(store, box_thr=0.5, valid_ratio=valid_ratio)
    assert selection.box_thr == (0.5 if filters else None)
    masked = [video | {"anno_inds": video["box_score"] >= 0.5} if filters else video for video in kept]
    assert_exact([selection[i] for i in range(len(selection))], masked)
    view = store.decompressed(box_thr=0.5, valid_ratio=valid_ratio)
    assert_exact(list(view), [decompress_pose(with_box_filter(video, 0.5)) for video in kept])
    view = store.decompressed(box_thr=0.5 if filters else None, valid_ratio=valid_ratio)
    assert_exact(list(view), [decompress_pose(with_box_filter(video, selection.box_thr)) for video in kept])
    for i in range(len(view)):
        some = {name: value[:, [0]] for name, value in view[i].items() if name in ("keypoint", "keypoint_score")}
        assert_exact(view.read_one(i, frames=[0]), view[i] | some)


def test_a_threshold_alone_filters_boxes(tmp_path: Path) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [compressed(number) for number in range(4)]))
    assert "anno_inds" not in store.decompressed()[0]
    for box_thr in (0.0, 0.5, 1.0):
        view = store.decompressed(box_thr=box_thr)
        assert_exact(view[1]["anno_inds"], store[1]["box_score"] >= box_thr)
        assert_exact(view[1], decompress_pose(with_box_filter(store[1], box_thr)))
    with pytest.raises(EmptyVideoError, match=r"'v1': anno_inds \(the box filter\) leaves no skeleton"):
        store.decompressed(box_thr=1.5)["v1"]


def test_a_threshold_alone_needs_box_scores(tmp_path: Path) -> None:
    videos = [compressed(number) for number in range(4)]
    del videos[2]["box_score"]
    store = skelstore.open(write(tmp_path / "a.zarr", videos))
    with pytest.raises(FieldNotFoundError, match=r"1 of 4 videos has no box_score, which box_thr=0\.5 needs"):
        store.decompressed(box_thr=0.5)
    with pytest.raises(FieldNotFoundError, match=r"the videos have no box_score, which box_thr=0\.5 needs"):
        store.at([2]).decompressed(box_thr=0.5)
    assert len(store.decompressed()) == len(store.decompressed(valid_ratio=0.0)) == 4
    assert len(store.at([3, 0]).decompressed(box_thr=0.5)) == 2


def test_a_view_reports_how_many_videos_have_no_box_score(tmp_path: Path) -> None:
    videos = [compressed(number, ("<f2", "<f4")[number % 2]) for number in range(6, 10)]
    del videos[2]["box_score"]
    store = skelstore.open(write(tmp_path / "a.zarr", videos))
    with pytest.raises(FieldNotFoundError, match="1 of 4 videos has no box_score"):
        store.decompressed(box_thr=0.5, valid_ratio=0.1)
    with pytest.raises(FieldNotFoundError, match=r"valid_ratio=0\.1 needs box_thr: give the threshold"):
        store.decompressed(valid_ratio=0.1)


def test_a_view_of_no_persons_is_refused_when_it_is_made(tmp_path: Path) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [compressed(0)]))
    with pytest.raises(ValueError, match="max_person is -1"):
        store.decompressed(max_person=-1)


@pytest.mark.usefixtures("length")
@pytest.mark.parametrize("squeeze", [True, False])
@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"keypoint": np.zeros((6, 3, 3)), "frame_inds": np.arange(4)}, None),
        ({"frame_inds": np.arange(6)[:, None]}, None),
        ({"frame_inds": 3}, None),
        ({"frame_inds": [[1], [2, 3]]}, None),
        ({"frame_inds": [1, 1, 2, 2, 3, 3]}, None),
        ({"keypoint": np.zeros((6, 3, 2))}, None),
        ({"keypoint": np.zeros((0, 17, 3)), "frame_inds": np.zeros(0, np.int16)}, None),
        ({}, "total_frames"),
        ({}, "keypoint"),
        ({}, "frame_inds"),
    ],
)
def test_some_frames_are_refused_as_the_whole_is(
    tmp_path: Path, fields: Annotation, missing: str | None, squeeze: bool
) -> None:
    video = {key: value for key, value in (compressed(0) | fields).items() if key != missing}
    view = skelstore.open(write(tmp_path / "a.zarr", [video])).decompressed(squeeze=squeeze)

    def outcome(read: Callable[[], Annotation]) -> Any:
        try:
            return read()
        except SkelstoreError as error:
            return type(error), str(error)

    whole = outcome(lambda: view[0])
    if isinstance(whole, dict):
        whole = whole | {name: whole[name][:, [0]] for name in ("keypoint", "keypoint_score")}
    assert_exact(outcome(lambda: view.read_one(0, frames=[0])), whole)


@pytest.mark.parametrize("total_frames", [10**13, 2**62, 2**63])
def test_more_frames_than_fit_into_memory(total_frames: int) -> None:
    with pytest.raises(
        DecompressionError, match=f"video 'clip7': total_frames is {total_frames}; that many frames do not fit"
    ):
        decompress_pose(video([0], total_frames=total_frames), squeeze=False)


@pytest.mark.parametrize("field", ["frame_inds", "keypoint", "anno_inds"])
def test_lists_of_unequal_length_are_refused(field: str) -> None:
    with pytest.raises(DecompressionError, match=f"video 'clip7': {field}"):
        decompress_pose(video([0, 1]) | {field: [[1], [2, 3]]})
    with pytest.raises(DecompressionError, match="video 'clip7': box_score is not an array"):
        with_box_filter(video([0, 1], box_score=[[1], [2, 3]]), 0.5)


@pytest.mark.usefixtures("length")
def test_a_missing_frame_is_reported_with_its_video(tmp_path: Path) -> None:
    view = skelstore.open(write(tmp_path / "a.zarr", [compressed(0)])).decompressed()
    with pytest.raises(FrameIndexError, match=r"a\.zarr.*: video 0: frame 3 does not exist in a video of 3 frames"):
        view.read_one(0, frames=[3])


def test_frames_of_a_long_video_are_read_alone(tmp_path: Path) -> None:
    """Damage in the rows of other frames is not found."""
    keypoint = np.random.default_rng(0).random((20_000, 17, 3)).astype(np.float16)
    long = {"frame_dir": "long", "total_frames": 20_000, "frame_inds": np.arange(20_000), "keypoint": keypoint}
    store = skelstore.open(write(tmp_path / "a.zarr", [long]))
    shard = tmp_path / "a.zarr" / "keypoint" / "c.0.0.0"
    content = bytearray(shard.read_bytes())
    content[10] ^= 1  # in the first chunk
    shard.write_bytes(content)
    view = store.decompressed()
    assert_exact(view.read_one("long", frames=[15_000])["keypoint"][0, 0], keypoint[15_000, :, :2])
    with pytest.raises(DamageError, match=r"keypoint/c\.0\.0\.0: chunk 0 is damaged"):
        view.read_one("long", frames=[0])
