"""The feeders of the GCN code bases on a store, against a slow reference; their own code is tried in tests/gcn."""

from __future__ import annotations

import inspect
import multiprocessing
import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters.bench import fresh
from tests.support.contracts import write
from tests.support.gcn_data import generated_clips, names, write_store
from tests.support.gcn_reference import agcn_item, ctrgcn_item, padded_clip, statistics_of

torch = pytest.importorskip("torch", reason="torch is not installed here: see `make gcn-test`")
from torch.utils.data import DataLoader  # noqa: E402

from skelstore.gcn import AgcnFeeder, Feeder  # noqa: E402

FRAMES = 80


@pytest.fixture(scope="module")
def clips() -> list[dict[str, Any]]:
    """In the order of the split."""
    return generated_clips(24, seed=5, longest=FRAMES)


@pytest.fixture(scope="module")
def store(clips: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("gcn") / "a.zarr", clips, [])


def seeded(seed: int, call: Callable[[], Any]) -> tuple[Any, Any]:
    """What a call returns, and the next number of every generator after it."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return call(), (random.random(), np.random.rand(), torch.rand(1).item())


def three_angles() -> list[float]:
    drawn: list[float] = torch.empty(3).uniform_(-0.3, 0.3).tolist()
    return drawn


SHARES = st.one_of(
    st.lists(st.sampled_from([0.1, 0.5, 0.8, 0.95, 1.0]), min_size=1, max_size=2),
    st.tuples(st.floats(0.2, 1), st.floats(0.2, 1)),
)


@given(
    index=st.integers(-24, 23),
    seed=st.integers(0, 2**32 - 1),
    p_interval=SHARES,
    window_size=st.sampled_from([1, 16, 64]),
    switches=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@settings(max_examples=60)
def test_items_of_feeder(
    clips: list[dict[str, Any]],
    store: Path,
    index: int,
    seed: int,
    p_interval: Any,
    window_size: int,
    switches: tuple[bool, bool, bool],
) -> None:
    rotate, bone, vel = switches
    options: dict[str, Any] = {"p_interval": p_interval, "window_size": window_size, "bone": bone, "vel": vel}
    feeder = Feeder(str(store), random_rot=rotate, **options)
    clip = padded_clip(clips[index], FRAMES)
    if not len(clips[index]["keypoint"]):
        with pytest.raises(skelstore.EmptyVideoError, match=f"'{clips[index]['frame_dir']}' at position .* no frame"):
            feeder[index]
        return
    angles = three_angles if rotate else None
    expected, after = seeded(seed, lambda: ctrgcn_item(clip, angles=angles, **options))
    (data, label, number), then = seeded(seed, lambda: feeder[index])
    assert then == after
    assert isinstance(data, torch.Tensor if rotate and not bone else np.ndarray)
    data = np.asarray(data)
    assert (data.dtype, data.shape) == (np.float32, (3, window_size, 25, 2))
    assert np.allclose(data, expected, atol=2e-5)
    assert (label, number) == (clips[index]["label"], index)
    assert type(label) is np.int64


@given(
    index=st.integers(-24, 23),
    seed=st.integers(0, 2**32 - 1),
    window_size=st.sampled_from([-1, 50, FRAMES, 100]),
    steps=st.sets(st.sampled_from(["random_shift", "random_choose", "random_move"])),
)
@settings(max_examples=40)
def test_items_of_agcn_feeder(
    clips: list[dict[str, Any]], store: Path, index: int, seed: int, window_size: int, steps: set[str]
) -> None:
    options = dict.fromkeys(steps - ({"random_choose"} if window_size < 0 else set()), True)
    feeder = AgcnFeeder(str(store), "train", window_size=window_size, **options)
    clip = padded_clip(clips[index], FRAMES)
    expected, after = seeded(seed, lambda: agcn_item(clip, window_size=window_size, **options))
    (data, label, number), then = seeded(seed, lambda: feeder[index])
    assert then == after
    assert data.dtype == (np.float64 if "random_shift" in options or window_size > FRAMES else np.float32)
    assert np.allclose(data, expected, rtol=1e-5, atol=2e-5)
    assert (label, number) == (clips[index]["label"], index)
    assert type(label) is int


def test_normalised_items(clips: list[dict[str, Any]], store: Path) -> None:
    feeder = AgcnFeeder(str(store), "train", normalization=True)
    rows = [padded_clip(clip, FRAMES) for clip in clips]
    known = statistics_of(rows)
    for index in (0, 7, 23):
        assert np.allclose(feeder[index][0], agcn_item(rows[index], statistics=known), atol=1e-4)
    assert feeder.mean_map.shape == feeder.std_map.shape == (3, 1, 25, 1)


def test_what_trainings_use(clips: list[dict[str, Any]], store: Path) -> None:
    labels = [clip["label"] for clip in clips]
    feeder, agcn = Feeder(store), AgcnFeeder(store, "train")
    assert feeder.label.tolist() == agcn.label == labels
    assert feeder.sample_name == [f"train_{i}" for i in range(24)]
    assert agcn.sample_name == names(clips)
    assert len(feeder) == len(agcn) == 24
    score = np.random.default_rng(0).random((24, 60))
    hits = [
        sum(label in sorted(range(60), key=row.__getitem__)[-k:] for row, label in zip(score, labels, strict=True))
        for k in (1, 5, 60)
    ]
    assert [feeder.top_k(score, k) for k in (1, 5, 60)] == [hit / 24 for hit in hits]
    assert agcn.top_k(score, 5) == hits[1] / 24


def test_debug_keeps_the_first_clips(tmp_path: Path) -> None:
    clips = generated_clips(105, seed=6, longest=5)
    feeder = AgcnFeeder(write_store(tmp_path / "a.zarr", clips, []), "train", debug=True)
    assert feeder.sample_name == names(clips)[:100]
    assert len(feeder) == len(feeder.label) == 100
    with pytest.raises(IndexError):
        feeder[100]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_loader_reads_the_same_with_workers(store: Path, method: str) -> None:
    whole = AgcnFeeder(store, "train")
    options: dict[str, Any] = {"num_workers": 2, "multiprocessing_context": method}
    batches = list(DataLoader(whole, batch_size=5, **options))
    assert torch.equal(torch.cat([data for data, *_ in batches]), torch.stack([torch.tensor(d) for d, *_ in whole]))
    assert torch.cat([label for _, label, _ in batches]).tolist() == whole.label
    assert torch.cat([index for *_, index in batches]).tolist() == list(range(24))


def test_a_pickled_feeder_is_small(store: Path) -> None:
    feeder = Feeder(store, window_size=16, p_interval=[0.95])
    data = pickle.dumps(feeder)
    assert len(data) < 3000
    assert np.array_equal(pickle.loads(data)[3][0], feeder[3][0])


def test_misuse_is_reported(store: Path, tmp_path: Path) -> None:
    with pytest.raises(skelstore.SplitNotFoundError, match=r"no split 'trian'; there are 'train', 'test'.*'train'"):
        Feeder(store, split="trian")
    with pytest.raises(skelstore.SplitNotFoundError, match=r"no split 'data/train_label\.pkl'"):
        AgcnFeeder(store, "data/train_label.pkl")
    with pytest.raises(ValueError, match="window_size is -1"):
        Feeder(store, p_interval=[1.0])[0]
    with pytest.raises(ValueError, match="p_interval is 1; expected a list"):
        Feeder(store, window_size=64)[0]
    video = {"frame_dir": "v", "label": 0, "keypoint": np.ones((1, 2, 17, 2), np.float32)}
    options: dict[str, Any] = {"split": "all", "window_size": 8, "p_interval": [1.0]}
    path = write(tmp_path / "a.zarr", [video], {"all": ["v"]})
    assert Feeder(path, **options)[0][0].shape == (2, 8, 17, 2)
    with pytest.raises(skelstore.EmptyVideoError, match=r"or p_interval=\[0\.0\] leaves none"):
        Feeder(path, split="all", window_size=8, p_interval=[0.0])[0]
    with pytest.raises(skelstore.JointLayoutError, match="has 17 joints; bone=True"):
        Feeder(path, bone=True, **options)[0]
    with pytest.raises(skelstore.JointLayoutError, match="has 2 channels; random_rot=True"):
        Feeder(path, random_rot=True, **options)[0]
    del video["label"]
    path = write(tmp_path / "b.zarr", [video], {"all": ["v"]})
    with pytest.raises(skelstore.FieldNotFoundError, match="has no label"):
        Feeder(path, **options)


def test_signatures_are_those_of_upstream() -> None:
    """feeders/feeder_ntu.py of CTR-GCN and feeders/feeder.py of 2s-AGCN, whose configs give arguments by name."""
    defaults = {
        kind: {
            name: parameter.default
            for name, parameter in inspect.signature(kind).parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }
        for kind in (Feeder, AgcnFeeder)
    }
    off = ("random_choose", "random_shift", "random_move")
    assert list(defaults[Feeder].items()) == [
        ("label_path", None),
        ("p_interval", 1),
        ("split", "train"),
        *((name, False) for name in (*off, "random_rot")),
        ("window_size", -1),
        *((name, False) for name in ("normalization", "debug", "use_mmap", "bone", "vel")),
    ]
    assert list(inspect.signature(AgcnFeeder).parameters)[:2] == ["data_path", "label_path"]
    assert list(defaults[AgcnFeeder].items()) == [
        *((name, False) for name in off),
        ("window_size", -1),
        ("normalization", False),
        ("debug", False),
        ("use_mmap", True),
    ]


def test_a_name_in_a_config_leads_to_it() -> None:
    """2s-AGCN's import_class imports the first part of the name, and looks the others up as attributes."""
    found: Any = __import__("skelstore")
    for part in ("gcn", "AgcnFeeder"):
        found = getattr(found, part)
    assert found is AgcnFeeder


