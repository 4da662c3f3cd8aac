"""PickleFile as an object: its parts in any order, from several processes, and its error messages."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import pickle
import random
import re
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.pickles import index, memo, spans
from converters.pickles.evaluation import Evaluation
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from tests.support import hostile_pickles
from tests.support.exact import assert_exact
from tests.support.reading_pickles import check_plain
from tests.support.repository import REPOSITORY

PROTOCOLS = range(6)


def annotations(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Annotations as in PYSKL, which share the same values as there."""
    chance = np.random.default_rng(seed)
    shape = (1080, 1920)
    return [
        {
            "frame_dir": f"S{i:05}",
            "label": i % 60,
            "img_shape": shape,
            "original_shape": shape,
            "total_frames": 3,
            "keypoint": chance.random((1, 3, 17, 2)).astype("f2"),
            "keypoint_score": chance.random((1, 3, 17)).astype("f2"),
        }
        for i in range(count)
    ]


def splits_of(listed: list[dict[str, Any]]) -> dict[str, list[str]]:
    names = [annotation["frame_dir"] for annotation in listed]
    return {"train": names[::2], "test": names[1::2]}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., PickleFile]]:
    """A function that opens a value, or the bytes of a pickle, as a PickleFile."""
    files: list[PickleFile] = []

    def opening(value: Any, protocol: int = 4) -> PickleFile:
        path = tmp_path / f"{len(files)}.pkl"
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
        files.append(PickleFile(path))
        return files[-1]

    yield opening
    for file in files:
        file.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("order", ["split first", "annotations first"])
def test_a_dataset_in_any_order_of_reading(opened: Callable[..., PickleFile], protocol: int, order: str) -> None:
    """2,500 elements, because picklers write 1,000 at a time. The splits share names with the annotations."""
    listed = annotations(2500)
    value: dict[str, Any] = {"split": splits_of(listed), "annotations": listed}
    if order == "annotations first":
        value = {"annotations": listed, "split": value["split"]}
    pickled = opened(value, protocol)
    assert pickled.root_kind == "dict"
    assert pickled.keys == list(value)
    assert pickled.elements() is None
    assert pickled.elements("split") is None
    assert pickled.elements("annotations") == 2500
    numbers = [*range(0, 2500, 97), 998, 999, 1000, 1001, 1999, 2000, 2499]
    random.Random(protocol).shuffle(numbers)
    for i in numbers:
        assert_exact(pickled.element(i, "annotations"), listed[i])
    assert_exact(pickled.value("split"), value["split"])
    assert_exact(pickled.value("annotations"), listed)
    assert_exact(pickled.root(), value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000])
def test_a_dict_or_a_list_of_any_length(opened: Callable[..., PickleFile], protocol: int, count: int) -> None:
    """The pickle module in C writes an empty batch after 1,000 items of a dict, and after 2,000."""
    videos = {f"v{i}": {"keypoint": [i]} for i in range(count)}
    pickled = opened(videos, protocol)
    assert pickled.root_kind == "dict"
    assert pickled.keys == list(videos)
    for key in [*videos][-1:]:
        assert_exact(pickled.value(key), videos[key])
    listed = opened([*videos.values()], protocol)
    assert listed.root_kind == "list"
    assert listed.elements() == count
    if count:
        assert_exact(listed.element(count - 1), {"keypoint": [count - 1]})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_bare_list(opened: Callable[..., PickleFile], protocol: int) -> None:
    listed = annotations(1001)
    pickled = opened(listed, protocol)
    assert pickled.root_kind == "list"
    assert pickled.keys == []
    assert pickled.elements() == 1001
    for i in (1000, 0, 999, 500):
        assert_exact(pickled.element(i), listed[i])
    with pytest.raises(KeyError, match="annotations"):
        pickled.elements("annotations")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_annotations_that_are_one_object(opened: Callable[..., PickleFile], protocol: int) -> None:
    first, second = annotations(2)
    value = {"annotations": [first, second, first, second, first], "best": first, "same": second["keypoint"]}
    pickled = opened(value, protocol)
    for i in (4, 2, 3, 0, 1):
        assert_exact(pickled.element(i, "annotations"), value["annotations"][i])
    assert_exact(pickled.value("best"), first)
    assert_exact(pickled.value("same"), second["keypoint"])


