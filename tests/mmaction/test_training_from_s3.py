"""MMAction2 trains from ``s3://``, on moto's server, as it does from the same store in a folder."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from tests.support import framework_data
from tests.support.framework_data import Data, assert_same_item

pytest.importorskip("mmaction", reason="mmaction2 is not installed here: see `make mmaction-test`")
pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mmaction
    import torch
    from mmaction.datasets import PoseDataset
    from mmaction.registry import DATASETS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    from skelstore.mmaction2 import SkelStorePoseDataset

from skelstore.publish.files import LocalStore
from skelstore.publish.pushing import push
from skelstore.remote.connections import close_connections
from skelstore.remote.url import parse_url

pytestmark = [
    pytest.mark.filterwarnings("ignore:Unlike other reduction functions:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

URL = "s3://bucket/skeletons/ntu.zarr"
STGCN = Path(mmaction.__file__).parent / ".mim/configs/skeleton/stgcnpp"


@pytest.fixture(autouse=True)
def _mended(monkeypatch: pytest.MonkeyPatch) -> None:
    framework_data.mend_mmaction2(monkeypatch)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Sums do not depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _start_method() -> Iterator[None]:
    """A config sets that of the process, and how much OpenCV does."""
    before = multiprocessing.get_start_method(allow_none=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return framework_data.generated_ntu(tmp_path_factory.mktemp("ntu"), videos=40)


@pytest.fixture
def url(ntu: Data, s3: str) -> str:
    push(LocalStore(ntu.store), parse_url(URL))
    return URL


# --- configs ------------------------------------------------------------------------------------------------


def placed(ann_file: Any, **options: Any) -> Any:
    return SkelStorePoseDataset(ann_file, pipeline=[], lazy_init=True, **options)


@pytest.mark.parametrize("root", ["", "/data", "data", "s3://other", "https://host/data/"])
@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "https", "http", "hf"])
def test_a_url_is_never_joined(scheme: str, root: str) -> None:
    url = f"{scheme}://datasets/a/b/c.zarr"
    dataset = placed(url, data_root=root, data_prefix={"video": "", "skeleton": "kpfiles"})
    assert dataset.ann_file == copy.deepcopy(dataset).ann_file == pickle.loads(pickle.dumps(dataset)).ann_file == url


def test_a_root_that_is_a_url() -> None:
    dataset = placed("ntu.zarr", data_root="s3://bucket/skeletons", data_prefix={"video": "clips", "img": "/images"})
    assert dataset.ann_file == URL
    assert dataset.data_prefix == {"video": "s3://bucket/skeletons/clips", "img": "/images"}
    with_token = placed("a b.zarr", data_root="https://host/data/?token=secret", data_prefix={"video": "clips"})
    assert with_token.ann_file == "https://host/data/a%20b.zarr?token=secret"
    assert with_token.data_prefix == {"video": "https://host/data/clips"}
    assert placed("/data/ntu.zarr", data_root="s3://bucket").ann_file == "/data/ntu.zarr"
    assert placed(parse_url(URL)).ann_file == placed(Path(URL)).ann_file == URL


@pytest.mark.parametrize("root", ["", "data", "/data"])
@pytest.mark.parametrize("prefix", ["", "clips", "/clips"])
@pytest.mark.parametrize("file", ["ntu.zarr", "/ntu.zarr"])
def test_a_path_is_joined_as_upstream_does(file: str, root: str, prefix: str) -> None:
    options: dict[str, Any] = {"data_root": root, "data_prefix": {"video": prefix}}
    ours, theirs = placed(file, **options), PoseDataset(file, pipeline=[], lazy_init=True, **options)
    assert ours.ann_file == os.path.abspath(theirs.ann_file)
    assert ours.data_prefix == theirs.data_prefix


def test_items_are_those_of_the_folder(url: str, ntu: Data) -> None:
    """Also of copies, of subsets, and with the pipeline of a config."""
    init_default_scope("mmaction")
    pipeline = Config.fromfile(STGCN / "stgcnpp_8xb16-joint-u100-80e_ntu60-xsub-keypoint-2d.py").train_pipeline
    options: dict[str, Any] = {"split": "xsub_train", "valid_ratio": 0.3, "box_thr": 0.7}
    options |= {"data_prefix": {"video": "videos"}, "multi_class": True, "num_classes": 60}
    remote = SkelStorePoseDataset("ntu.zarr", pipeline=[], data_root="s3://bucket/skeletons", **options)
    options["data_prefix"] = {"video": "s3://bucket/skeletons/videos"}
    local = SkelStorePoseDataset(str(ntu.store), pipeline=[], **options)
    for one in (remote, copy.deepcopy(remote), copy.copy(remote), pickle.loads(pickle.dumps(remote))):
        assert len(one) == len(local) > 5
        for i in range(len(local)):
            found, expected = one.get_data_info(i), local.get_data_info(i)
            assert torch.equal(found.pop("label"), expected.pop("label"))
            assert_same_item(found, expected, f"item {i}")
    subset = remote.get_subset([3, 1])
    assert [subset[i]["frame_dir"] for i in (0, 1)] == [local[i]["frame_dir"] for i in (3, 1)]
    for kind in ({}, {"read_sampled": True}):
        built = DATASETS.build({"type": "SkelStorePoseDataset", "ann_file": url, "pipeline": sampled(pipeline), **kind})
        other = SkelStorePoseDataset(str(ntu.store), pipeline=sampled(pipeline))
        for i in range(5):
            found, expected = seeded(built, i), seeded(other, i)
            assert torch.equal(found["inputs"], expected["inputs"])


def sampled(pipeline: list[Any]) -> list[Any]:
    """The steps of a pipeline from its sampler of frames on."""
    names = [step["type"] for step in pipeline]
    return copy.deepcopy(pipeline[names.index("UniformSampleFrames") :])


def seeded(dataset: Any, i: int) -> dict[str, Any]:
    random.seed(i)
    np.random.seed(i)
    item: dict[str, Any] = dataset[i]
    return item


def test_errors_show_no_secrets(tmp_path: Path) -> None:
    dataset = placed("http://me:word@127.0.0.1:9/a.zarr?token=secret")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skelstore.remote.transport.TRIES", 1)
        patch.setenv("SKELSTORE_CACHE", str(tmp_path))
        patch.setattr("time.sleep", lambda seconds: None)
        with pytest.raises(skelstore.RemoteError, match=r"http://127\.0\.0\.1:9/a\.zarr") as raised:
            len(dataset)
    close_connections()
    assert "secret" not in str(raised.value)
    assert "word" not in str(raised.value)


# --- a training ---------------------------------------------------------------------------------------------


def train(path: str, work: Path, method: str, persistent: bool, workers: int) -> list[float]:
    """The losses of two epochs of a smaller STGCN++ of MMAction2's zoo, trained by mmengine's Runner."""
    config = Config.fromfile(STGCN / "stgcnpp_8xb16-joint-u100-80e_ntu60-xsub-keypoint-2d.py")
    config.work_dir = str(work)
    config.experiment_name = f"{work.parent.name}_{work.name}"  # mmengine keeps losses by name and second
    config.env_cfg.mp_cfg.mp_start_method = method
    config.train_dataloader.update(num_workers=workers, persistent_workers=persistent, batch_size=8)
    config.train_dataloader.dataset.times = 1
    config.train_dataloader.dataset.dataset.update(type="SkelStorePoseDataset", ann_file=path)
    config.model.backbone.update(base_channels=8, num_stages=1, inflate_stages=[], down_stages=[])
    config.model.cls_head.in_channels = 8
    config.train_cfg = {"type": "EpochBasedTrainLoop", "max_epochs": 2, "val_interval": 10}
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.test_dataloader = config.test_cfg = config.test_evaluator = None
    config.default_hooks.logger.interval = 1
    config.randomness = {"seed": 1}
    runner = Runner.from_cfg(config)
    assert runner.train_dataloader.dataset[0] is not None  # before there are workers
    runner.train()
    runner.train_dataloader._iterator = None  # ends workers that persist
    found = [float(value) for value in runner.message_hub.get_scalar("train/loss").data[0]]
    framework_data.close_log(runner)
    return found


@pytest.mark.parametrize(
    ("method", "persistent", "workers"),
    [("fork", False, 2), ("fork", True, 2), ("spawn", True, 2), ("fork", False, 0)],
)
def test_losses_are_those_of_the_folder(
    url: str, ntu: Data, tmp_path: Path, method: str, persistent: bool, workers: int
) -> None:
    found = train(url, tmp_path / "remote", method, persistent, workers)
    assert found == train(str(ntu.store), tmp_path / "local", "fork", persistent, workers)
    assert len(found) > 5
    assert len(set(found)) == len(found)
