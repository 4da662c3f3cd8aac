"""``SkelstorePoseTarget`` and ``pose_target`` compared with MMAction2's own GeneratePoseTarget, bit by bit."""

from __future__ import annotations

import copy
import inspect
import itertools
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore.heatmaps import pose_target
from tests.support import framework_data
from tests.support.heatmaps import clips, options, random_clip, scaled_size

pytest.importorskip("mmaction", reason="mmaction2 is not installed here: see `make mmaction-test`")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mmaction
    import torch
    from mmaction.datasets.transforms import GeneratePoseTarget
    from mmaction.registry import TRANSFORMS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from skelstore.mmaction2 import SkelStorePoseDataset, SkelstorePoseTarget

pytestmark = [
    # SciPy 1.9 and 1.10 warn of a change that MMAction2 is prepared for.
    pytest.mark.filterwarnings("ignore:Unlike other reduction functions:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

CONFIGS = Path(mmaction.__file__).parent / ".mim" / "configs" / "skeleton" / "posec3d"


def upstream(clip: dict[str, Any], **options: Any) -> Any:
    return GeneratePoseTarget(**options).transform(dict(clip))["imgs"]


def assert_equal_in_bits(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_defaults_are_those_of_mmaction2() -> None:
    theirs = inspect.signature(GeneratePoseTarget).parameters
    ours = inspect.signature(pose_target).parameters
    assert list(theirs) == [name for name in ours if name not in ("annotation", "least_score")]
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name


@given(st.data(), st.sampled_from([2.0, 4.0, 100.0, 6e4]))
@settings(max_examples=1500, deadline=None)
def test_volumes_are_those_of_mmaction2(data: Any, outside: float) -> None:
    """With all options, 0 to 4 persons, joints far outside of the image, scores at the threshold, any float."""
    clip = data.draw(clips(outside, dtypes=(np.float16, np.float32, np.float64, np.int32)))
    chosen = data.draw(options(clip["keypoint"].shape[2]))
    if min(scaled_size(clip, chosen["scaling"])) > 0:
        assert_equal_in_bits(pose_target(clip, **chosen), upstream(clip, **chosen))


@pytest.mark.parametrize("persons", range(5))
@pytest.mark.parametrize("scaling", [1.0, 0.37, 2.0])
def test_every_combination_of_options(persons: int, scaling: float) -> None:
    kinds = [{"with_kp": True}, {"with_kp": False, "with_limb": True}, {"with_kp": True, "with_limb": True}]
    for seed, (kind, use_score, double, sigma) in enumerate(
        itertools.product(kinds, [True, False], [True, False], [0.6, 2.0])
    ):
        clip = random_clip(np.random.default_rng(seed), persons, 3, 17, (24, 20), outside=8)
        chosen = {**kind, "use_score": use_score, "double": double, "sigma": sigma, "scaling": scaling}
        assert_equal_in_bits(pose_target(clip, **chosen), upstream(clip, **chosen))


def test_many_joints_of_the_usual_size() -> None:
    """Enough limbs that NumPy rounds the square of some of their lengths otherwise than its power of a scalar."""
    clip = random_clip(np.random.default_rng(5), 2, 48, 17, (56, 56))
    for kind in ({}, {"with_kp": False, "with_limb": True, "double": True}):
        assert_equal_in_bits(pose_target(clip, **kind), upstream(clip, **kind))


def test_the_transform_adds_what_upstream_adds() -> None:
    clip = random_clip(np.random.default_rng(1), joints=17)
    for results in (dict(clip), clip | {"imgs": "frames of the video"}):
        kind = {"type": "SkelstorePoseTarget", "with_limb": True, "skeletons": [[0, 1], [1, 2]]}
        ours = TRANSFORMS.build(kind)
        theirs = TRANSFORMS.build(kind | {"type": "GeneratePoseTarget"})
        assert isinstance(ours, SkelstorePoseTarget)
        found, expected = ours(copy.deepcopy(results)), theirs(copy.deepcopy(results))
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert np.array_equal(found[key], value), key
    assert "sigma=0.6" in repr(ours)
    with pytest.raises(TypeError, match="sigmas"):
        SkelstorePoseTarget(sigmas=1)


def replaced(pipeline: list[dict[str, Any]], renames: dict[str, str]) -> list[dict[str, Any]]:
    """A pipeline in which one word is changed."""
    pipeline = copy.deepcopy(pipeline)
    assert any(step["type"] in renames for step in pipeline)
    for step in pipeline:
        step["type"] = renames.get(step["type"], step["type"])
    return pipeline


@pytest.mark.parametrize("name", ["train_pipeline", "val_pipeline", "test_pipeline"])
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("real kinetics", "slowonly_r50_8xb32-u48-240e_k400-keypoint.py"),
        ("kinetics", "slowonly_r50_8xb32-u48-240e_k400-keypoint.py"),
        ("ntu", "slowonly_r50_8xb16-u48-240e_ntu60-xsub-keypoint.py"),
        ("ntu", "slowonly_r50_8xb16-u48-240e_ntu60-xsub-limb.py"),
    ],
)
def test_an_epoch_of_a_real_config_is_equal(
    kind: str,
    config: str,
    name: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All items of PoseC3D's configs, with the same seeds; only the word GeneratePoseTarget differs."""
    framework_data.mend_mmaction2(monkeypatch)
    init_default_scope("mmaction")
    if kind == "ntu":
        data = framework_data.generated_ntu(tmp_path)
    elif kind == "kinetics":
        data = framework_data.generated_kinetics(tmp_path)
    else:
        real_file: Callable[[str], Path] = request.getfixturevalue("real_file")
        data = framework_data.real_kinetics(tmp_path, real_file)
    pipeline = Config.fromfile(CONFIGS / config)[name]
    split = data.splits[0]
    theirs = SkelStorePoseDataset(str(data.store), pipeline, split=split)
    ours = SkelStorePoseDataset(
        str(data.store), replaced(pipeline, {"GeneratePoseTarget": "SkelstorePoseTarget"}), split=split
    )
    count = 5 if name == "test_pipeline" else 40
    assert len(ours) == len(theirs) > 0
    for i in range(min(count, len(ours))):
        items = []
        for dataset in (ours, theirs):
            random.seed(i)
            np.random.seed(i)
            items.append(dataset[i])
        found, expected = items
        assert torch.equal(found["inputs"], expected["inputs"])
        assert float(found["inputs"].max()) > 0
        assert torch.equal(found["data_samples"].gt_label, expected["data_samples"].gt_label)
        assert found["data_samples"].metainfo.keys() == expected["data_samples"].metainfo.keys()
