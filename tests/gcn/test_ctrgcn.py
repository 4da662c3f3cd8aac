"""``skelstore.gcn.Feeder`` compared with CTR-GCN's own, on a checkout of CTR-GCN.

Set CTRGCN_CHECKOUT to a checkout: see `make gcn-test`. Nothing of CTR-GCN is in this repository.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.gcn.checkouts import OlderNumpy, checkout, feeders
from tests.support.gcn_data import generated_clips, write_npz, write_store
from tests.support.repository import REPOSITORY

CHECKOUT = checkout("CTRGCN_CHECKOUT", "feeders/feeder_ntu.py")
torch = pytest.importorskip("torch", reason="torch is not installed here: see `make gcn-test`")
pytest.importorskip("matplotlib", reason="matplotlib, which CTR-GCN imports, is not installed here")

from skelstore.gcn import Feeder  # noqa: E402

FRAMES = 130


class Data(NamedTuple):
    npz: Path
    store: Path
    train: list[dict[str, Any]]
    test: list[dict[str, Any]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("ctrgcn")
    clips = [clip for clip in generated_clips(64, seed=1, longest=FRAMES) if len(clip["keypoint"])]
    train, test = clips[:40], clips[40:]
    npz = write_npz(folder / "NTU60_CS.npz", train, test, FRAMES)
    return Data(npz, write_store(folder / "ntu60.zarr", train, test), train, test)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    with feeders(CHECKOUT, "feeder_ntu", "tools", "bone_pairs") as (feeder, tools, _):
        tools.np = OlderNumpy()
        yield feeder.Feeder


def seeded(dataset: Any, index: int) -> Any:
    """An item, and the next number of every generator after it."""
    random.seed(index)
    np.random.seed(index)
    torch.manual_seed(index)
    item = dataset[index]
    return item, (random.random(), np.random.rand(), torch.rand(1).item())


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("switches", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize(
    ("window_size", "p_interval"),
    [(64, [0.5, 1]), (64, [0.95]), (20, [1.0]), (1, [0.3]), (150, [0.2, 0.4]), (52, (0.5, 1, 7))],
)
def test_items_are_those_of_the_feeder(
    data: Data, upstream: Any, window_size: int, p_interval: Any, switches: tuple[bool, ...], split: str
) -> None:
    arguments: dict[str, Any] = {"split": split, "window_size": window_size, "p_interval": p_interval}
    arguments.update(zip(("random_rot", "bone", "vel"), switches, strict=True))
    theirs, ours = upstream(str(data.npz), **arguments), Feeder(str(data.store), **arguments)
    assert len(ours) == len(theirs) > 0
    for index in range(len(theirs)):
        (expected, label, number), after = seeded(theirs, index)
        (found, our_label, our_number), our_after = seeded(ours, index)
        assert type(found) is type(expected)
        assert found.dtype == expected.dtype
        assert np.array_equal(np.asarray(found), np.asarray(expected)), index
        assert (our_label, our_number, our_after) == (label, number, after)
        assert type(our_label) is type(label)


def test_arguments_that_change_no_item(data: Data, upstream: Any) -> None:
    switches = ("random_choose", "random_shift", "random_move", "normalization", "debug", "use_mmap")
    arguments = {"window_size": 64, "p_interval": [0.5, 1], **dict.fromkeys(switches, True), "label_path": "nowhere"}
    theirs, ours = upstream(str(data.npz), **arguments), Feeder(str(data.store), **arguments)
    for index in range(len(theirs)):
        (expected, *_), after = seeded(theirs, index)
        (found, *_), our_after = seeded(ours, index)
        assert np.array_equal(found, expected)
        assert after == our_after


def test_what_main_uses(data: Data, upstream: Any) -> None:
    for split in ("train", "test"):
        theirs, ours = upstream(str(data.npz), split=split), Feeder(str(data.store), split=split)
        assert ours.sample_name == theirs.sample_name
        assert ours.label.dtype == theirs.label.dtype
        assert ours.label.tolist() == theirs.label.tolist()
        score = np.random.default_rng(0).random((len(theirs), 60)).round(1)
        assert [ours.top_k(score, k) for k in (1, 5, 60)] == [theirs.top_k(score, k) for k in (1, 5, 60)]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_the_loader(data: Data, upstream: Any, workers: int) -> None:
    """As main.py loads them: shuffled, workers seeded by their number."""
    batches = []
    for feeder, path in ((upstream, data.npz), (Feeder, data.store)):
        arguments = {"window_size": 64, "p_interval": [0.5, 1], "random_rot": True}
        torch.manual_seed(3)
        np.random.seed(3)
        loader = torch.utils.data.DataLoader(
            feeder(str(path), **arguments),
            batch_size=8,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            worker_init_fn=np.random.seed,
        )
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == len(data.train) // 8
    for theirs, ours in zip(*batches, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(theirs, ours, strict=True))


def losses(folder: Path, feeder: str, data_path: Path) -> dict[str, list[float]]:
    """Train one epoch by CTR-GCN's main.py in a folder of its own; return what it reports to tensorboard."""
    common = {"data_path": str(data_path), "window_size": 32, "debug": False}
    config = {
        "work_dir": str(folder / "work"),
        "feeder": feeder,
        "train_feeder_args": {**common, "split": "train", "random_rot": True, "p_interval": [0.5, 1]},
        "test_feeder_args": {**common, "split": "test", "p_interval": [0.95]},
        "model": "model.ctrgcn.Model",
        "model_args": {
            "num_class": 60,
            "num_point": 25,
            "num_person": 2,
            "graph": "graph.ntu_rgb_d.Graph",
            "graph_args": {"labeling_mode": "spatial"},
        },
        "batch_size": 8,
        "test_batch_size": 8,
        "num_worker": 2,
        "num_epoch": 1,
        "save_epoch": 0,
        "nesterov": True,
    }
    folder.mkdir()
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    run = [sys.executable, "-m", "tests.gcn.train", CHECKOUT, folder / "config.yaml", folder / "losses.json"]
    done = subprocess.run(
        list(map(str, run)),
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[float]] = json.loads((folder / "losses.json").read_text())
    return found


def test_main_trains_to_the_same_losses(data: Data, tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML, which CTR-GCN imports, is not installed here")
    # All of one class, since main.py fails if no clip of an epoch is recognised.
    train, test = ([{**clip, "label": 7} for clip in clips] for clips in (data.train, data.test))
    npz = write_npz(tmp_path / "NTU60_CS.npz", train, test, FRAMES)
    store = write_store(tmp_path / "ntu60.zarr", train, test)
    theirs = losses(tmp_path / "npz", "feeders.feeder_ntu.Feeder", npz)
    ours = losses(tmp_path / "store", "skelstore.gcn.Feeder", store)
    assert ours == theirs
    assert len(theirs["train/loss"]) == len(train) // 8
    assert len(set(theirs["train/loss"])) > 1
    assert np.isfinite(theirs["val/loss"]).all()
