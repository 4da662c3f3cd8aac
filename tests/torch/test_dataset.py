"""``SkeletonDataset`` in PyTorch's DataLoader: all start methods, resuming, a training equal to one on the pickle."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters.samples.pickles import iter_kinetics_like, ntu_like
from skelstore.format import chunking
from skelstore.read import decompressed
from tests.support.contracts import write
from tests.support.exact import assert_exact

torch = pytest.importorskip("torch", reason="torch is not installed here: see `make mmaction-test`")
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from skelstore.torch import EpochSampler, SkeletonDataset  # noqa: E402

CLASSES = 60


def kinetics(count: int, seed: int) -> list[dict[str, Any]]:
    return [{**entry, "keypoint": keypoint} for entry, keypoint in iter_kinetics_like(count, seed)]


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return ntu_like(48, seed=2)


@pytest.fixture(scope="module")
def ntu(data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", 50_000)
        return write(tmp_path_factory.mktemp("ntu") / "ntu.zarr", data["annotations"], data["split"])


@pytest.fixture(scope="module")
def k400(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = kinetics(20, seed=3)
    return write(
        tmp_path_factory.mktemp("k400") / "k400.zarr", videos, {"train": [v["frame_dir"] for v in videos[:15]]}
    )


def assert_items(dataset: SkeletonDataset, expected: list[Any]) -> None:
    """Check that a data set equals a list, read item by item and in batches."""
    assert len(dataset) == len(expected)
    for i, item in enumerate(expected):
        assert_exact(dataset[i], item, f"item {i}")
        assert_exact(dataset[i - len(expected)], item, f"item {i} from the end")
    order = np.random.default_rng(0).integers(0, len(expected), 2 * len(expected)).tolist()
    assert_exact(dataset.__getitems__(order), [expected[i] for i in order])


def test_items_are_those_of_the_store(data: dict[str, Any], ntu: Path) -> None:
    train = set(data["split"]["xsub_train"])
    assert_items(SkeletonDataset(ntu), data["annotations"])
    assert_items(
        SkeletonDataset(str(ntu), split="xsub_train"), [a for a in data["annotations"] if a["frame_dir"] in train]
    )
    store = skelstore.open(ntu)
    assert_items(SkeletonDataset(store.at([3, 1])), [data["annotations"][i] for i in (3, 1)])
    assert_items(SkeletonDataset(store, transform=lambda a: a["label"]), [a["label"] for a in data["annotations"]])


def test_several_stores_are_concatenated(ntu: Path, k400: Path) -> None:
    first, second = skelstore.open(ntu).at(range(5)), skelstore.open(k400)
    dataset = SkeletonDataset([first, second, k400])
    assert_items(dataset, [*first, *second, *second])
    assert dataset.labels.tolist() == [item["label"] for item in [*first, *second, *second]]
    shards = dataset.shards
    assert np.all(np.diff(shards) >= 0)
    assert not set(shards[:5]) & set(shards[5:25])
    assert not set(shards[5:25]) & set(shards[25:])
    with pytest.raises(IndexError, match="45 videos, none at position 45"):
        dataset[45]
    assert len(SkeletonDataset([])) == 0
    with pytest.raises(TypeError, match=r"not of a skelstore\..*Decompressed"):
        SkeletonDataset([second.decompressed()])  # type: ignore[list-item]


@pytest.mark.parametrize("valid_ratio", [None, 0.0, 0.3])
@pytest.mark.parametrize("box_thr", [0.5, 0.9])
def test_items_of_kinetics(k400: Path, box_thr: float, valid_ratio: float | None) -> None:
    """As in upstream, box_thr has no effect unless valid_ratio filters."""
    threshold = box_thr if valid_ratio else None
    view = skelstore.open(k400).split("train").decompressed(box_thr=threshold, valid_ratio=valid_ratio, max_person=2)
    options: dict[str, Any] = {"split": "train", "box_thr": box_thr, "valid_ratio": valid_ratio}
    assert_items(SkeletonDataset(k400, decompress=True, max_person=2, **options), list(view))
    compressed = [dict(annotation) for annotation in view.store]
    if valid_ratio:
        for annotation in compressed:
            annotation["anno_inds"] = annotation["box_score"] >= box_thr
    assert_items(SkeletonDataset(k400, **options), compressed)


# --- frames chosen by a sampler ------------------------------------------------------------------------


@given(data=st.data(), decompress=st.booleans())
@settings(max_examples=150)
def test_sampled_frames_are_those_of_the_whole(ntu: Path, k400: Path, data: Any, decompress: bool) -> None:
    options: dict[str, Any] = {}
    if decompress:
        options = {"decompress": True, "max_person": data.draw(st.integers(0, 4))}
        if data.draw(st.booleans()):
            options |= {"valid_ratio": 0.1, "box_thr": 0.7}
    path = k400 if decompress else ntu
    whole = SkeletonDataset(path, **options)
    position = data.draw(st.integers(0, len(whole) - 1))
    expected = whole[position]
    total = expected["keypoint"].shape[1]
    places = st.lists(st.integers(-total, total - 1), max_size=20)
    chosen = data.draw(st.one_of(places, places.map(np.array).map(lambda a: a.astype(np.int64)), st.slices(total)))
    asked = []

    def frames(number: int) -> Any:
        asked.append(number)
        return chosen

    # Small videos are read as a whole, unless they count as long ones.
    with mock.patch.object(decompressed, "SHORT_BYTES", data.draw(st.sampled_from([-1, decompressed.SHORT_BYTES]))):
        found = SkeletonDataset(path, frames=frames, **options)[position]
    assert asked == [total]
    cut = {name: expected[name][:, chosen] for name in ("keypoint", "keypoint_score")}
    assert_exact(found, expected | cut)


# --- in the DataLoader --------------------------------------------------------------------------------------


def as_tensors(annotation: dict[str, Any]) -> tuple[Any, int]:
    """32 frames of the first person, centred: the input of a small model."""
    keypoint = annotation["keypoint"]
    chosen = np.linspace(0, keypoint.shape[1] - 1, 32).astype(int)
    points = keypoint[0, chosen].astype(np.float32)
    points = (points - points.mean(axis=(0, 1))) / 200
    return torch.from_numpy(points).permute(2, 0, 1), annotation["label"]


class Pickled(Dataset):  # type: ignore[misc,type-arg,unused-ignore]
    """The same data set on the pickle, as PyTorch users write it."""

    def __init__(self, path: Path, split: str, transform: Callable[[dict[str, Any]], Any]) -> None:
        content = pickle.loads(path.read_bytes())
        names = set(content["split"][split])
        self.annotations = [a for a in content["annotations"] if a["frame_dir"] in names]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.annotations[index])


def batches(dataset: Any, epochs: int = 2, **options: Any) -> list[Any]:
    sampler = EpochSampler(dataset, seed=1, window=options.pop("window", 0))
    loader = DataLoader(dataset, batch_size=5, sampler=sampler, **options)
    found = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        found += list(loader)
    return found


def assert_same_batches(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected) > 0
    for (points, labels), (others, other_labels) in zip(found, expected, strict=True):
        assert torch.equal(points, others)
        assert torch.equal(labels, other_labels)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_an_epoch_report_that_the_store_was_replaced(tmp_path: Path, method: str) -> None:
    path = write(tmp_path / "a.zarr", kinetics(6, seed=1))
    dataset = SkeletonDataset(path)
    loader = DataLoader(dataset, batch_size=3, num_workers=1, multiprocessing_context=method, collate_fn=list)
    assert_exact([item for batch in loader for item in batch], list(dataset))
    with skelstore.Writer(path, force=True) as writer:
        for annotation in kinetics(9, seed=2):
            writer.add(annotation)
    with pytest.raises(skelstore.StoreError, match=r"(?s)a\.zarr was replaced .*: open it again"):
        list(loader)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_start_method(ntu: Path, method: str, persistent: bool) -> None:
    dataset = SkeletonDataset(ntu, transform=as_tensors)
    expected = batches(dataset)  # so that the parent has read before it starts its workers
    options = {"num_workers": 2, "multiprocessing_context": method, "persistent_workers": persistent}
    assert_same_batches(batches(dataset, **options), expected)


def test_windows_in_the_loader(ntu: Path) -> None:
    dataset = SkeletonDataset(ntu, transform=as_tensors)
    shards = dataset.shards
    assert len(set(shards.tolist())) > 4
    order = EpochSampler(dataset, seed=1, window=2).order()
    _, ranks = np.unique(shards, return_inverse=True)
    windows = (ranks[order] // 2).tolist()
    assert sum(a != b for a, b in pairwise(windows)) == len(set(windows)) - 1
    assert_same_batches(batches(dataset, window=2, num_workers=2), batches(dataset, window=2))


def test_a_pickled_data_set_is_small_and_reads_the_same(ntu: Path) -> None:
    dataset = SkeletonDataset([ntu, skelstore.open(ntu).split("xsub_val")], transform=as_tensors, class_prob={0: 2})
    text = pickle.dumps(dataset)
    assert len(text) < 5000
    again = pickle.loads(text)
    assert again.class_prob == {0: 2}
    assert all(torch.equal(again[i][0], dataset[i][0]) for i in range(len(dataset)))


def test_resumes_in_the_middle_of_an_epoch_with_workers(ntu: Path) -> None:
    dataset = SkeletonDataset(ntu, transform=as_tensors)
    expected = batches(dataset)
    sampler = EpochSampler(dataset, seed=1)
    loader = DataLoader(dataset, batch_size=5, sampler=sampler, num_workers=2)
    iterator = iter(loader)
    first = [next(iterator) for _ in range(3)]
    state = sampler.state_dict(taken=3 * 5)
    assert sampler.state_dict()["taken"] > 15  # the workers are ahead
    del iterator

    resumed = EpochSampler(dataset, seed=1)
    resumed.load_state_dict(state)
    loader = DataLoader(dataset, batch_size=5, sampler=resumed, num_workers=2)
    rest = []
    for epoch in range(state["epoch"], 2):
        resumed.set_epoch(epoch)
        rest += list(loader)
    assert_same_batches(first + rest, expected)


# --- a training ---------------------------------------------------------------------------------------------


class SmallSTGCN(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
    """Two blocks of graph and temporal convolution, after ST-GCN (Yan et al., 2018), on COCO's 17 joints."""

    BONES = ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9))
    BONES += ((8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))

    def __init__(self) -> None:
        super().__init__()
        graph = torch.eye(17)
        for a, b in self.BONES:
            graph[a, b] = graph[b, a] = 1
        self.register_buffer("graph", graph / graph.sum(0))
        self.spatial = torch.nn.ModuleList([torch.nn.Conv2d(2, 16, 1), torch.nn.Conv2d(16, 32, 1)])
        self.temporal = torch.nn.ModuleList([torch.nn.Conv2d(n, n, (9, 1), (2, 1), (4, 0)) for n in (16, 32)])
        self.norm = torch.nn.ModuleList([torch.nn.BatchNorm2d(n) for n in (16, 32)])
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(32, CLASSES)

    def forward(self, x: Any) -> Any:
        for spatial, temporal, norm in zip(self.spatial, self.temporal, self.norm, strict=True):
            x = torch.einsum("nctv,vw->nctw", spatial(x), self.graph)
            x = self.dropout(torch.relu(norm(temporal(x))))
        return self.head(x.mean(dim=(2, 3)))


