"""Helpers of the tests of frameworks: real and generated data in the form of MMAction2 and PYSKL, and as stores."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from converters.conversion.convert import convert_source
from converters.dialects.registry import open_source
from converters.samples.pickles import iter_kinetics_like, ntu_like
from tests.support.exact import assert_exact
from tests.support.source_contract import dump

THRESHOLDS = (0.5, 0.7, 0.9)
RATIOS = (None, 0.0, 0.3)


def mend_mmaction2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fix what keeps MMAction2 1.2.0 of PyPI from training; docs/training.md has the same fixes."""
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)  # PoseCompact uses it, NumPy 2 has removed it
    package = "mmaction.models.localizers.drn"  # the models import it, the wheel lacks it
    drn = ModuleType(f"{package}.drn")
    drn.DRN = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, drn.__name__, drn)


def mend_mmcv() -> None:
    """Provide an empty torchvision for mmcv 1.x, which imports it only for its model zoo.

    The real one needs exactly the build of torch that it was built with, and there is none for that of the CPU.
    """
    sys.modules.setdefault("torchvision", ModuleType("torchvision"))


def close_log(runner: Any) -> None:
    """Close the files of mmengine's logger, which outlives the Runner and would open them again."""
    for handler in [*runner.logger.handlers]:
        runner.logger.removeHandler(handler)
        handler.close()


class Data(NamedTuple):
    """One data set: a pickle with splits, the same videos as a bare list, folders of kpfiles if it has any, a store."""

    pickle: Path
    bare: Path
    kpfiles: Path | None
    store: Path
    splits: Sequence[str]


def kinetics(folder: Path, entries: Sequence[dict[str, Any]], keypoints: Sequence[np.ndarray[Any, Any]]) -> Data:
    """Write a table of contents, and kpfiles in both layouts: MMAction2's, and PYSKL's named by ``raw_file``."""
    names = [entry["frame_dir"] for entry in entries]
    split = {"train": names, "val": names[::5], "few": [*names[1:4], "nobody"]}
    (folder / "kpfiles").mkdir()
    for number, (name, keypoint) in enumerate(zip(names, keypoints, strict=True)):
        dump(folder / "kpfiles" / f"{name}.pkl", {"keypoint": keypoint})
        entries[number]["raw_file"] = str(folder / "raw" / f"{number // 10}.pkl")
    (folder / "raw").mkdir()
    for first in range(0, len(names), 10):
        packs = zip(names[first : first + 10], keypoints[first : first + 10], strict=True)
        dump(folder / "raw" / f"{first // 10}.pkl", {name: {"keypoint": keypoint} for name, keypoint in packs})
    toc = dump(folder / "k400.pkl", {"split": split, "annotations": entries})
    source = open_source(toc, kpfiles=folder / "raw")
    convert_source(source, folder / "k400.zarr")
    source.close()
    return Data(toc, dump(folder / "list.pkl", entries), folder / "kpfiles", folder / "k400.zarr", tuple(split))


def real_kinetics(folder: Path, real_file: Callable[[str], Path]) -> Data:
    """The 100 real entries of Kinetics-400, with generated skeletons."""
    entries = pickle.loads(real_file("annotations/k400_toc_100.pkl").read_bytes())["annotations"]
    random = np.random.default_rng(400)
    keypoints = []
    for entry in entries:
        height, width = entry["img_shape"]
        centre = random.uniform(0.2, 0.8, (len(entry["frame_inds"]), 1, 2)) * [width, height]
        points = centre + random.normal(0, height / 12, (len(centre), 17, 2))
        score = random.uniform(0, 1, (len(centre), 17, 1))
        keypoints.append(np.concatenate([points, score], axis=2).astype(np.float16))
    return kinetics(folder, entries, keypoints)


def generated_kinetics(folder: Path, videos: int = 30) -> Data:
    entries, keypoints = zip(*iter_kinetics_like(videos, seed=3), strict=True)
    return kinetics(folder, list(entries), list(keypoints))


def generated_ntu(folder: Path, videos: int = 60) -> Data:
    """NTU-like videos, with ``valid`` and ``box_score`` so that the filters of Kinetics apply to them too."""
    data = ntu_like(videos, seed=5)
    random = np.random.default_rng(6)
    for annotation in data["annotations"]:
        frames = annotation["total_frames"]
        annotation["valid"] = {limit: int(frames * random.random()) for limit in (0.5, 0.6, 0.7, 0.8, 0.9)}
        annotation["box_score"] = random.random(frames).astype(np.float16)
    source = open_source(dump(folder / "ntu.pkl", data))
    convert_source(source, folder / "ntu.zarr")
    source.close()
    bare = dump(folder / "list.pkl", data["annotations"])
    return Data(folder / "ntu.pkl", bare, None, folder / "ntu.zarr", tuple(data["split"]))


def assert_same_item(found: dict[str, Any], expected: dict[str, Any], place: str) -> None:
    """Check that two items are equal in bits and types, in any order of keys."""
    assert found.keys() == expected.keys(), place
    for key in expected:
        assert_exact(found[key], expected[key], f"{place}: {key}")