def test_readings_share_no_mutable_values(opened: Callable[..., PickleFile]) -> None:
    shared: dict[str, Any] = {"valid": {0.5: 1.0}, "list": [1]}
    value = {"annotations": [{"a": shared}, {"a": shared, "b": shared}, ([1], shared)]}
    first, second = opened(value), opened(value)  # the first element with it is read first, or not
    for pickled, i in [*product([first], (1, 0, 2, 1, 0, 2)), *product([second], (0, 1, 2, 0, 1, 2))]:
        found: Any = pickled.element(i, "annotations")
        part = found[1] if i == 2 else found["a"]
        assert_exact(part, shared)
        part["list"].append(2)
        part["valid"].clear()
        if i == 1:
            assert found["a"] is found["b"], "a value that an element has twice is one object, as in the pickle"


def test_a_list_under_two_keys(opened: Callable[..., PickleFile]) -> None:
    listed = annotations(1200)
    for protocol in PROTOCOLS:
        pickled = opened({"train": listed, "test": listed, "nested": [listed]}, protocol)
        assert pickled.elements("test") == 1200
        assert_exact(pickled.element(1100, "test"), listed[1100])
        assert_exact(pickled.value("test"), listed)
        assert_exact(pickled.element(0, "nested"), listed)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_kpfile(opened: Callable[..., PickleFile], protocol: int) -> None:
    """A dict of over 1,000 dicts by name, as PYSKL stores Kinetics."""
    value = {annotation.pop("frame_dir"): annotation for annotation in annotations(1003)}
    pickled = opened(value, protocol)
    assert pickled.keys == list(value)
    for name in ("S01002", "S00000", "S00999", "S01000"):
        assert_exact(pickled.value(name), value[name])
        assert pickled.elements(name) is None


def test_a_table_of_contents(opened: Callable[..., PickleFile]) -> None:
    listed = [
        {"frame_dir": f"v{i}", "label": i, "raw_file": f"kpfiles/{i % 7}.pkl", "valid": {0.5: 1.0, 0.9: i / 300}}
        | {"box_score": np.ones(i % 5, "f2"), "img_shape": (340, 450)}
        for i in range(300)
    ]
    pickled = opened({"split": splits_of(listed), "annotations": listed}, 2)
    assert_exact([pickled.element(i, "annotations") for i in range(300)], listed)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_short_and_odd_roots(opened: Callable[..., PickleFile], protocol: int) -> None:
    for value in ({}, [], {"a": []}, {"a": [], "b": {}}, [[]], [{}], {"a": [1]}, {None: [2, 3]}, {1: [4], "1": 5}):
        pickled = opened(value, protocol)
        assert pickled.root_kind == type(value).__name__
        assert_exact(pickled.root(), value)
        if isinstance(value, list):
            assert pickled.elements() == len(value)
            assert pickled.element_sizes().shape == (len(value),)
        else:
            for key, item in value.items():
                assert_exact(pickled.value(key), item)
                assert pickled.elements(key) == (len(item) if isinstance(item, list) else None)
    for value in (None, 1, "a", (1, [2]), np.zeros(3), (annotations(2),)):
        pickled = opened(value, protocol)
        assert pickled.root_kind == "other"
        assert pickled.elements() is None
        assert_exact(pickled.root(), value)


def test_lists_that_only_look_like_values_of_the_dict(opened: Callable[..., PickleFile]) -> None:
    """They begin where a value may begin and become part of one."""
    pickled = opened({"a": ([1, 2],), "b": ([3],), "c": [[5, 6], 7], "d": {"e": [8]}})
    assert [pickled.elements(key) for key in "abcd"] == [None, None, 2, None]
    assert_exact(pickled.element(0, "c"), [5, 6])