def losses(dataset: Any, workers: int, epochs: int = 4) -> list[float]:
    """Train, and return the loss of every step."""
    torch.manual_seed(0)
    model = SmallSTGCN()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sampler = EpochSampler(dataset, seed=3)
    # Its own generator: otherwise the loader draws seeds from that of the dropout.
    options = {"num_workers": workers, "persistent_workers": workers > 0, "generator": torch.Generator()}
    loader = DataLoader(dataset, batch_size=8, sampler=sampler, **options)
    found = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for points, labels in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(points), labels)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return found


def test_a_training_has_the_same_losses_as_on_the_pickle(data: dict[str, Any], ntu: Path, tmp_path: Path) -> None:
    path = tmp_path / "ntu.pkl"
    path.write_bytes(pickle.dumps(data, protocol=4))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = losses(Pickled(path, "xsub_train", as_tensors), workers=0)
        store = SkeletonDataset(ntu, split="xsub_train", transform=as_tensors)
        found = {workers: losses(store, workers) for workers in (0, 2)}
        piped = losses(Pickled(path, "xsub_train", as_tensors), workers=2)
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[2] == expected == piped
    assert len(expected) > 8
    assert np.mean(expected[-3:]) < np.mean(expected[:3])  # it learns


# --- misuse ------------------------------------------------------------------------------------------------


