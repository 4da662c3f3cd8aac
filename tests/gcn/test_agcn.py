"""``skelstore.gcn.AgcnFeeder`` compared with 2s-AGCN's feeder, on a checkout of 2s-AGCN.

Set AGCN_CHECKOUT to a checkout: see `make gcn-test`. Nothing of 2s-AGCN is in this repository.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.gcn.checkouts import checkout, feeders
from tests.support.gcn_data import generated_clips, write_npy, write_store

CHECKOUT = checkout("AGCN_CHECKOUT", "feeders/feeder.py")
torch = pytest.importorskip("torch", reason="torch is not installed here: see `make gcn-test`")

from skelstore.gcn import AgcnFeeder  # noqa: E402

FRAMES = 70


class Data(NamedTuple):
    npy: Path
    pkl: Path
    store: Path


@pytest.fixture(scope="module", params=[(25, 3), (18, 3)], ids=["ntu", "kinetics"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Clips of NTU, and clips of Kinetics-Skeleton, whose third channel is the score."""
    joints, channels = request.param
    folder = tmp_path_factory.mktemp("agcn")
    clips = generated_clips(120, seed=2, longest=FRAMES, joints=joints, channels=channels)
    files = write_npy(folder / "train_data.npy", clips, FRAMES)
    stored = clips if joints == 25 else [with_score(clip) for clip in clips]
    return Data(*files, write_store(folder / "store.zarr", stored, []))


def with_score(clip: dict[str, Any]) -> dict[str, Any]:
    """The third channel as keypoint_score."""
    keypoint = clip["keypoint"]
    return {**clip, "keypoint": keypoint[..., :2].copy(), "keypoint_score": keypoint[..., 2].copy()}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    with feeders(CHECKOUT, "feeder") as (feeder,):
        yield feeder.Feeder


def seeded(dataset: Any, index: int) -> Any:
    """An item, and the next number of every generator after it."""
    random.seed(index)
    np.random.seed(index)
    item = dataset[index]
    return item, (random.random(), np.random.rand())


SWITCHES = ("random_choose", "random_shift", "random_move", "normalization", "debug")


@pytest.mark.parametrize("window_size", [-1, 40, FRAMES, 100])
def test_items_are_those_of_the_feeder(data: Data, upstream: Any, window_size: int) -> None:
    for values in itertools.product([False, True], repeat=len(SWITCHES)):
        arguments = {**dict(zip(SWITCHES, values, strict=True)), "window_size": window_size}
        if arguments["random_choose"] and window_size < 0:
            continue  # upstream crops to frames that do not exist
        theirs = upstream(str(data.npy), str(data.pkl), **arguments)
        ours = AgcnFeeder(str(data.store), "train", **arguments)
        assert len(ours) == len(theirs) == (100 if arguments["debug"] else 120)
        if arguments["normalization"]:
            assert np.array_equal(ours.mean_map, theirs.mean_map)
            assert np.array_equal(ours.std_map, theirs.std_map)
            assert ours.std_map.dtype == theirs.std_map.dtype
        for index in range(0, len(theirs), 5):
            (expected, label, number), after = seeded(theirs, index)
            (found, our_label, our_number), our_after = seeded(ours, index)
            assert found.dtype == expected.dtype, arguments
            assert np.array_equal(found, expected), (arguments, index, abs(found - expected).max())
            assert (our_label, our_number, our_after) == (label, number, after)
            assert type(our_label) is type(label)


def test_what_main_uses(data: Data, upstream: Any) -> None:
    theirs, ours = upstream(str(data.npy), str(data.pkl)), AgcnFeeder(str(data.store), "train")
    assert ours.sample_name == theirs.sample_name
    assert ours.label == theirs.label
    score = np.random.default_rng(0).random((len(theirs), 60)).round(1)
    assert [ours.top_k(score, k) for k in (1, 5, 60)] == [theirs.top_k(score, k) for k in (1, 5, 60)]


def test_main_imports_it() -> None:
    """As 2s-AGCN's main.py does: the first part of the name by import, the others as attributes."""
    found: Any = __import__("skelstore")
    for part in ("gcn", "AgcnFeeder"):
        found = getattr(found, part)
    assert found is AgcnFeeder
