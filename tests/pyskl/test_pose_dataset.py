"""``SkelStorePoseDataset`` for PYSKL compared with PYSKL's own PoseDataset, memcached included, on a checkout of PYSKL.

Set PYSKL_CHECKOUT to a checkout and run this with mmcv 1.x installed: see `make pyskl-test`. Nothing of PYSKL is in
this repository.
"""

from __future__ import annotations

import copy
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters.bench.memcached import Memcached, Server
from tests.support import framework_data
from tests.support.framework_data import RATIOS, THRESHOLDS, Data, assert_same_item

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
    from pyskl.datasets import PoseDataset, build_dataloader, build_dataset

    from skelstore.pyskl import SkelStorePoseDataset

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning"),
]

CONFIGS = Path(CHECKOUT) / "configs"
K400_CONFIG = CONFIGS / "posec3d" / "slowonly_r50_346_k400" / "joint.py"
NTU_CONFIG = CONFIGS / "stgcn++" / "stgcn++_ntu60_xsub_hrnet" / "j.py"


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return framework_data.generated_ntu(tmp_path_factory.mktemp("ntu"))


@pytest.fixture(scope="module", params=["real", "generated"])
def k400(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("k400")
    if request.param == "generated":
        return framework_data.generated_kinetics(folder)
    real_file: Callable[[str], Path] = request.getfixturevalue("real_file")
    return framework_data.real_kinetics(folder, real_file)


@pytest.fixture(scope="module")
def memcached() -> Iterator[tuple[str, int]]:
    """A server for these tests."""
    if reason := Memcached().missing():
        pytest.skip(reason)
    server = Server(200_000_000)
    yield "127.0.0.1", server.port
    server.stop()


def seeded(dataset: Any, i: int) -> Any:
    random.seed(i)
    np.random.seed(i)
    return dataset[i]


@pytest.mark.parametrize("test_mode", [False, True])
@pytest.mark.parametrize("valid_ratio", RATIOS)
@pytest.mark.parametrize("box_thr", THRESHOLDS)
def test_items_are_those_of_pose_dataset(ntu: Data, box_thr: float, valid_ratio: float | None, test_mode: bool) -> None:
    options = {"box_thr": box_thr, "valid_ratio": valid_ratio, "test_mode": test_mode, "data_prefix": "videos"}
    for split in (None, *ntu.splits):
        theirs = PoseDataset(str(ntu.bare if split is None else ntu.pickle), [], split=split, **options)
        ours = SkelStorePoseDataset(str(ntu.store), [], split=split, **options)
        assert len(ours) == len(theirs)
        for i in range(len(theirs)):
            assert_same_item(ours[i], theirs[i], f"item {i}")


@pytest.mark.parametrize("read_sampled", [False, True])
@pytest.mark.parametrize(("valid_ratio", "box_thr"), [(0.0, 0.5), (0.3, 0.5), (0.3, 0.9)])
@pytest.mark.parametrize("name", ["train_pipeline", "val_pipeline"])
def test_kinetics_without_memcached_is_kinetics_with_it(
    k400: Data, memcached: tuple[str, int], name: str, valid_ratio: float, box_thr: float, read_sampled: bool
) -> None:
    """Items, and tensors after the K400 config, with the same seeds; upstream uses a real server."""
    options = {"box_thr": box_thr, "valid_ratio": valid_ratio, "split": "train", "test_mode": name != "train_pipeline"}
    served = options | {"memcached": True, "mc_cfg": memcached}
    with pytest.warns(UserWarning, match="needs no memcached") as seen:
        ours = SkelStorePoseDataset(str(k400.store), [], **served)
    assert len(seen) == 1
    theirs = PoseDataset(str(k400.pickle), [], **served)
    assert len(ours) == len(theirs) > 0
    try:
        for i in range(len(theirs)):
            assert_same_item(ours[i], theirs[i], f"item {i}")
        pipeline = Config.fromfile(str(K400_CONFIG))[name]
        theirs.pipeline = PoseDataset(str(k400.pickle), pipeline, **served).pipeline
        ours = SkelStorePoseDataset(str(k400.store), pipeline, read_sampled=read_sampled, **options)
        for i in range(min(25, len(theirs))):
            found, expected = seeded(ours, i), seeded(theirs, i)
            assert torch.equal(found["imgs"], expected["imgs"])
            assert found["label"] == expected["label"]
    finally:
        theirs.cli.close()


def test_decompress_pose_may_be_replaced_by_ours(k400: Data) -> None:
    theirs = SkelStorePoseDataset(str(k400.store), [{"type": "DecompressPose", "squeeze": True}], split="train")
    ours = SkelStorePoseDataset(str(k400.store), [skelstore.decompress_pose], split="train")
    for i in range(len(theirs)):
        assert_same_item(ours[i], theirs[i], f"item {i}")


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # classes without a video
def test_video_infos_serve_the_evaluation(ntu: Data) -> None:
    options = {"split": "xsub_train", "test_mode": True, "num_classes": 60}
    theirs = PoseDataset(str(ntu.pickle), [], **options)
    ours = SkelStorePoseDataset(str(ntu.store), [], **options)
    scores = list(np.random.default_rng(0).random((len(theirs), 60)))
    metrics = ["top_k_accuracy", "mean_class_accuracy", "mean_average_precision"]
    assert ours.evaluate(scores, metrics=metrics) == theirs.evaluate(scores, metrics=metrics)
    assert [info["label"] for info in ours.video_infos] == [info["label"] for info in theirs.video_infos]
    assert {label: len(infos) for label, infos in ours.parse_by_class().items()} == {
        label: len(infos) for label, infos in theirs.parse_by_class().items()
    }
    for found, expected in zip(ours.video_infos[2:7], theirs.video_infos[2:7], strict=True):
        assert_same_item(dict(found), expected, "info")
        assert_same_item(copy.deepcopy(found), expected, "info")
        assert len(found) == len(expected)
        assert "valid" not in found
    assert len(pickle.dumps(ours)) < 30_000 < ntu.pickle.stat().st_size


def test_class_prob_is_served_by_pyskls_loader(ntu: Data) -> None:
    options = {"split": "xsub_train", "class_prob": [1, 2.5] * 30}
    pipeline = [{"type": "PoseDecode"}, {"type": "Collect", "keys": ["label"], "meta_keys": []}]
    orders = []
    for kind, path in (("PoseDataset", ntu.pickle), ("SkelStorePoseDataset", ntu.store)):
        dataset = build_dataset({"type": kind, "ann_file": str(path), "pipeline": pipeline, **options})
        loader = build_dataloader(dataset, 4, 0, seed=1, pin_memory=False)
        orders.append([int(label) for batch in loader for label in batch["label"]])
    assert orders[0] == orders[1]
    assert len(orders[0]) > len(dataset)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_real_config_builds_it(ntu: Data, workers: int) -> None:
    """Batches of STGCN++'s config in RepeatDataset; only `type` and `ann_file` differ."""
    config = Config.fromfile(str(NTU_CONFIG))
    batches = []
    for kind, path in (("PoseDataset", ntu.pickle), ("SkelStorePoseDataset", ntu.store)):
        train = copy.deepcopy(config.data.train)
        train.times = 1
        train.dataset.update(type=kind, ann_file=str(path))
        loader = build_dataloader(build_dataset(train), 4, workers, seed=2, pin_memory=False)
        np.random.seed(3)
        batches.append([batch["keypoint"] for batch in loader])
    assert len(batches[0]) == len(batches[1]) > 1
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_real_config_with_a_url(ntu: Data, s3: str, workers: int) -> None:
    """Two epochs of batches from moto's server, by workers that are forked after a read, are those of the folder."""
    from skelstore.publish.files import LocalStore
    from skelstore.publish.pushing import push
    from skelstore.remote.url import parse_url

    push(LocalStore(ntu.store), parse_url("s3://bucket/ntu.zarr"))
    config = Config.fromfile(str(NTU_CONFIG))
    batches = []
    for path in (str(ntu.store), "s3://bucket/ntu.zarr"):
        train = copy.deepcopy(config.data.train)
        train.times = 1
        train.dataset.update(type="SkelStorePoseDataset", ann_file=path)
        dataset = build_dataset(train)
        assert isinstance(dataset.dataset.video_infos[0]["label"], int)
        seeded(dataset, 0)
        loader = build_dataloader(dataset, 4, workers, seed=2, pin_memory=False, persistent_workers=workers > 0)
        np.random.seed(3)
        batches.append([batch["keypoint"] for _ in range(2) for batch in loader])
    assert len(batches[0]) == len(batches[1]) > 2
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


def test_misuse_is_reported(ntu: Data, tmp_path: Path) -> None:
    with pytest.raises(skelstore.SplitNotFoundError, match="there are 'xsub_train'"):
        SkelStorePoseDataset(str(ntu.store), [], split="nothing")
    with pytest.raises(ValueError, match=r"box_thr is 0\.4"):
        SkelStorePoseDataset(str(ntu.store), [], box_thr=0.4)
    with skelstore.Writer(tmp_path / "s.zarr") as writer:
        writer.add({"frame_dir": "a", "total_frames": 2, "valid": {0.5: 2}, "keypoint": np.zeros((1, 2, 17, 2))})
    with pytest.raises(skelstore.FieldNotFoundError, match="have no box_score, which valid_ratio"):
        SkelStorePoseDataset(str(tmp_path / "s.zarr"), [], box_thr=0.5, valid_ratio=0.3)
