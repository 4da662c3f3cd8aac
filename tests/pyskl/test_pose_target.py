"""``SkelstorePoseTarget`` for PYSKL compared with PYSKL's own GeneratePoseTarget, bit by bit, on a checkout of PYSKL.

PYSKL needs NumPy 1, which computes scalars in float64; so this also tests `skelstore.heatmaps` with NumPy 1.
"""

from __future__ import annotations

import copy
import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skelstore.heatmaps import pose_target
from tests.support import framework_data
from tests.support.heatmaps import clips, options, random_clip, scaled_size

CHECKOUT = os.environ.get("PYSKL_CHECKOUT", "")
if not (Path(CHECKOUT) / "pyskl" / "datasets").is_dir() or not CHECKOUT:
    pytest.skip("no checkout of PYSKL: set PYSKL_CHECKOUT to one, see `make pyskl-test`", allow_module_level=True)
framework_data.mend_mmcv()
pytest.importorskip("mmcv.runner", reason="mmcv 1.x is not installed here: see `make pyskl-test`")
sys.path.insert(0, CHECKOUT)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from mmcv import Config
    from mmcv.utils import build_from_cfg
    from pyskl.datasets.builder import PIPELINES
    from pyskl.datasets.pipelines import GeneratePoseTarget

    from skelstore.pyskl import SkelStorePoseDataset, SkelstorePoseTarget

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning"),
]

CONFIGS = Path(CHECKOUT) / "configs" / "posec3d"


def both(clip: dict[str, Any], **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The results of SkelstorePoseTarget and of GeneratePoseTarget, which changes its input."""
    return SkelstorePoseTarget(**options)(copy.deepcopy(clip)), GeneratePoseTarget(**options)(copy.deepcopy(clip))


def assert_same_results(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert np.array_equal(found[key], value), key
    assert found["imgs"].dtype == expected["imgs"].dtype == np.float32


@given(st.data(), st.sampled_from([2.0, 4.0, 100.0, 6e4]))
@settings(max_examples=1500, deadline=None)
def test_results_are_those_of_pyskl(data: Any, outside: float) -> None:
    """With joints of any float, since RandomResizedCrop makes float64; `keypoint` included, which `scaling` changes."""
    halves = (np.float16,) if outside < 1000 else ()  # others become infinite by `scaling`
    clip = data.draw(clips(outside, dtypes=(np.float32, np.float64, *halves)))
    chosen = data.draw(options(clip["keypoint"].shape[2]))
    assume(chosen["with_kp"] != chosen["with_limb"] and min(scaled_size(clip, chosen["scaling"])) > 0)
    assert_same_results(*both(clip, **chosen))


@pytest.mark.parametrize("with_limb", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_many_joints_of_the_usual_size(with_limb: bool, double: bool) -> None:
    clip = random_clip(np.random.default_rng(5), 2, 48, 17, (56, 56))
    assert_same_results(*both(clip, with_kp=not with_limb, with_limb=with_limb, double=double))


def test_the_rules_that_differ_from_those_of_mmaction2() -> None:
    clip = random_clip(np.random.default_rng(1), joints=1)
    clip["keypoint_score"][:] = 5e-4
    clip["keypoint"][:] = 5
    assert not both(clip)[0]["imgs"].any()
    assert not both(clip)[1]["imgs"].any()
    assert pose_target(clip).max() > 4e-4
    assert not pose_target(clip, least_score=1e-3).any()
    with pytest.raises(ValueError, match="PYSKL expects exactly one"):
        SkelstorePoseTarget(with_kp=True, with_limb=True)
    with pytest.raises(AssertionError):
        GeneratePoseTarget(with_kp=True, with_limb=True)


def test_it_is_registered() -> None:
    transform = build_from_cfg({"type": "SkelstorePoseTarget", "sigma": 1.0}, PIPELINES)
    assert isinstance(transform, SkelstorePoseTarget)
    assert "sigma=1.0" in repr(transform)


@pytest.mark.parametrize("name", ["train_pipeline", "val_pipeline", "test_pipeline"])
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("real kinetics", "slowonly_r50_346_k400/joint.py"),
        ("kinetics", "slowonly_r50_346_k400/limb.py"),
        ("ntu", "slowonly_r50_ntu60_xsub/joint.py"),
        ("ntu", "slowonly_r50_ntu60_xsub/limb.py"),
    ],
)
def test_an_epoch_of_a_real_config_is_equal(
    kind: str, config: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All items of PoseC3D's configs, with the same seeds; only the word GeneratePoseTarget differs."""
    if kind == "ntu":
        data = framework_data.generated_ntu(tmp_path)
    elif kind == "kinetics":
        data = framework_data.generated_kinetics(tmp_path)
    else:
        real_file: Callable[[str], Path] = request.getfixturevalue("real_file")
        data = framework_data.real_kinetics(tmp_path, real_file)
    pipeline = Config.fromfile(str(CONFIGS / config))[name]
    renamed = copy.deepcopy(pipeline)
    for step in renamed:
        step["type"] = {"GeneratePoseTarget": "SkelstorePoseTarget"}.get(step["type"], step["type"])
    assert renamed != pipeline
    theirs = SkelStorePoseDataset(str(data.store), pipeline, split=data.splits[0])
    ours = SkelStorePoseDataset(str(data.store), renamed, split=data.splits[0])
    assert len(ours) == len(theirs) > 0
    for i in range(min(5 if name == "test_pipeline" else 25, len(ours))):
        items = []
        for dataset in (ours, theirs):
            random.seed(i)
            np.random.seed(i)
            items.append(dataset[i])
        found, expected = items
        assert torch.equal(found["imgs"], expected["imgs"])
        assert float(found["imgs"].max()) > 0
        assert np.array_equal(found["label"], expected["label"])