def test_lists_and_dicts_that_are_filled_when_they_are_made(opened: Callable[..., PickleFile]) -> None:
    """No Python writes this, but other programs do: LIST and DICT with items, followed by more items."""
    data = b"(S'a'\n(I1\nI2\nlI3\naS'b'\n(I4\nlp0\nd(S'c'\ng0\nu."
    pickled = opened(data)
    assert pickled.keys == ["a", "b", "c"]
    assert pickled.elements("a") == 3
    assert [pickled.element(i, "a") for i in range(3)] == [1, 2, 3]
    assert [pickled.element(0, key) for key in "bc"] == [4, 4]
    assert_exact(pickled.root(), pickle.loads(data))
    pickled = opened(b"(I1\n(I2\nlI3\nlI4\na(I5\nI6\ne.")
    assert_exact([pickled.element(i) for i in range(pickled.elements() or 0)], [1, [2], 3, 4, 5, 6])


def test_memo_slots_out_of_sequence(opened: Callable[..., PickleFile]) -> None:
    data = b"\x80\x02}(U\x01aq\x07](U\x01bq\x03U\x01cr\xff\xff\xff\x7fh\x03h\x07j\xff\xff\xff\x7fe" + (
        b"U\x01dq\x00](h\x07h\x03j\xff\xff\xff\x7fh\x00eu."
    )
    pickled = opened(data)
    assert_exact(pickled.root(), {"a": ["b", "c", "b", "a", "c"], "d": ["a", "b", "c", "d"]})
    assert [pickled.element(i, "d") for i in range(4)] == ["a", "b", "c", "d"]
    assert [pickled.element(i, "a") for i in (4, 3, 2)] == ["c", "a", "b"]


class _Mixing(pickle._Pickler):  # type: ignore[misc,name-defined]
    """Puts values into the memo by number and in sequence, alternately."""

    chance = random.Random(4)

    def put(self, idx: int) -> bytes:
        ways = [pickle.MEMOIZE, pickle.LONG_BINPUT + struct.pack("<I", idx), pickle.PUT + b"%d\n" % idx]
        return self.chance.choice([*ways, pickle.BINPUT + bytes([idx])] if idx < 256 else ways)


