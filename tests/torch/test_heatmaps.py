"""Heatmaps of a batch as tensors, compared with those of NumPy; the bytes that a worker sends."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed here: see `make mmaction-test`")

from converters.samples.pickles import ntu_like  # noqa: E402
from skelstore.errors import HeatmapError  # noqa: E402
from skelstore.heatmaps import pose_target as volume_of  # noqa: E402
from skelstore.heatmaps import tensors  # noqa: E402
from skelstore.torch import SkeletonDataset, pose_target  # noqa: E402
from tests.support.contracts import write  # noqa: E402
from tests.support.heatmaps import clips, options, random_clip, scaled_size  # noqa: E402

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
LIMB: dict[str, Any] = {"with_kp": False, "with_limb": True}


def batch_of(batch: list[dict[str, Any]], device: str = "cpu") -> tuple[Any, Any]:
    return tuple(
        torch.from_numpy(np.stack([clip[name] for clip in batch])).to(device) for name in ("keypoint", "keypoint_score")
    )


@pytest.mark.parametrize("device", DEVICES)
@given(st.data(), st.sampled_from([0.0, 4.0, 300.0]))
@settings(max_examples=150, deadline=None)
def test_a_batch_is_drawn_as_its_clips(device: str, data: Any, outside: float) -> None:
    clip = data.draw(clips(outside, dtypes=(np.float16, np.float32)))
    chosen = data.draw(options(clip["keypoint"].shape[2]))
    assume(min(scaled_size(clip, chosen["scaling"])) > 0 and "keypoint_score" in clip)
    other = {**clip, "keypoint": clip["keypoint"][..., ::-1].copy()}
    found = pose_target(*batch_of([clip, other], device), clip["img_shape"], **chosen)
    assert found.dtype == torch.float32
    assert found.device.type == device
    expected = np.stack([volume_of(one, **chosen) for one in (clip, other)])
    np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=0, atol=1e-5 if outside < 100 else 3e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_the_usual_size(device: str) -> None:
    batch = [random_clip(np.random.default_rng(seed), 2, 48, 17, (56, 56)) for seed in range(2)]
    for chosen in ({}, LIMB | {"double": True}):
        found = pose_target(*batch_of(batch, device), (56, 56), **chosen).cpu().numpy()
        np.testing.assert_allclose(found, np.stack([volume_of(clip, **chosen) for clip in batch]), rtol=0, atol=1e-5)


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of([random_clip(np.random.default_rng(seed), 2, 3, 17, (30, 30)) for seed in range(2)])
    whole = pose_target(*batch, (30, 30), with_limb=True)
    monkeypatch.setitem(tensors.BLOCK, "cpu", 50)
    assert torch.equal(pose_target(*batch, (30, 30), with_limb=True), whole)


def test_options_and_odd_batches() -> None:
    keypoint, score = batch_of([random_clip(np.random.default_rng(0), 2, 3, 17, (12, 12))])
    assert torch.equal(pose_target(keypoint, None, (12, 12)), pose_target(keypoint, torch.ones_like(score), (12, 12)))
    assert torch.equal(pose_target(keypoint, score, (12, 12), use_score=False), pose_target(keypoint, None, (12, 12)))
    whole = pose_target(keypoint.requires_grad_(), score, (12, 12), least_score=1e-3)
    assert not whole.requires_grad
    clip = {"keypoint": keypoint[0].detach().numpy(), "keypoint_score": score[0].numpy(), "img_shape": (12, 12)}
    np.testing.assert_allclose(whole[0], volume_of(clip, least_score=1e-3), rtol=0, atol=1e-5)
    for shape in [(0, 2, 3, 17), (2, 0, 3, 17), (2, 1, 0, 17)]:
        empty = pose_target(torch.zeros(*shape, 2), torch.zeros(shape), (12, 12), double=True)
        assert empty.shape == (shape[0], 2 * shape[2], 17, 12, 12)
        assert not empty.any()


def test_misuse_is_reported() -> None:
    keypoint, score = batch_of([random_clip(np.random.default_rng(0), 2, 3, 5, (12, 12)) for _ in range(2)])
    for wrong, message in [
        (
            (keypoint[0], score, (12, 12)),
            r"keypoint is torch.float32 \[2, 3, 5, 2\]; expected numbers \[B, M, T, V, 2\]",
        ),
        ((keypoint, score[:1], (12, 12)), r"expected numbers \[2, 2, 3, 5\], one per joint"),
        ((keypoint.numpy(), score, (12, 12)), "keypoint is an array .*; expected a tensor"),
        ((keypoint, score.numpy(), (12, 12)), "score is an array .*; expected a tensor"),
        ((keypoint, score, (0, 12)), "img_shape is"),
        ((keypoint, score, (60_000, 60_000)), "more than 4,294,967,296 bytes"),
    ]:
        with pytest.raises(HeatmapError, match=message):
            pose_target(*wrong)
    with pytest.raises(TypeError, match="sigmas"):
        pose_target(keypoint, score, (12, 12), sigmas=1)
    score[1, 1, 2, 4] = 0.5
    for value in (float("nan"), float("inf"), 1e30):
        keypoint[1, 1, 2, 4, 0] = value
        with pytest.raises(HeatmapError, match="clip 1 of the batch: joint 4 of person 1 in frame 2 is"):
            pose_target(keypoint, score, (12, 12))
    score[1, 1, 2, 4] = 0
    assert pose_target(keypoint, score, (12, 12)).isfinite().all()


def resized(annotation: dict[str, Any]) -> tuple[Any, Any]:
    """48 frames of up to two persons on an image of 56 x 56: tensors [2, 48, 17, 2] and [2, 48, 17]."""
    keypoint, score = annotation["keypoint"][:2], annotation["keypoint_score"][:2]
    frames = np.linspace(0, keypoint.shape[1] - 1, 48).astype(int)
    points, scores = np.zeros((2, 48, 17, 2), np.float32), np.zeros((2, 48, 17), np.float32)
    points[: len(keypoint)] = keypoint[:, frames] * np.array([56 / 1920, 56 / 1080], np.float32)
    scores[: len(score)] = score[:, frames]
    return torch.from_numpy(points), torch.from_numpy(scores)


def drawn(annotation: dict[str, Any]) -> Any:
    """The same as a volume [48, 17, 56, 56], drawn by the worker."""
    points, scores = resized(annotation)
    return torch.from_numpy(
        volume_of({"keypoint": points.numpy(), "keypoint_score": scores.numpy(), "img_shape": (56, 56)})
    )


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_send_joints_instead_of_volumes(tmp_path: Path) -> None:
    """Batches of a DataLoader with workers: at most a 200th of the bytes, and the same volumes."""
    path = write(tmp_path / "ntu.zarr", ntu_like(8)["annotations"])
    sent = {}
    loaders = {}
    for transform in (resized, drawn):
        dataset = SkeletonDataset(path, transform=transform)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of few cores
            loaders[transform] = list(torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=1))
        parts = [tensor for batch in loaders[transform] for tensor in (batch if transform is resized else [batch])]
        sent[transform] = sum(tensor.numel() * tensor.element_size() for tensor in parts)
    assert sent[drawn] >= 200 * sent[resized]
    for (points, scores), expected in zip(loaders[resized], loaders[drawn], strict=True):
        found = pose_target(points, scores, (56, 56))
        assert found.max() > 0
        assert torch.allclose(found, expected, rtol=0, atol=1e-5)
