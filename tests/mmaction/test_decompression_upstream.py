"""Decompression compared with MMAction2's own operator, in the environment that ``make mmaction-test`` installs.

PYSKL's operator has the same lines except its call of SciPy, which fails with SciPy 1.11 and later.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.samples.pickles import iter_kinetics_like
from skelstore.errors import DecompressionError
from skelstore.read.decompression import box_filter, decompress_pose, with_box_filter
from tests.support.decompression import REFUSED, REFUSED_UNSQUEEZED, compressed_annotations, keeps_video, video
from tests.support.exact import assert_exact

pytest.importorskip("mmaction", reason="mmaction2 is not installed here: see `make mmaction-test`")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mmaction.datasets import PoseDataset
    from mmaction.datasets.transforms import DecompressPose

# SciPy 1.9 and 1.10 warn of a change that MMAction2 is prepared for.
pytestmark = pytest.mark.filterwarnings("ignore:Unlike other reduction functions:FutureWarning")

ANSWERED_UPSTREAM = {
    ("unsigned going down", True),
    ("unsigned going down", False),
    ("unequal lengths", True),
    ("unequal lengths", False),
    ("negative", False),
}
"""Cases, and whether they are squeezed, in which upstream returns a result; skelstore.read.decompression says why
skelstore refuses them.
"""


def upstream(annotation: dict[str, Any], squeeze: bool, max_person: int) -> dict[str, Any]:
    """The result of MMAction2, which changes its input."""
    result: dict[str, Any] = DecompressPose(squeeze=squeeze, max_person=max_person)(copy.copy(annotation))
    return result


@given(compressed_annotations(), st.booleans(), st.sampled_from([0, 1, 2, 3, 10, 100]))
@settings(max_examples=3000)
@np.errstate(all="ignore")
def test_equals_upstream(annotation: dict[str, Any], squeeze: bool, max_person: int) -> None:
    found = decompress_pose(annotation, squeeze=squeeze, max_person=max_person)
    assert_exact(found, upstream(annotation, squeeze, max_person))


@pytest.mark.parametrize("squeeze", [True, False])
@pytest.mark.parametrize("max_person", [1, 2, 10])
@pytest.mark.parametrize("box_thr", [None, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_equals_upstream_on_kinetics_like_videos(squeeze: bool, max_person: int, box_thr: float | None) -> None:
    for entry, keypoint in iter_kinetics_like(30, seed=11):
        # One more frame, so that 1-based frame_inds fit without squeezing.
        entry = with_box_filter({**entry, "total_frames": entry["total_frames"] + 1, "keypoint": keypoint}, box_thr)
        found = decompress_pose(entry, squeeze=squeeze, max_person=max_person)
        assert_exact(found, upstream(entry, squeeze, max_person))


@pytest.mark.parametrize("box_thr", [0.5, 0.6, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("valid_ratio", [None, 0.0, 0.1, 0.5, 0.9, 1])
def test_box_filter_equals_upstream(box_thr: float, valid_ratio: float | None) -> None:
    # Every float16 in [0, 1], among them the neighbours of the thresholds.
    boxes = np.arange(0x3C01, dtype=np.uint16).view(np.float16)
    entries = [{**entry, "keypoint": keypoint} for entry, keypoint in iter_kinetics_like(30, seed=12)]
    entries[0] |= {"box_score": boxes, "valid": dict.fromkeys(entries[0]["valid"], entries[0]["total_frames"])}
    dataset = PoseDataset.__new__(PoseDataset)
    dataset.box_thr, dataset.valid_ratio = box_thr, valid_ratio
    dataset.data_list = [dict(entry) for entry in entries]
    kept = dataset.filter_data()

    found = [entry for entry in entries if keeps_video(entry, box_thr, valid_ratio)]
    assert [entry["frame_dir"] for entry in found] == [entry["frame_dir"] for entry in kept]
    for entry, expected in zip(found, kept, strict=True):
        if "anno_inds" in expected:
            assert_exact(box_filter(entry["box_score"], box_thr), expected["anno_inds"])
            # PYSKL drops these two, MMAction2 does not.
            expected = {key: value for key, value in expected.items() if key not in ("valid", "box_score")}
            assert_exact(with_box_filter(entry, box_thr), expected)
        else:
            assert not (isinstance(valid_ratio, float) and valid_ratio > 0)


@pytest.mark.parametrize(
    ("name", "annotation", "squeeze"),
    [
        *((name, case[0], squeeze) for name, case in REFUSED.items() for squeeze in (True, False)),
        *((name, case[0], False) for name, case in REFUSED_UNSQUEEZED.items()),
        *(("empty", video([]), squeeze) for squeeze in (True, False)),
        *(("emptied", video([0, 1], anno_inds=np.zeros(2, bool)), squeeze) for squeeze in (True, False)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_refused_annotations_fail_upstream_or_are_listed(name: str, annotation: dict[str, Any], squeeze: bool) -> None:
    with pytest.raises(DecompressionError):
        decompress_pose(annotation, squeeze=squeeze)
    if (name, squeeze) in ANSWERED_UPSTREAM:
        upstream(annotation, squeeze, 10)
    else:
        with pytest.raises((AssertionError, AttributeError, IndexError, TypeError, ValueError)):
            upstream(annotation, squeeze, 10)