# --- memory -------------------------------------------------------------------------------------------------

CLIPS = 700
"""Of 300 frames and two persons: 126 MB in the array, and 100 MB in the store, which noise does not let shrink."""
WORKERS = 8
WORKERS_MB = 96
"""Of all workers, beyond those of a data set without data: a tenth of an array of 1 GB. It does not grow with data."""


class Nothing:
    """A data set without data."""

    def __len__(self) -> int:
        return CLIPS

    def __getitem__(self, index: int) -> Any:
        return np.zeros((3, 64, 25, 2), np.float32), 0, index


class Mapped(Feeder):
    """The case that must not happen: every page of the store in the workers' memory."""

    def __getitem__(self, index: int) -> Any:
        self._clips.store = getattr(self, "mapped", None) or skelstore.open(self.data_path)
        self.mapped = self._clips.store
        return super().__getitem__(index)


def memory_of_workers(kind: str, path: str) -> dict[str, float]:
    """The memory of the workers of a loader after an epoch: the sum of what the system counts for each (PSS), in MB."""
    options: dict[str, Any] = {"window_size": 64, "p_interval": [0.5, 1]}
    dataset: Any = Nothing() if kind == "nothing" else {"store": Feeder, "mapped": Mapped}[kind](path, **options)
    loader = DataLoader(dataset, batch_size=16, num_workers=WORKERS, persistent_workers=True)
    clips = sum(len(label) for _, label, _ in loader)
    shares = [
        int(line.split()[1]) / 1e3
        for process in multiprocessing.active_children()
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    ]
    return {"clips": clips, "workers": len(shares), "MB": sum(shares)}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PSS is read from /proc")
def test_workers_hold_a_small_part_of_the_array(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (2, 2 * CLIPS + 300, 25, 3)).astype(np.float32)
    rows = [noise[:, 2 * i : 2 * i + 300] for i in range(CLIPS)]
    videos = [{"frame_dir": f"v{i}", "label": 0, "keypoint": row} for i, row in enumerate(rows)]
    path = write(tmp_path / "a.zarr", videos, {"train": names(videos)})
    found = {kind: fresh.run(memory_of_workers, kind=kind, path=path) for kind in ("nothing", "store", "mapped")}
    assert {(each["clips"], each["workers"]) for each in found.values()} == {(CLIPS, WORKERS)}
    assert found["store"]["MB"] - found["nothing"]["MB"] < WORKERS_MB, found
    assert found["mapped"]["MB"] - found["nothing"]["MB"] > WORKERS_MB, "the measure detects a store in memory"
