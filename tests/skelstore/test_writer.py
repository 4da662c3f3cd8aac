"""Writing: annotations round-trip, a store appears only when it is complete, and memory does not grow."""

from __future__ import annotations

import errno
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore import StoreError, StoreExistsError, StoreNotFoundError, UnsupportedValueError
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, Profile
from skelstore.read.verification import verify
from skelstore.write import arrays, disk, parts, planning
from tests.support import strategies
from tests.support.contracts import write, written
from tests.support.exact import assert_exact
from tests.support.files import names_in
from tests.support.processes import run_python


def video(number: int, frames: int = 20) -> dict[str, Any]:
    noise = np.random.default_rng(number)
    return {
        "frame_dir": f"v{number}",
        "label": number,
        "total_frames": frames,
        "keypoint": noise.normal(0, 100, (2, frames, 17, 2)).astype(np.float16),
        "keypoint_score": noise.random((2, frames, 17)).astype(np.float16),
    }


# -------------------------------------------------------------------------------------------- exactness


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=25)
@given(dataset=strategies.datasets())
def test_annotations_round_trip(profile: Profile, dataset: strategies.Dataset) -> None:
    with written(*dataset, profile=profile) as path:
        store = skelstore.open(path)
        assert_exact(list(store), dataset.annotations)
        assert_exact(store.splits, dataset.splits)
        assert verify(path, level="decode") == []


@settings(max_examples=25)
@given(dataset=strategies.datasets(max_size=5), refused=strategies.refused_values(), at=st.integers(0, 5))
def test_a_refused_video_is_left_out_and_the_writer_continues(
    dataset: strategies.Dataset, refused: Any, at: int
) -> None:
    with written([]) as other, skelstore.Writer(other.parent / "mixed.zarr") as writer:
        for number, annotation in enumerate([*dataset.annotations, {}]):
            if number == min(at, len(dataset.annotations)):
                with pytest.raises(UnsupportedValueError) as caught:
                    writer.add({"frame_dir": "bad", "keypoint": np.zeros((1, 2, 17, 2)), "foo": [0, {"bar": refused}]})
                assert caught.value.place == ".foo[1].bar"
                assert str(caught.value).startswith(".foo[1].bar: ")
            if number < len(dataset.annotations):
                writer.add(annotation)
        writer.splits.update(dataset.splits)
        writer.close()
        store = skelstore.open(other.parent / "mixed.zarr")
        assert_exact(list(store), dataset.annotations)
        assert_exact(store.splits, dataset.splits)


@pytest.mark.parametrize("after", [0, 3])
def test_a_refused_video_leaves_no_trace_after_the_plan_is_made_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(planning, "SAMPLE_VIDEOS", 1)
    with skelstore.Writer(tmp_path / "a.zarr") as writer:
        for number in range(after):
            writer.add(video(number))
        with pytest.raises(UnsupportedValueError, match=r"^\.new\.x: an object cannot be stored"):
            writer.add(video(99) | {"new": {"y": np.zeros(4), "x": object()}})
        writer.add(video(50))
    store = skelstore.open(tmp_path / "a.zarr")
    assert_exact(list(store), [*map(video, range(after)), video(50)])
    assert list(store.fields) == ["keypoint", "keypoint_score"]
    assert "new.y.row" not in store.videos.column_names


@pytest.mark.parametrize("sample", [1, 256])
def test_the_caller_may_reuse_its_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: int) -> None:
    monkeypatch.setattr(planning, "SAMPLE_VIDEOS", sample)
    array = np.zeros((1, 10, 17, 2), np.float32)
    names = ["a"]
    with skelstore.Writer(tmp_path / "a.zarr") as writer:
        for number in range(5):
            array[:] = number
            names[0] = f"n{number}"
            annotation = {
                "frame_dir": str(number),
                "keypoint": array,
                "names": names,
                "deep": {"x": {"y": {"z": names}}},
            }
            writer.add(annotation)
            annotation["frame_dir"] = "changed"
        array[:] = -1
        names[0] = "changed"
    for number, found in enumerate(skelstore.open(tmp_path / "a.zarr")):
        assert found["frame_dir"] == str(number)
        assert (found["keypoint"] == number).all()
        assert found["names"] == found["deep"]["x"]["y"]["z"] == [f"n{number}"]


def test_the_arguments_are_not_changed(tmp_path: Path) -> None:
    annotation = video(1) | {"frozen": np.arange(3)}
    annotation["frozen"].flags.writeable = False
    write(tmp_path / "a.zarr", [annotation])
    assert_exact(annotation, video(1) | {"frozen": np.arange(3)})