def test_misuse_is_reported(ntu: Path, tmp_path: Path) -> None:
    with pytest.raises(skelstore.SplitNotFoundError, match="there are 'xsub_train', 'xsub_val'"):
        SkeletonDataset(ntu, split="training")
    with pytest.raises(skelstore.FieldNotFoundError, match=r"no valid\[0.5\], which valid_ratio=0.3 with box_thr=0.5"):
        SkeletonDataset(ntu, valid_ratio=0.3, box_thr=0.5)
    videos = [
        {"frame_dir": "a", "label": [1], "total_frames": 3, "valid": {0.5: 3}, "keypoint": np.zeros((1, 3, 5, 2))}
    ]
    store = write(tmp_path / "s.zarr", videos)
    with pytest.raises(skelstore.FieldNotFoundError, match=r"have no box_score, which valid_ratio=0\.3"):
        SkeletonDataset(store, valid_ratio=0.3, box_thr=0.5)
    with pytest.raises(skelstore.FieldNotFoundError, match=r"position 0 has the label \[1\]; expected an integer"):
        EpochSampler(SkeletonDataset(store, class_prob=[1, 2]))
    with pytest.raises(skelstore.StoreNotFoundError):
        SkeletonDataset(os.fspath(tmp_path / "nothing.zarr"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_by_itself_in_a_dataloader(ntu: Path, data: dict[str, Any], workers: int) -> None:
    with skelstore.open(ntu) as store:
        loader = DataLoader(store, batch_size=4, collate_fn=list, num_workers=workers)
        batches = list(loader)
    assert [len(batch) for batch in batches] == [4] * 12
    assert_exact([one for batch in batches for one in batch], data["annotations"])