@pytest.mark.parametrize("protocol", [4, 5])
def test_memo_slots_by_number_and_in_sequence(opened: Callable[..., PickleFile], protocol: int) -> None:
    written = io.BytesIO()
    value = {"split": splits_of(listed := annotations(90)), "annotations": listed}
    _Mixing(written, protocol).dump(value)
    pickled = opened(written.getvalue())
    assert_exact(pickled.root(), value)
    for i in (*range(0, 90, 7), 89):
        assert_exact(pickled.element(i, "annotations"), listed[i])
    assert_exact(pickled.value("split"), value["split"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("shared", ["name", "shape", "boxes", "array", "all"])
@pytest.mark.parametrize("last", [False, True])
def test_a_split_of_what_annotations_share(
    opened: Callable[..., PickleFile], protocol: int, shared: str, last: bool
) -> None:
    """The split is complete although it is read first and is after the annotations in the file."""
    listed: list[dict[str, Any]] = []
    for i in range(9):
        annotation = {"name": f"S{i:05}", "shape": (i, 1080), "boxes": [[i], (i, [])], "array": np.arange(i + 400)}
        listed.append(dict(reversed(annotation.items())) if last else annotation)
    keys = list(listed[0]) if shared == "all" else [shared]
    value = {"annotations": listed, "split": [annotation[key] for annotation in listed for key in keys]}
    value["again"] = value["split"][::-1]
    written = pickle.dumps(value, protocol)
    assert_exact(opened(written).value("split"), value["split"])
    pickled = opened(written)
    assert_exact(pickled.value("again"), value["again"])
    for i, annotation in enumerate(listed):
        assert_exact(pickled.element(i, "annotations"), annotation)
    assert_exact(opened(written).root(), value)


def test_a_split_costs_no_arrays(opened: Callable[..., PickleFile], monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [{"frame_dir": f"S{i:05}", "shape": (i, 2), "keypoint": np.zeros(20_000)} for i in range(50)]
    pickled = opened({"annotations": listed, "split": [annotation["frame_dir"] for annotation in listed]})
    read = []
    real_read = PickleFile._read
    monkeypatch.setattr(PickleFile, "_read", lambda *span: read.append(span[2] - span[1]) or real_read(*span))
    assert pickled.value("split") == [annotation["frame_dir"] for annotation in listed]
    assert 50 < len(read) < 55
    assert sum(read) < 500_000 < 8_000_000, "the beginnings of all but the last, which may end anywhere"


def test_sizes_of_elements(opened: Callable[..., PickleFile]) -> None:
    listed = [np.zeros(length, "u1") for length in (0, 1000, 50_000, 3)]
    for protocol in PROTOCOLS[3:]:
        sizes = opened({"annotations": listed}, protocol).element_sizes("annotations")
        assert sizes.dtype == np.int64
        assert all(0 <= size - array.nbytes < 400 for size, array in zip(sizes, listed, strict=True))
        assert list(opened(listed, protocol).element_sizes()) != []


def test_missing_keys_elements_and_files(opened: Callable[..., PickleFile]) -> None:
    pickled = opened({"annotations": [1, 2], "split": {}, "short": []})
    for call in (pickled.value, pickled.elements, pickled.element_sizes):
        with pytest.raises(KeyError, match="anno"):
            call("anno")
    for key, i in (("annotations", 2), ("annotations", -1), ("short", 0)):
        with pytest.raises(IndexError, match=str(i)):
            pickled.element(i, key)
    with pytest.raises(KeyError, match="not a list"):
        pickled.element(0, "split")
    with pytest.raises(KeyError, match="not a list"):
        pickled.element_sizes("split")
    with pytest.raises(KeyError, match="no dict"):
        opened([1]).value("annotations")
    with pytest.raises(KeyError):
        opened((1,)).element(0)
    with pytest.raises(FileNotFoundError):
        PickleFile(pickled.path.with_name("none.pkl"))
    with pytest.raises(IsADirectoryError):
        PickleFile(pickled.path.parent)


def test_a_message_names_file_byte_and_element(opened: Callable[..., PickleFile]) -> None:
    data = pickle.dumps({"annotations": [{"a": 1}, {"a": {(1, 2): 3}}]})
    pickled = opened(data)
    assert_exact(pickled.element(0, "annotations"), {"a": 1})
    place = data.index(b"s", data.index(b"K\x03"))
    with pytest.raises(SourceError) as raised:
        pickled.element(1, "annotations")
    assert str(raised.value) == (
        f"{pickled.path}: byte {place} (in element 1 of 'annotations'): "
        "a tuple as the key of a dict was found, expected text or a number"
    )


def test_a_file_that_changed_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"annotations": annotations(50)}))
    with PickleFile(path) as pickled:
        size = path.stat().st_size
        os.truncate(path, size // 2)
        with pytest.raises(SourceError, match="has changed while it was read"):
            pickled.element(49, "annotations")
        pickled.close()
        with pytest.raises(SourceError, match="has changed"):
            pickled.element(0, "annotations")
        path.write_bytes(bytes(size))
        with pytest.raises(SourceError, match="has changed"):
            pickled.element(0, "annotations")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_file_that_changes_while_it_is_open_gives_no_wrong_values(tmp_path: Path, protocol: int) -> None:
    listed = annotations(3)
    path = tmp_path / "x.pkl"
    data = pickle.dumps({"annotations": listed}, protocol)
    path.write_bytes(data)
    chance = random.Random(protocol)
    with PickleFile(path) as pickled:
        for _ in range(1_500):
            with path.open("r+b") as file:
                file.write(data)
                file.seek(chance.randrange(len(data)))
                file.write(chance.randbytes(chance.choice((1, 2, 20))))
            for i in range(3):
                try:
                    check_plain(pickled.element(i, "annotations"))
                except SourceError as error:
                    assert "the file has changed while it was read" in str(error)  # noqa: PT017


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_file_that_changes_while_it_is_indexed(
    tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "GROWTH_BYTES", 1)
    monkeypatch.setattr(index, "WINDOW", 512)
    path = tmp_path / "x.pkl"
    data = pickle.dumps({"annotations": [{"x": i, "y": [float(i)]} for i in range(3_100)]}, protocol)
    chance = random.Random(protocol)
    refused = 0
    for _ in range(20):
        path.write_bytes(data)
        try:
            with PickleFile(path, whole=False) as pickled:
                with path.open("r+b") as file:
                    file.seek(chance.randrange(len(data) // 2, len(data)))
                    file.write(chance.randbytes(20))
                    if chance.random() < 0.3:
                        file.truncate()
                while pickled.grow():
                    pass
        except SourceError:
            refused += 1
    assert refused > 10


def test_a_removed_file(opened: Callable[..., PickleFile]) -> None:
    pickled = opened({"annotations": annotations(3)})
    pickled.close()
    pickled.path.unlink()
    with pytest.raises(SourceError, match=r"\.pkl: byte \d+ .*was removed"):
        pickled.element(0, "annotations")


def every_element(pickled: PickleFile) -> list[str]:
    """Read all elements of the root list; return the refusals."""
    refusals = []
    for i in range(pickled.elements() or 0):
        try:
            pickled.element(i)
        except SourceError as error:
            refusals.append(str(error))
    return refusals


def test_values_that_all_elements_share_are_bounded(opened: Callable[..., PickleFile]) -> None:
    array = np.zeros(100_000, "u1")
    assert every_element(opened([{"a": array} for _ in range(160)])) == []
    pickled = opened([{"a": array} for _ in range(300)])
    for _ in range(2):
        pickled.element(5)  # the same again counts once
    refusals = every_element(pickled)
    assert 16 << 20 <= (300 - len(refusals)) * 100_000 <= 17 << 20
    assert "expand to more than 16777216 bytes in all" in refusals[0]
    assert len(every_element(pickled)) == 300, "no element is read after that"


def test_values_read_for_other_elements_are_bounded(tmp_path: Path) -> None:
    """12,000 elements that each need one of the lists of the first, a few of which fit into the cache."""
    lists = b"".join(b"]" + hostile_pickles.put(slot) for slot in range(60_000))
    needing = b"".join(
        b"}(K\x00N" + hostile_pickles.text("x") + hostile_pickles.get(slot) + b"u" for slot in range(12_000)
    )
    (tmp_path / "x.pkl").write_bytes(hostile_pickles.old(b"](](", lists, b"e", needing, b"e"))
    with PickleFile(tmp_path / "x.pkl") as pickled:
        assert "must be read for values that others share" in every_element(pickled)[-1]


def test_an_unreadable_element_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a chain of lists that each contain the previous one, all beyond the hundredth are too deep."""
    chain = b"".join(
        b"]" + hostile_pickles.put(slot) + hostile_pickles.get(slot - 1) + b"a" for slot in range(1, 2_000)
    )
    (tmp_path / "x.pkl").write_bytes(hostile_pickles.old(b"](]q\0", chain, b"e"))
    runs = 0
    run = Evaluation.run

    def counted(self: Evaluation, *args: Any) -> object:
        nonlocal runs
        runs += 1
        return run(self, *args)

    monkeypatch.setattr(Evaluation, "run", counted)
    with PickleFile(tmp_path / "x.pkl") as pickled:
        assert len(every_element(pickled)) == 1_900
        assert runs < 5 * 2_000


def test_a_list_without_an_index_is_evaluated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list in two memo slots, which no pickler writes, is not read by element."""
    listed = b"".join(b"}K\x00K\x01s" for _ in range(1_000))
    data = hostile_pickles.old(b"}(", hostile_pickles.text("annotations"), b"]q\0q\1(", listed, b"eu")
    (tmp_path / "x.pkl").write_bytes(data)
    with PickleFile(tmp_path / "x.pkl") as pickled:
        first: Any = pickled.element(0, "annotations")
        first[0] = 2
        monkeypatch.setattr(PickleFile, "value", None)
        assert pickled.element(0, "annotations") == {0: 1}, "each caller gets its own element"
        assert all(pickled.element(i, "annotations") == {0: 1} for i in range(1_000))


def test_it_can_be_pickled_and_opens_by_itself(opened: Callable[..., PickleFile]) -> None:
    listed = annotations(2000)
    pickled = opened({"split": splits_of(listed), "annotations": listed})
    pickled.value("split")
    sent = pickle.dumps(pickled)
    assert len(sent) < 20 * (2000 + 2000) + 4000, "the index is pickled, cached values are not"
    copy = pickle.loads(sent)
    assert (copy.path, copy.size, copy.keys, copy.root_kind) == (pickled.path, pickled.size, pickled.keys, "dict")
    assert_exact(copy.element(1999, "annotations"), listed[1999])
    copy.close()
    assert_exact(copy.element(3, "annotations"), listed[3])
    copy.close()


def read_from(pickled: PickleFile, i: int) -> Any:
    return pickled.element(i, "annotations")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_at_the_same_time(opened: Callable[..., PickleFile], method: str) -> None:
    listed = annotations(300)
    pickled = opened({"annotations": listed, "split": splits_of(listed)})
    pickled.element(0, "annotations")
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        numbers = list(range(299, 0, -7))
        found = list(pool.map(read_from, [pickled] * len(numbers), numbers))
    assert_exact(found, [listed[i] for i in numbers])
    assert_exact(pickled.element(5, "annotations"), listed[5])


def test_a_forked_process_leaves_the_file_open_here(opened: Callable[..., PickleFile]) -> None:
    listed = annotations(3)
    pickled = opened({"annotations": listed})
    child = os.fork()
    if not child:
        try:
            pickled.element(2, "annotations")
            pickled.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert_exact(pickled.element(1, "annotations"), listed[1])


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([1]))
    PickleFile(path)
    gc.collect()
    with PickleFile(path) as pickled:
        pass
    pickled.close()
    path.write_bytes(b"N")
    with pytest.raises(SourceError):
        PickleFile(path)
    path.write_bytes(pickle.dumps({(1, 2): 3}))
    with pytest.raises(SourceError):
        PickleFile(path)
    assert not [link for link in Path("/proc/self/fd").glob("*") if os.path.realpath(link) == str(path)]


def chained(count: int, protocol: int) -> bytes:
    """Annotations, each of which has an array of the previous one."""
    arrays = [np.full(5, i) for i in range(count)]
    listed = [{"own": arrays[i], "before": arrays[max(0, i - 1)]} for i in range(count)]
    return pickle.dumps({"annotations": listed}, protocol)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_values_shared_along_a_chain(opened: Callable[..., PickleFile], protocol: int) -> None:
    pickled = opened(chained(3000, protocol))
    for i in (2999, 0, 1500, 2998, 1):
        found: Any = pickled.element(i, "annotations")
        assert_exact(found["own"], np.full(5, i))
        assert_exact(found["before"], np.full(5, max(0, i - 1)))


def test_the_cache_is_bounded(opened: Callable[..., PickleFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "CACHE_BYTES", 100_000)
    arrays = [np.full(10_000, i, "u1") for i in range(100)]
    value = {"first": arrays, "second": [{"a": array} for array in arrays]}
    pickled = opened(value)
    for i in (*range(100), 5, 0, 99):
        assert_exact(pickled.element(i, "second"), value["second"][i])
        assert sum(array.nbytes for array in pickled._memo._cache.values() if isinstance(array, np.ndarray)) <= 100_000
        assert pickled._memo._cached == sum(pickled._memo._costs.values()) <= 100_000
        assert pickled._memo._costs.keys() == pickled._memo._cache.keys()


def test_memory_does_not_grow_with_the_elements_read(opened: Callable[..., PickleFile]) -> None:
    chance = np.random.default_rng(0)
    listed = [
        {"frame_dir": f"v{i}", "img_shape": (i, i), "keypoint": chance.integers(0, 255, 40_000, "u1")}
        for i in range(500)
    ]
    for annotation in listed:
        annotation["original_shape"] = annotation["img_shape"]
    pickled = opened({"annotations": listed})
    path = pickled.path
    del listed
    tracemalloc.start()
    try:
        with PickleFile(path) as again:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            for i in range(500):
                again.element(i, "annotations")
            peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert peak < 1_000_000


def test_values_longer_than_the_window(opened: Callable[..., PickleFile]) -> None:
    """Opcodes, lines and payloads that cross the edges of the window of the first pass."""
    chance = random.Random(0)
    for protocol in PROTOCOLS:
        listed: list[Any] = []
        for _ in range(60):
            listed.append("x" * chance.choice((0, 1, 200, 300, 60_000, 300_000)))
            listed.append({"a": chance.randbytes(chance.randrange(3000)), "b": [1] * chance.randrange(3000)})
        pickled = opened({"annotations": listed}, protocol)
        assert_exact([pickled.element(i, "annotations") for i in range(len(listed))], listed)


def test_every_offset_at_the_edge_of_the_window(opened: Callable[..., PickleFile]) -> None:
    """Each opcode once at each of the last bytes of the window."""
    tail: Any = [("é" * 5, 1.5, 70_000, 300, None, True, b"ab"), {"k": [1, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]}]
    tail.append(tail[0])
    tail.append(np.arange(3, dtype="f4"))
    for protocol in PROTOCOLS:
        length = len(pickle.dumps(tail, protocol))
        for shift in range(0, length + 40, 1 if protocol in (0, 4) else 3):
            value = ["x" * ((1 << 18) - shift), *tail]
            pickled = opened(value, protocol)
            assert_exact(pickled.element(1), tail[0])
            assert_exact(pickled.element(2), tail[1])
            pickled.close()
            pickled.path.unlink()


@pytest.mark.parametrize(
    "name", ["annotations/hrnet_11_joints.pkl", "annotations/k400_toc_100.pkl", "annotations/single_annotation.pkl"]
)
def test_real_files(name: str, real_file: Callable[[str], Path]) -> None:
    path = real_file(name)
    value = pickle.loads(path.read_bytes())  # a file that the user put there
    with PickleFile(path) as pickled:
        assert pickled.root_kind == "dict"
        assert pickled.keys == list(value)
        assert_exact(pickled.root(), value)
        for key, item in value.items():
            assert_exact(pickled.value(key), item)
            if isinstance(item, list):
                assert pickled.elements(key) == len(item)
                for i in reversed(range(len(item))):
                    assert_exact(pickled.element(i, key), item[i])
            else:
                assert pickled.elements(key) is None


def test_the_product_has_no_other_reader() -> None:
    """Nothing else in the two packages loads a pickle."""
    peers = {REPOSITORY / f"converters/bench/{name}.py" for name in ("fresh", "opening", "peers", "workers")}
    sources = {*REPOSITORY.glob("converters/**/*.py"), *REPOSITORY.glob("skelstore/**/*.py")}
    assert peers < sources
    # Both import modules of the packages, by names that they list themselves.
    lazy = {"skelstore/__init__.py": "skelstore.", "converters/cli/command.py": "(skelstore.packages|converters.cli.)"}
    for source in sources - peers:  # these measure pickle.load on their own files, in other processes
        text = source.read_text()
        for name in ("pickle.load", "pickle.Unpickler", "import_module(", "__import__("):
            used = [line for line in text.splitlines() if name in line and not line.strip().startswith(("#", '"'))]
            if name == "import_module(" and (known := lazy.get(source.relative_to(REPOSITORY).as_posix())):
                used = [line for line in used if not re.search(rf'import_module\(f?"{known}', line)]
            assert all("``" in line for line in used), f"{source.name}: {used}"


@pytest.mark.usefixtures("indexed_in_small_steps")
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        {"keypoint": None, "label": (None, [], [None, None])},
        {"keypoint": None, "label": (None, "keypoint", [1, 2])},
        {"a": 1, "b": (2, (3, [4, 5]), [6, 7]), "c": [8, 9]},
    ],
)
def test_items_of_a_tuple_are_no_keys_while_the_rest_is_not_indexed(
    value: dict[str, Any], protocol: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    with PickleFile(path, whole=True) as pickled:
        assert_exact(pickled.root(), value)
        assert_exact(pickled.keys, list(value))
    with PickleFile(path) as pickled:
        while pickled.grow():
            pass
        assert_exact(pickled.root(), value)


def test_float_keys_in_order(opened: Callable[..., PickleFile]) -> None:
    value = {0.5: 1.0, -0.0: 2.0, 1e300: 3, struct.unpack("<d", b"\1\0\0\0\0\0\xf8\x7f")[0]: 4}
    pickled = opened(value)
    assert_exact(pickled.keys, list(value))
    assert_exact(pickled.value(pickled.keys[3]), 4)
