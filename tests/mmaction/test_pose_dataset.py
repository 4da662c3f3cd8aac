"""``SkelStorePoseDataset`` compared with MMAction2's own PoseDataset: equal items and tensors, also on real files."""

from __future__ import annotations

import copy
import itertools
import pickle
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from tests.support import framework_data
from tests.support.framework_data import RATIOS, THRESHOLDS, Data, assert_same_item

pytest.importorskip("mmaction", reason="mmaction2 is not installed here: see `make mmaction-test`")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mmaction
    import torch
    from mmaction.datasets import PoseDataset
    from mmaction.registry import DATASETS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner
    from torch.utils.data import DataLoader

    from skelstore.mmaction2 import SkelStorePoseDataset

pytestmark = [
    # SciPy 1.9 and 1.10 warn of a change that MMAction2 is prepared for.
    pytest.mark.filterwarnings("ignore:Unlike other reduction functions:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

CONFIGS = Path(mmaction.__file__).parent / ".mim" / "configs" / "skeleton"
K400_CONFIG = CONFIGS / "posec3d" / "slowonly_r50_8xb32-u48-240e_k400-keypoint.py"
NTU_CONFIG = CONFIGS / "posec3d" / "slowonly_r50_8xb16-u48-240e_ntu60-xsub-keypoint.py"


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    framework_data.mend_mmaction2(monkeypatch)


@pytest.fixture(scope="module", params=["real kinetics", "kinetics", "ntu"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data")
    if request.param == "ntu":
        return framework_data.generated_ntu(folder)
    if request.param == "kinetics":
        return framework_data.generated_kinetics(folder)
    real_file: Callable[[str], Path] = request.getfixturevalue("real_file")
    return framework_data.real_kinetics(folder, real_file)


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return framework_data.generated_ntu(tmp_path_factory.mktemp("ntu"))


def both(data: Data, pipeline: Any = (), split: str | None = "", **options: Any) -> tuple[Any, Any]:
    """PoseDataset on the pickles and SkelStorePoseDataset on the store; without a split, upstream reads a bare list."""
    split = data.splits[0] if split == "" else split
    options = {"pipeline": list(pipeline), "split": split} | options
    if data.kpfiles:
        options.setdefault("data_prefix", {"skeleton": str(data.kpfiles)})
    theirs = PoseDataset(str(data.bare if split is None else data.pickle), **copy.deepcopy(options))
    return theirs, SkelStorePoseDataset(str(data.store), **options)


def assert_same_items(theirs: Any, ours: Any) -> None:
    assert len(ours) == len(theirs)
    for i in range(len(theirs)):
        assert_same_item(ours.get_data_info(i), theirs.get_data_info(i), f"item {i}")


@pytest.mark.parametrize("test_mode", [False, True])
@pytest.mark.parametrize("valid_ratio", RATIOS)
@pytest.mark.parametrize("box_thr", THRESHOLDS)
def test_items_are_those_of_pose_dataset(
    data: Data, box_thr: float, valid_ratio: float | None, test_mode: bool
) -> None:
    for split in (None, *data.splits):
        theirs, ours = both(data, split=split, box_thr=box_thr, valid_ratio=valid_ratio, test_mode=test_mode)
        assert_same_items(theirs, ours)
        for i in (0, -1) if len(ours) else ():
            assert_same_item(ours[i], theirs[i], f"item {i}")


def test_the_filters_do_something(data: Data) -> None:
    """Otherwise the test above would be meaningless."""
    lengths = {thr: len(both(data, box_thr=thr, valid_ratio=0.3)[1]) for thr in THRESHOLDS}
    everything = len(both(data, valid_ratio=0.0)[1])
    assert 0 < lengths[0.9] < everything
    assert "anno_inds" in both(data, box_thr=0.9, valid_ratio=0.3)[1].get_data_info(0)


def seeded(dataset: Any, i: int) -> dict[str, Any]:
    random.seed(i)
    np.random.seed(i)
    item: dict[str, Any] = dataset[i]
    return item


def assert_same_tensors(theirs: Any, ours: Any, count: int) -> None:
    assert len(ours) == len(theirs) > 0
    for i in range(min(count, len(theirs))):
        found, expected = seeded(ours, i), seeded(theirs, i)
        assert found["inputs"].dtype == expected["inputs"].dtype
        assert torch.equal(found["inputs"], expected["inputs"]), f"item {i}"
        assert torch.equal(found["data_samples"].gt_label, expected["data_samples"].gt_label)
        assert found["data_samples"].metainfo.keys() == expected["data_samples"].metainfo.keys()


@pytest.mark.parametrize("read_sampled", [False, True])
@pytest.mark.parametrize(("valid_ratio", "box_thr"), [(0.0, 0.5), (0.3, 0.5), (0.3, 0.9)])
@pytest.mark.parametrize("name", ["train_pipeline", "val_pipeline", "test_pipeline"])
def test_tensors_of_a_real_config_are_equal(
    data: Data, name: str, valid_ratio: float, box_thr: float, read_sampled: bool
) -> None:
    """The pipelines of PoseC3D's configs, that of K400 with DecompressPose, with the same seeds."""
    init_default_scope("mmaction")
    pipeline = Config.fromfile(K400_CONFIG if data.kpfiles else NTU_CONFIG)[name]
    if not data.kpfiles and valid_ratio:
        pytest.skip("boxes are of Kinetics only")
    options = {"valid_ratio": valid_ratio, "box_thr": box_thr, "test_mode": name != "train_pipeline"}
    theirs, ours = both(data, pipeline, **options)
    if read_sampled:
        ours = SkelStorePoseDataset(
            str(data.store), pipeline=pipeline, split=data.splits[0], read_sampled=True, **options
        )
    assert_same_tensors(theirs, ours, 8 if name == "test_pipeline" else 100)


@pytest.mark.parametrize(("clip_len", "num_clips"), [(16, 2), (1, 1), (1, 3)])
def test_read_sampled_returns_the_same_dict(data: Data, clip_len: int, num_clips: int) -> None:
    """The result after PoseDecode is equal key by key, and only there skeletons are read."""
    init_default_scope("mmaction")
    sampler = {"type": "UniformSampleFrames", "clip_len": clip_len, "num_clips": num_clips}
    pipeline = [sampler, {"type": "PoseDecode"}]
    if data.kpfiles:
        pipeline.insert(0, {"type": "DecompressPose", "squeeze": True, "max_person": 2})
    theirs, _ = both(data, pipeline)
    ours = SkelStorePoseDataset(str(data.store), pipeline=pipeline, split=data.splits[0], read_sampled=True)
    for i in range(len(ours)):
        assert_same_item(seeded(ours, i), seeded(theirs, i), f"item {i}")


def test_read_sampled_needs_a_sampler_first(ntu: Data) -> None:
    init_default_scope("mmaction")
    with pytest.raises(ValueError, match="starts with PreNormalize2D"):
        SkelStorePoseDataset(str(ntu.store), pipeline=[{"type": "PreNormalize2D"}], read_sampled=True)


@pytest.mark.parametrize("serialize_data", [True, False])
@pytest.mark.parametrize("indices", [None, 0, 3, -4, [2, 0, 5], [1], (4, 4), []])
def test_indices_and_subsets(ntu: Data, indices: Any, serialize_data: bool) -> None:
    if indices not in (0, []):  # serializing an empty list fails upstream
        theirs, ours = both(ntu, indices=indices, serialize_data=serialize_data)
        assert_same_items(theirs, ours)
    if indices is None:
        return
    theirs, ours = both(ntu, serialize_data=serialize_data)
    subset, expected = ours.get_subset(indices), theirs.get_subset(indices)
    assert type(subset) is SkelStorePoseDataset
    assert_same_items(expected, subset)
    assert len(ours) == len(theirs)  # unchanged
    ours.get_subset_(indices)
    theirs.get_subset_(indices)
    assert_same_items(theirs, ours)


@pytest.mark.parametrize("serialize_data", [True, False])
def test_wrong_indices_are_refused(ntu: Data, serialize_data: bool) -> None:
    for dataset in both(ntu, serialize_data=serialize_data):
        with pytest.raises((AssertionError, IndexError)):
            dataset.get_subset([len(dataset)])
        for nonsense in ("1", 1.5, np.array([1])):
            with pytest.raises((TypeError, AssertionError, IndexError)):
                dataset.get_subset(nonsense)
        with pytest.raises(IndexError):
            dataset.get_data_info(len(dataset))


def test_lazy_init(ntu: Data) -> None:
    for dataset in both(ntu, lazy_init=True):
        assert not dataset._fully_initialized
        assert len(dataset.metainfo) == 0
        assert not dataset._fully_initialized
        dataset.full_init()
        dataset.full_init()
        assert dataset._fully_initialized
    theirs, ours = both(ntu, lazy_init=True)
    assert_same_items(theirs, ours)
    assert ours._fully_initialized


@pytest.mark.parametrize("read_sampled", [False, True])
def test_an_item_that_is_prepared_before_anything_else(ntu: Data, read_sampled: bool) -> None:
    init_default_scope("mmaction")
    pipeline = [{"type": "UniformSampleFrames", "clip_len": 4}, {"type": "PoseDecode"}]
    options: dict[str, Any] = {"pipeline": pipeline, "split": ntu.splits[0], "lazy_init": True}
    theirs = PoseDataset(str(ntu.pickle), **options)
    ours = SkelStorePoseDataset(str(ntu.store), read_sampled=read_sampled, **options)
    np.random.seed(0)
    expected = theirs.prepare_data(0)
    np.random.seed(0)
    assert_same_item(ours.prepare_data(0), expected, "item 0")


def test_arguments_of_the_bases(ntu: Data, tmp_path: Path) -> None:
    options = {
        "multi_class": True,
        "num_classes": 60,
        "start_index": 1,
        "metainfo": {"classes": ["a"]},
        "data_prefix": {"video": "videos"},
        "data_root": "",
    }
    theirs, ours = both(ntu, **options)
    assert ours.metainfo == theirs.metainfo == {"classes": ["a"]}
    for i in range(3):
        found, expected = ours.get_data_info(i), theirs.get_data_info(i)
        assert torch.equal(found.pop("label"), expected.pop("label"))
        assert_same_item(found, expected, f"item {i}")
        assert found["frame_dir"].startswith("videos/")
    rooted = SkelStorePoseDataset(ntu.store.name, pipeline=[], data_root=str(ntu.store.parent))
    assert len(rooted) == len(skelstore.open(ntu.store))


@pytest.mark.parametrize("test_mode", [False, True])
def test_a_pipeline_that_returns_none(ntu: Data, test_mode: bool) -> None:
    """In training another video is drawn, as upstream does; in test mode it is an error."""
    for dataset in both(ntu, [lambda results: results if results["sample_idx"] % 2 else None], test_mode=test_mode):
        assert dataset[1]["sample_idx"] == 1
        np.random.seed(0)
        if test_mode:
            with pytest.raises(Exception, match="should not get `None`"):
                dataset[0]
        else:
            assert dataset[0]["sample_idx"] % 2


def test_no_annotation_is_kept_in_memory(ntu: Data) -> None:
    _, ours = both(ntu)
    assert len(pickle.dumps(ours)) < 20_000 < ntu.pickle.stat().st_size
    again = pickle.loads(pickle.dumps(ours))
    assert_same_items(again, ours)
    copied = copy.deepcopy(ours)
    assert_same_items(copied, ours)


def test_workers_return_the_same_batches(ntu: Data) -> None:
    def batches(dataset: Any, **options: Any) -> list[torch.Tensor]:
        loader = DataLoader(dataset, batch_size=4, collate_fn=keypoints, **options)
        return [batch for _ in range(2) for batch in loader]

    theirs, ours = both(ntu)
    found = batches(ours, num_workers=2, persistent_workers=True)
    expected = batches(theirs)
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def keypoints(items: list[dict[str, Any]]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(item["keypoint"].astype(np.float64).sum(axis=(0, 1, 2))) for item in items])


def test_a_real_config_builds_it_and_trains(ntu: Data, tmp_path: Path) -> None:
    """A smaller STGCN++ of MMAction2's zoo, trained from the store for an epoch by mmengine's Runner."""
    config = Config.fromfile(CONFIGS / "stgcnpp" / "stgcnpp_8xb16-joint-u100-80e_ntu60-xsub-keypoint-2d.py")
    losses = []
    for kind, path in (("PoseDataset", ntu.pickle), ("SkelStorePoseDataset", ntu.store)):
        cfg = copy.deepcopy(config)
        cfg.work_dir = str(tmp_path / kind)
        cfg.experiment_name = kind  # mmengine keeps losses by name and second
        cfg.train_dataloader.update(num_workers=0, persistent_workers=False, batch_size=8)
        cfg.train_dataloader.dataset.times = 1
        cfg.train_dataloader.dataset.dataset.update(type=kind, ann_file=str(path))
        cfg.model.backbone.update(base_channels=8, num_stages=2, inflate_stages=[], down_stages=[])
        cfg.model.cls_head.in_channels = 8
        cfg.train_cfg = {"type": "EpochBasedTrainLoop", "max_epochs": 1, "val_interval": 10}
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
        cfg.randomness = {"seed": 1}
        runner = Runner.from_cfg(cfg)
        runner.train()
        losses.append([float(value) for value in runner.message_hub.get_scalar("train/loss").data[0]])
        framework_data.close_log(runner)
    assert losses[0] == losses[1]
    assert len(losses[0]) > 1


# --- misuse -----------------------------------------------------------------------------------------------


def test_a_missing_split_lists_the_existing_splits(ntu: Data) -> None:
    with pytest.raises(skelstore.SplitNotFoundError, match="there are 'xsub_train', 'xsub_val', 'xview_train'"):
        SkelStorePoseDataset(str(ntu.store), pipeline=[], split="train")


def test_valid_ratio_without_box_score(tmp_path: Path) -> None:
    with skelstore.Writer(tmp_path / "s.zarr") as writer:
        writer.add({"frame_dir": "a", "total_frames": 2, "valid": {0.5: 2}, "keypoint": np.zeros((1, 2, 17, 2))})
    with pytest.raises(skelstore.FieldNotFoundError, match=r"the videos have no box_score, which valid_ratio=0\.3"):
        SkelStorePoseDataset(str(tmp_path / "s.zarr"), pipeline=[], valid_ratio=0.3)
    with pytest.raises(skelstore.FieldNotFoundError, match=r"no valid\[0.7\], which valid_ratio=0.3"):
        SkelStorePoseDataset(str(tmp_path / "s.zarr"), pipeline=[], valid_ratio=0.3, box_thr=0.7)


def test_a_table_of_contents_without_skeletons(tmp_path: Path) -> None:
    with skelstore.Writer(tmp_path / "s.zarr") as writer:
        writer.add({"frame_dir": "a", "total_frames": 2})
    with pytest.raises(skelstore.FieldNotFoundError, match="--kpfiles"):
        SkelStorePoseDataset(str(tmp_path / "s.zarr"), pipeline=[], data_prefix={"skeleton": "kpfiles"})


def test_it_is_in_the_registry() -> None:
    assert DATASETS.get("SkelStorePoseDataset") is SkelStorePoseDataset
    assert list(itertools.islice(SkelStorePoseDataset.__mro__, 2)) == [SkelStorePoseDataset, PoseDataset]