# -------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize(
    ("name", "ids", "place"),
    [
        ("train", [object()], "split['train'][0]"),
        ("train", ["a", {1}], "split['train'][1]"),
        ("train", np.array(["a"]), "split['train']"),
        ("train", np.array(["a"], object), "split['train']"),
    ],
)
def test_splits_that_cannot_be_stored_are_refused_at_once(tmp_path: Path, name: Any, ids: Any, place: str) -> None:
    writer = skelstore.Writer(tmp_path / "a.zarr")
    writer.add(video(0))
    writer.splits[name] = ids
    with pytest.raises(UnsupportedValueError) as caught:
        writer.close()
    assert caught.value.place == place
    assert not (tmp_path / "a.zarr").exists()
    writer.splits[name] = ["v0"]
    writer.add(video(1))
    writer.close()
    assert_exact(list(skelstore.open(tmp_path / "a.zarr").split(name)), [video(0)])
    assert names_in(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("name", [None, 3, ("a", 1), b"x", 2**70, np.int64(4), "\ud800", ""])
def test_a_split_has_any_name(tmp_path: Path, name: Any) -> None:
    store = skelstore.open(
        write(tmp_path / "a.zarr", [video(0)], {name: ["v0"], "other": [["nested"], None, {"a": 1}]})
    )
    assert_exact(store.splits, {name: ["v0"], "other": [["nested"], None, {"a": 1}]})
    assert len(store.split(name)) == 1


# ------------------------------------------------------------------------------------ nothing half done


def test_nothing_is_at_the_path_before_close(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    writer = skelstore.Writer(path)
    for step in (lambda: None, lambda: writer.add(video(0)), lambda: writer.add(video(1))):
        step()
        assert not path.exists()
        with pytest.raises(StoreNotFoundError, match="a conversion to it was started"):
            skelstore.open(path)
    writer.close()
    assert names_in(tmp_path) == ["a.zarr"]
    assert_exact(list(skelstore.open(path)), [video(0), video(1)])
    writer.close()
    writer.abort()
    with pytest.raises(StoreError, match=r"a\.zarr was closed or aborted: make a new one"):
        writer.add(video(2))
    assert_exact(list(skelstore.open(path)), [video(0), video(1)])


def test_the_root_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever writing stops, there is no store, and the same command works afterwards."""
    calls = 0
    stop_at = 10**9
    fsync = os.fsync

    def counting(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise OSError(errno.EIO, "power cut")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", counting)
    write(tmp_path / "whole.zarr", [video(0)])
    total = calls
    assert total > 10
    for stop in range(1, total + 1):
        calls, stop_at = 0, stop
        path = tmp_path / f"{stop}.zarr"
        writer = skelstore.Writer(path)
        writer.add(video(0))
        with monkeypatch.context() as patch:
            patch.setattr(writer, "abort", lambda: None)  # after a power cut nothing is cleaned up
            with pytest.raises(OSError, match="power cut"):
                writer.close()
        partial = tmp_path / f"{stop}.zarr.partial" / "store"
        complete = path.exists() or (partial / "zarr.json").exists()
        if complete:
            assert_exact(list(skelstore.open(path if path.exists() else partial)), [video(0)])
        calls, stop_at = 0, 10**9
        writer.abort()
        if not path.exists():
            write(path, [video(0)])
        assert_exact(list(skelstore.open(path)), [video(0)])


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
@pytest.mark.parametrize("at", [1, 4, 9, 10])
def test_a_writer_that_fails_while_writing_is_aborted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | BaseException, at: int
) -> None:
    """No store lacks some of its videos, whether the sample, an add or the end writes them."""
    monkeypatch.setattr(planning, "SAMPLE_VIDEOS", 4)
    calls = 0
    append = arrays.ArrayWriter.append

    def failing(self: Any, rows: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == at:
            raise error
        return append(self, rows)

    monkeypatch.setattr(arrays.ArrayWriter, "append", failing)
    writer = skelstore.Writer(tmp_path / "a.zarr")
    before = 3 if at <= 8 else 4  # the fourth completes the sample: then two arrays of each are written
    for number in range(before):
        writer.add(video(number))
    with pytest.raises((KeyboardInterrupt, OSError)):
        writer.add(video(before))
    assert names_in(tmp_path) == []
    with pytest.raises(StoreError, match="was closed or aborted"):
        writer.add(video(5))
    writer.close()
    assert names_in(tmp_path) == []


def test_a_writer_that_cannot_be_closed_is_aborted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = skelstore.Writer(tmp_path / "a.zarr")
    writer.add(video(0))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(arrays.ArrayWriter, "close", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            writer.close()
    writer.close()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("sample", [1, 256])
def test_an_exception_inside_with_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], sample: int
) -> None:
    monkeypatch.setattr(planning, "SAMPLE_VIDEOS", sample)

    def fail() -> None:
        with skelstore.Writer(tmp_path / "a.zarr") as writer:
            writer.add(video(0))
            writer.add(video(1))
            raise error("stop")

    with pytest.raises(error, match="stop"):
        fail()
    assert names_in(tmp_path) == []
    write(tmp_path / "a.zarr", [video(3)])
    assert_exact(list(skelstore.open(tmp_path / "a.zarr")), [video(3)])


def test_splits_refused_at_the_end_of_with_leave_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with skelstore.Writer(tmp_path / "a.zarr") as writer:
            writer.add(video(0))
            writer.splits["train"] = [object()]

    with pytest.raises(UnsupportedValueError):
        fail()
    assert names_in(tmp_path) == []


def test_leftovers_of_a_killed_writer_are_removed_by_the_next(tmp_path: Path) -> None:
    code = f"""if True:
        import os, skelstore, numpy as np
        writer = skelstore.Writer({str(tmp_path / "a.zarr")!r})
        for i in range(300):
            writer.add({{"frame_dir": "x", "keypoint": np.zeros((1, 50, 17, 2), np.float16)}})
        os.kill(os.getpid(), 9)
    """
    assert run_python(code).returncode == -9
    assert names_in(tmp_path) == ["a.zarr.partial"]
    with pytest.raises(StoreNotFoundError, match="a conversion to it was started"):
        skelstore.open(tmp_path / "a.zarr")
    write(tmp_path / "a.zarr", [video(0)])
    assert names_in(tmp_path) == ["a.zarr"]
    assert_exact(list(skelstore.open(tmp_path / "a.zarr")), [video(0)])


# ------------------------------------------------------------------------------------------ destination


def test_an_existing_destination_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [video(0)])
    for taken in (path, tmp_path):
        with pytest.raises(StoreExistsError, match="exists: choose another destination"):
            skelstore.Writer(taken)
    with pytest.raises(FileExistsError):
        skelstore.Writer(path)
    assert names_in(tmp_path) == ["a.zarr"]
    assert_exact(list(skelstore.open(path)), [video(0)])


def test_a_destination_that_is_created_meanwhile_is_refused(tmp_path: Path) -> None:
    writer = skelstore.Writer(tmp_path / "a.zarr")
    writer.add(video(0))
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "precious").write_text("x")
    with pytest.raises(StoreExistsError):
        writer.close()
    writer.close()
    assert (tmp_path / "a.zarr" / "precious").read_text() == "x"
    assert names_in(tmp_path) == ["a.zarr"]


def test_force_replaces_only_at_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [video(i) for i in range(5)], {"t": ["v1"]})
    before = skelstore.open(path)
    assert_exact(before[0], video(0))
    with skelstore.Writer(path, force=True) as writer:
        writer.add(video(7))
        assert_exact(list(skelstore.open(path)), [video(i) for i in range(5)])
        assert_exact(before[1], video(1))
    assert_exact(list(skelstore.open(path)), [video(7)])
    assert skelstore.open(path).splits == {}
    assert names_in(tmp_path) == ["a.zarr"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux exchanges two names at once")
def test_there_is_a_store_at_every_moment_of_a_replacement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.zarr", [video(0)])
    moved: list[str] = []

    def noting(move: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def noted(source: Any, destination: Any) -> None:
            moved.append(os.fspath(source))
            move(source, destination)

        return noted

    exchange = disk._exchange
    monkeypatch.setattr(os, "rename", noting(os.rename))
    monkeypatch.setattr(disk, "_exchange", lambda a, b: moved.append(os.fspath(a)) or exchange(a, b))
    write(path, [video(1)], force=True)
    assert moved, "nothing was recorded"
    assert str(path) not in moved, "the old store was moved aside before the new one was in its place"
    assert_exact(list(skelstore.open(path)), [video(1)])


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_store_is_replaced_where_names_cannot_be_exchanged_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr("skelstore.write.disk._exchange", lambda a, b: False)
    path = write(tmp_path / "a.zarr", [video(0)])
    write(path, [video(1)], force=True)
    assert_exact(list(skelstore.open(path)), [video(1)])
    assert names_in(tmp_path) == ["a.zarr"]


def test_force_that_fails_leaves_the_old_store(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [video(0)])

    def fail() -> None:
        with skelstore.Writer(path, force=True) as writer:
            writer.add(video(1))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert_exact(list(skelstore.open(path)), [video(0)])
    assert names_in(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("kind", ["empty", "full", "file", "zarr group", "zarr array", "text named zarr.json", "home"])
def test_a_path_that_is_not_a_store_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "taken"
    if kind == "file":
        path.write_text("precious")
    elif kind == "zarr group":
        zarr.create_group(path, attributes={"mine": 1})
    elif kind == "zarr array":
        zarr.create_array(path, shape=(3,), dtype="i4")[...] = 1
    else:
        path.mkdir()
        if kind != "empty":
            (path / "precious").write_text("x")
        if kind == "text named zarr.json":
            (path / "zarr.json").write_text("my notes on zarr")
        if kind == "home":
            write(path / "a.zarr", [{}])
    before = sorted((str(p), p.read_bytes() if p.is_file() else None) for p in tmp_path.rglob("*"))
    for force in (True, False):
        with pytest.raises(StoreExistsError):
            skelstore.Writer(path, force=force)
    assert sorted((str(p), p.read_bytes() if p.is_file() else None) for p in tmp_path.rglob("*")) == before


def test_force_through_a_link_replaces_the_store_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    write(tmp_path / "disk" / "a.zarr", [video(0)])
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a.zarr")
    with pytest.raises(StoreExistsError):
        skelstore.Writer(tmp_path / "link")
    write(tmp_path / "link", [video(1)], force=True)
    assert (tmp_path / "link").is_symlink()
    assert_exact(list(skelstore.open(tmp_path / "link")), [video(1)])
    assert_exact(list(skelstore.open(tmp_path / "disk" / "a.zarr")), [video(1)])
    assert names_in(tmp_path) == ["disk", "link"]
    assert names_in(tmp_path / "disk") == ["a.zarr"]


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with skelstore.Writer(path) as writer:
        writer.add(video(0))
        for _ in range(2):
            with pytest.raises(StoreError, match="is in use: another process is writing"):
                skelstore.Writer(path)
        code = f"import skelstore\ntry: skelstore.Writer({str(path)!r})\nexcept skelstore.StoreError as e: print(e)"
        done = run_python(code)
        assert "is in use" in done.stdout
        skelstore.Writer(tmp_path / "b.zarr").close()
    assert_exact(list(skelstore.open(path)), [video(0)])


def test_a_workspace_that_another_writer_removes_meanwhile_is_recreated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    removed = 0

    def removing(path: Any, *arguments: Any) -> int:
        nonlocal removed
        if Path(path).name == "lock" and removed < 3:
            removed += 1
            Path(path).parent.rmdir()
        return real(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", removing)
        writer = skelstore.Writer(tmp_path / "a.zarr")
    writer.add(video(0))
    writer.close()
    assert removed == 3
    assert_exact(list(skelstore.open(tmp_path / "a.zarr")), [video(0)])


def test_a_file_with_the_name_of_the_workspace_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.zarr.partial").write_text("precious")
    with pytest.raises(StoreError, match=r"a\.zarr\.partial is a file, expected a folder: move it away"):
        skelstore.Writer(tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr.partial").read_text() == "precious"


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="make it before writing a store into it"):
        skelstore.Writer(tmp_path / "no" / "a.zarr")
    with pytest.raises(StoreError, match=r"profile 'tiny'; expected one of fast, default, small"):
        skelstore.Writer(tmp_path / "a.zarr", profile="tiny")  # type: ignore[arg-type]
    assert names_in(tmp_path) == []


def test_a_relative_destination_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = skelstore.Writer("a.zarr")
    writer.add(video(0))
    monkeypatch.chdir("/")
    writer.close()
    assert_exact(list(skelstore.open(tmp_path / "a.zarr")), [video(0)])


def test_the_source_is_kept(tmp_path: Path) -> None:
    source = {"dialect": "pyskl", "file": "a.pkl", "size": 2**40, "left out": ["x", None, 0.5]}
    store = skelstore.open(write(tmp_path / "a.zarr", [{}], source=source))
    assert store.source == source
    assert skelstore.open(write(tmp_path / "b.zarr", [{}])).source == {"dialect": "writer"}


# ---------------------------------------------------------------------------------------- parts, memory


@settings(max_examples=20)
@given(
    dataset=strategies.datasets(),
    part_bytes=st.sampled_from([1, 300, 5000]),
    part_videos=st.sampled_from([1, 2, 1 << 16]),
    sample=st.sampled_from([1, 2, 256]),
    profile=st.sampled_from(PROFILES),
)
def test_many_parts_are_equal_to_one(
    dataset: strategies.Dataset, part_bytes: int, part_videos: int, sample: int, profile: Profile
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", part_bytes)
        patch.setattr(parts, "PART_VIDEOS", part_videos)
        patch.setattr(planning, "SAMPLE_VIDEOS", sample)
        with written(*dataset, profile=profile) as path:
            store = skelstore.open(path)
            assert_exact(list(store), dataset.annotations)
            assert_exact(store.splits, dataset.splits)
            assert verify(path, level="decode") == []
            assert_exact([store.name(i) for i in range(len(store))], [name_or_none(a) for a in dataset.annotations])


def name_or_none(annotation: dict[Any, Any]) -> str | None:
    found = (annotation[key] for key in ("frame_dir", "filename") if isinstance(annotation.get(key), str))
    return next(found, None)


def test_a_part_ends_when_it_has_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "PART_BYTES", 20_000)
    annotations = [video(i) for i in range(60)]
    store = skelstore.open(write(tmp_path / "a.zarr", annotations))
    shards = [key for key in store.files() if key.startswith("keypoint/c.")]
    array_bytes = sum(a["keypoint"].nbytes + a["keypoint_score"].nbytes for a in annotations)
    assert array_bytes / 20_000 / 2 <= len(shards) <= 2 * array_bytes / 20_000
    assert_exact(list(store), annotations)
    assert_exact(store["v33"], video(33))


def test_more_videos_than_a_part_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_VIDEOS", 10)
    monkeypatch.setattr(parts, "_FLUSH_ROWS", 4)
    annotations: list[dict[Any, Any]] = [{"frame_dir": f"v{i}", "label": i, "y": np.arange(i)} for i in range(37)]
    annotations[25]["late"] = 0.5
    annotations[26]["x"] = np.arange(4)
    annotations[3] = {"x": np.arange(2)}
    store = skelstore.open(write(tmp_path / "a.zarr", annotations, {"t": [f"v{i}" for i in range(8, 13)]}))
    assert_exact(list(store), annotations)
    assert_exact(list(store.split("t")), annotations[8:13])
    assert [store.index(f"v{i}") for i in (0, 9, 10, 36)] == [0, 9, 10, 36]
    assert len([key for key in store.files() if key.startswith("y/c.")]) == 4, "a part has its own shard"


def test_videos_of_which_no_two_are_alike_are_stored(tmp_path: Path) -> None:
    annotations = [{f"key{i}": i, f"array{i}": np.full((i % 5, 3), i), "frame_dir": f"v{i}"} for i in range(700)]
    path = write(tmp_path / "a.zarr", annotations)
    store = skelstore.open(path)
    assert_exact(list(store), annotations)
    assert_exact(store["v650"], annotations[650])
    assert_exact(dict(store.lazy("v650")), annotations[650])
    assert len(list(path.iterdir())) < 100, "one folder per array would be hundreds"
    assert verify(path, level="decode") == []


MEMORY = """if True:
    import resource, sys
    import numpy as np
    import skelstore
    path, videos, profile = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    noise = np.random.default_rng(0).integers(0, 500, (2, 900, 17, 2)).astype(np.float16)
    score = noise[..., 0].copy()
    with skelstore.Writer(path, profile=profile) as writer:
        for number in range(videos):
            noise[:, :, 0, 0] = number % 1000
            writer.add({"frame_dir": f"v{number}", "label": 3, "keypoint": noise, "keypoint_score": score})
        writer.splits["all"] = [f"v{number}" for number in range(videos)]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize("profile", ["fast", "default"])
def test_memory_does_not_grow_with_the_data(tmp_path: Path, profile: str) -> None:
    """Compare 600 MB and 20 MB of arrays: the difference is about one part."""

    def peak(name: str, videos: int) -> int:
        done = run_python(MEMORY, tmp_path / name, videos, profile, check=True)
        return int(done.stdout)

    video_bytes = 2 * 900 * 17 * 3 * 2
    small = peak("small.zarr", (20 << 20) // video_bytes)
    large = peak("large.zarr", (600 << 20) // video_bytes)
    assert large - small < 120, f"{large} MiB at the peak for 600 MiB, {small} MiB for 20 MiB"
    store = skelstore.open(tmp_path / "large.zarr")
    last = len(store) - 1
    assert store[last]["keypoint"][0, 0, 0, 0] == last % 1000


def test_writing_leaves_no_process_and_no_thread(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", [video(i) for i in range(50)])
    assert multiprocessing.active_children() == []
