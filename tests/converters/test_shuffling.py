"""Stores whose videos were shuffled: a random order of reading, and the order of the source when they are exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import converters
import skelstore
from converters import samples
from converters.comparison import compare
from converters.conversion import shuffling
from converters.conversion.convert import convert_source
from converters.data_card import data_card
from converters.dialects.ntu.raw_store import RawStore
from converters.information import as_lines, information
from converters.inputs import array_rows
from converters.samples.gcn_arrays import ctrgcn_like, write_gcn_arrays
from converters.samples.skeletons import write_skeletons
from converters.tracking.source import StoreVideos
from skelstore.errors import StoreError, UnsupportedValueError
from skelstore.format import chunking
from skelstore.format.schema import POSITION_COLUMN, VIDEOS_KEY
from skelstore.read.source_order import in_source_order
from skelstore.read.verification import verify
from skelstore.remote.url import parse_url
from tests.support import hostile_stores, strategies
from tests.support.crashes import PART_BYTES, command, converted, make_source, run_here
from tests.support.exact import assert_exact
from tests.support.files import tree
from tests.support.other_readers import check_by_second_reader
from tests.support.small_store import lay_out
from tests.support.source_contract import dump, load

SEED = 7
VIDEOS = 16
SOURCES: dict[str, tuple[str, dict[str, str]]] = {
    "pyskl": ("ntu60_hrnet.pkl", {}),
    "list": ("gym_list.pkl", {}),
    "compressed": ("compressed_list.pkl", {}),
    "kpfiles": ("k400/k400_hrnet.pkl", {"kpfiles": "k400/kpfiles"}),
    "one kpfile per video": ("k400_mmaction/k400_2d.pkl", {"kpfiles": "k400_mmaction/kpfiles"}),
    "folder": ("one", {}),
    "ctrgcn": ("NTU60_CS.npz", {}),
    "stgcn": ("stgcn", {}),
    "gcn-clips": ("clips", {"dialect": "gcn-clips"}),
    "ntu": ("skeletons", {}),
    "ntu by a recipe": ("skeletons", {"recipe": "pyskl"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources of many dialects."""
    folder = tmp_path_factory.mktemp("sources")
    samples.write_samples(folder, VIDEOS, videos_a_file=7)
    write_gcn_arrays(folder, VIDEOS, frames=20)
    write_skeletons(folder / "skeletons", samples.ntu_names(10), frames=(45, 60))
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "PART_BYTES", PART_BYTES)


def converted_twice(folder: Path, kind: str, out: Path) -> tuple[skelstore.Store, skelstore.Store]:
    """A source of the kind as a store in its order, and as a shuffled one."""
    name, files = SOURCES[kind]
    options: dict[str, Any] = {key: folder / value if key == "kpfiles" else value for key, value in files.items()}
    converters.convert(folder / name, out / "plain.zarr", **options)
    converters.convert(folder / name, out / "shuffled.zarr", shuffle=SEED, **options)
    return skelstore.open(out / "plain.zarr"), skelstore.open(out / "shuffled.zarr")


def permutation(count: int, seed: int) -> list[int]:
    """The order that docs/converting.md states."""
    seeds = np.random.SeedSequence(seed)
    order: list[int] = np.random.RandomState(np.random.MT19937(seeds)).permutation(count).tolist()
    return order


def positions_in(store: skelstore.Store) -> list[int]:
    """The positions in the source that a store keeps, read without skelstore."""
    with pa.memory_map(str(store.path / VIDEOS_KEY)) as file:  # type: ignore[operator]
        found: list[int] = pa.ipc.open_file(file).read_all()[POSITION_COLUMN].to_pylist()
    return found


def has_positions(store: skelstore.Store) -> bool:
    with pa.memory_map(str(store.path / VIDEOS_KEY)) as file:  # type: ignore[operator]
        return POSITION_COLUMN in pa.ipc.open_file(file).read_all().column_names


def exported(store: skelstore.Store, out: Path) -> dict[str, bytes]:
    """The files of an export."""
    out.mkdir()
    suffix = {"ctrgcn": ".npz", "stgcn": "", "folder": "", "gcn-clips": ""}.get(store.source["dialect"], ".pkl")
    converters.export(store, out / f"a{suffix}")
    return tree(out)


# ------------------------------------------------------------------------------------------- order and export


@pytest.mark.parametrize("kind", SOURCES)
def test_the_order_is_random_and_an_export_has_that_of_the_source(tmp_path: Path, folder: Path, kind: str) -> None:
    plain, shuffled = converted_twice(folder, kind, tmp_path)
    with plain, shuffled:
        order = permutation(len(plain), SEED)
        assert order != sorted(order)
        assert_exact(list(shuffled), [plain[i] for i in order])
        assert positions_in(shuffled) == order
        assert not has_positions(plain)
        assert_exact(shuffled.splits, plain.splits)
        assert shuffled.source == plain.source | {"shuffled": {"seed": SEED}}
        assert shuffled.videos.column_names == plain.videos.column_names, "positions are no value of an annotation"
        assert verify(shuffled.path, level="decode") == []
        check_by_second_reader(tmp_path / "shuffled.zarr", list(shuffled))
        assert exported(shuffled, tmp_path / "from shuffled") == exported(plain, tmp_path / "from plain")


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(strategies.datasets(8), st.integers(0, 2**63 - 1), st.integers(400, 4000), st.sampled_from([0, 500, 1 << 26]))
def test_any_annotations(dataset: strategies.Dataset, seed: int, part_bytes: int, ahead: int) -> None:
    with tempfile.TemporaryDirectory() as name, mock.patch.object(chunking, "PART_BYTES", part_bytes):
        folder = Path(name)
        dump(folder / "a.pkl", {"split": dataset.splits, "annotations": dataset.annotations})
        converters.convert(folder / "a.pkl", folder / "plain.zarr", dialect="pyskl")
        with mock.patch.object(shuffling, "_AHEAD_BYTES", ahead):
            converters.convert(folder / "a.pkl", folder / "a.zarr", dialect="pyskl", shuffle=seed)
        annotations = load(folder / "a.pkl")["annotations"]
        order = permutation(len(annotations), seed)
        with skelstore.open(folder / "a.zarr") as store, skelstore.open(folder / "plain.zarr") as plain:
            assert_exact(list(store), [annotations[i] for i in order])
            assert_exact(list(in_source_order(store)), annotations)
            assert_exact(store.splits, plain.splits)
            assert exported(store, folder / "1") == exported(plain, folder / "2")
            with closing(converters.open_source(folder / "a.pkl", "pyskl")) as source:
                assert compare(store, source) == []


def test_neighbouring_videos_are_a_random_sample(tmp_path: Path) -> None:
    """Of a source that is sorted by class. A window's count of a class is hypergeometric."""
    classes, each, window = 8, 250, 200
    keypoint = np.zeros((1, 1, 1, 2), np.float32)
    annotations = [
        {"frame_dir": f"v{i}", "label": i // each, "total_frames": 1, "keypoint": keypoint}
        for i in range(classes * each)
    ]
    converters.convert(dump(tmp_path / "a.pkl", annotations), tmp_path / "plain.zarr")
    converters.convert(tmp_path / "a.pkl", tmp_path / "a.zarr", shuffle=SEED)
    expected, videos = window / classes, len(annotations)
    deviation = (window / classes * (1 - 1 / classes) * (videos - window) / (videos - 1)) ** 0.5
    with skelstore.open(tmp_path / "plain.zarr") as plain, skelstore.open(tmp_path / "a.zarr") as store:
        starts = range(0, videos, window)
        counts = np.array([np.bincount(store.labels[i : i + window], minlength=classes) for i in starts])
        sorted_counts = np.array([np.bincount(plain.labels[i : i + window], minlength=classes) for i in starts])
    scores = (counts - expected) / deviation
    assert np.abs(scores).max() < 4.5
    assert 0.7 < (scores**2).mean() < 1.3
    assert (((sorted_counts - expected) / deviation) ** 2).mean() > 100, "the test would see an order by class"


# ------------------------------------------------------------------------------- determinism and resuming


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickle that is converted to 20 parts."""
    return make_source(tmp_path_factory.mktemp("source") / "a.pkl", videos=80)


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, bytes]:
    with mock.patch.object(chunking, "PART_BYTES", PART_BYTES):
        converters.convert(source, source.with_name("a.zarr"), shuffle=SEED)
    return tree(source.with_name("a.zarr"))


def test_the_store_depends_on_the_source_and_the_seed_alone(
    tmp_path: Path, source: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(command("convert", source, tmp_path / "two.zarr", "--workers", 2, "--shuffle", SEED))
    assert done.returncode == 0
    assert tree(tmp_path / "two.zarr") == expected
    assert run_here("convert", source, tmp_path / "other.zarr", "--workers", 1, "--shuffle", SEED + 1).status == 0
    with skelstore.open(tmp_path / "two.zarr") as store, skelstore.open(tmp_path / "other.zarr") as other:
        assert [video["frame_dir"] for video in store] != [video["frame_dir"] for video in other]
        assert exported(store, tmp_path / "1") == exported(other, tmp_path / "2")
    monkeypatch.setattr(shuffling, "_AHEAD_BYTES", 0)
    converters.convert(source, tmp_path / "unbuffered.zarr", shuffle=SEED)
    assert tree(tmp_path / "unbuffered.zarr") == expected


def parts_beside(destination: Path) -> list[Path]:
    parts = destination.with_name(destination.name + ".partial") / "parts"
    return [path.parent for path in parts.glob("*/part.json") if "." not in path.parent.name]


def killed(source: Path, destination: Path, *options: object) -> None:
    """Kill a conversion once it has three parts."""
    with subprocess.Popen(command("convert", source, destination, "--workers", 1, *options)) as process:
        deadline = time.monotonic() + 60
        while len(parts_beside(destination)) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)


def test_a_killed_conversion_resumes_with_the_same_seed_only(
    tmp_path: Path, source: Path, expected: dict[str, bytes]
) -> None:
    destination = tmp_path / "a.zarr"
    killed(source, destination, "--shuffle", SEED)
    kept = len(parts_beside(destination))
    assert kept >= 3
    for options, now in (((), "without --shuffle"), (("--shuffle", 8), "with --shuffle 8")):
        refused = run_here("convert", source, destination, "--workers", 1, *options)
        assert refused.status == 1
        assert refused.err == (
            f"skelstore: {destination}.partial keeps parts of a conversion with --shuffle {SEED}, and this one is "
            f"{now}: continue that one, or delete the folder to begin again\n"
        )
        assert len(parts_beside(destination)) == kept
    again = run_here("convert", source, destination, "--workers", 1, "--shuffle", SEED)
    assert again.status == 0
    assert again.err == f"resumed an interrupted conversion: {kept} of its parts were finished\n"
    assert tree(destination) == expected
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_a_conversion_without_a_seed_does_not_resume_with_one(tmp_path: Path, source: Path) -> None:
    killed(source, tmp_path / "a.zarr")
    refused = run_here("convert", source, tmp_path / "a.zarr", "--workers", 1, "--shuffle", SEED)
    assert refused.status == 1
    assert f"conversion without --shuffle, and this one is with --shuffle {SEED}" in refused.err
    assert run_here("convert", source, tmp_path / "a.zarr", "--workers", 1).status == 0
    assert tree(tmp_path / "a.zarr") == converted(_copy(source, tmp_path))


def _copy(source: Path, folder: Path) -> Path:
    (folder / "copy").mkdir()
    (folder / "copy" / "a.pkl").write_bytes(source.read_bytes())
    return folder / "copy" / "a.pkl"


def test_each_part_is_read_in_the_order_of_the_source(source: Path, tmp_path: Path) -> None:
    opened = converters.open_source(source)
    read: list[int] = []
    video = opened.video

    def recorded(index: int) -> Any:
        read.append(index)
        return video(index)

    with mock.patch.object(opened, "video", recorded):
        convert_source(opened, tmp_path / "a.zarr", shuffle=SEED)
    in_parts = read[80:]  # the first 80 are those from which chunks are planned
    assert read[:80] == list(range(80))
    assert sorted(in_parts) == list(range(80))
    assert [sorted(in_parts[i : i + 4]) for i in range(0, 60, 4)] == [in_parts[i : i + 4] for i in range(0, 60, 4)]


def test_what_is_read_ahead_has_a_bound() -> None:
    class Large:
        def __init__(self) -> None:
            self.read: list[int] = []

        def video(self, index: int) -> tuple[dict[str, Any], None]:
            self.read.append(index)
            nested = [[index] * 1000 for _ in range(1000)]
            return {"frame_dir": "a", "many": nested if index % 2 else np.zeros(5 << 20)}, None

    large: Any = Large()
    ahead = shuffling.read_ahead(large, [9, 3, 5, 1, 0, 2, 8])
    assert list(ahead) == large.read == [0, 1], "the first has 40 MB, and the values of the second count 64 each"


# ---------------------------------------------------------------------------------------- what is left out


def test_videos_that_are_left_out(tmp_path: Path, folder: Path) -> None:
    skeletons = tmp_path / "skeletons"
    skeletons.mkdir()
    for file in (folder / "skeletons").iterdir():
        (skeletons / file.name).write_bytes(file.read_bytes())
    broken = sorted(skeletons.iterdir())[2:9:3]
    for file in broken:
        file.write_text("1\nno number\n")
    for name, options in (("plain", {}), ("shuffled", {"shuffle": SEED})):
        converters.convert(skeletons, tmp_path / f"{name}.zarr", skip_broken=True, **options)
    with skelstore.open(tmp_path / "plain.zarr") as plain, skelstore.open(tmp_path / "shuffled.zarr") as shuffled:
        assert shuffled.source["left_out"] == plain.source["left_out"]
        assert [entry["index"] for entry in plain.source["left_out"]] == [2, 5, 8]
        assert positions_in(shuffled) == [i for i in permutation(10, SEED) if i not in (2, 5, 8)]
        assert_exact(list(in_source_order(shuffled)), list(plain))
    done = run_here("verify", tmp_path / "shuffled.zarr", "--level", "decode", "--against", skeletons)
    assert done.status == 0, done


def test_verify_against_another_source_says_where(tmp_path: Path, folder: Path) -> None:
    _, shuffled = converted_twice(folder, "pyskl", tmp_path)
    whole = load(folder / "ntu60_hrnet.pkl")
    whole["annotations"][13]["label"] = 1000
    dump(tmp_path / "changed.pkl", whole)
    done = run_here("verify", shuffled.path, "--against", tmp_path / "changed.pkl")
    assert done.status == 1
    assert "annotations[13]['label'] is" in done.err or "annotations[13]" in done.err
    assert done.err.count("annotations[") == 1
    shuffled.close()


def test_a_source_that_is_read_only_in_order_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays: dict[str, Any] = ctrgcn_like(12, 0, 20)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)
    np.savez(tmp_path / "fortran.npz", **{name: np.asfortranarray(array) for name, array in arrays.items()})
    np.savez(tmp_path / "stored.npz", **arrays)
    for name in ("packed", "fortran", "stored"):
        converters.convert(tmp_path / f"{name}.npz", tmp_path / f"{name}.zarr", shuffle=SEED)
    assert len({repr(tree(tmp_path / f"{name}.zarr/keypoint")) for name in ("packed", "fortran", "stored")}) == 1
    monkeypatch.setattr(array_rows, "_SEARCHED_BYTES", 1000)
    converters.convert(tmp_path / "stored.npz", tmp_path / "again.zarr", shuffle=SEED)
    for name, how in (("packed", "compressed"), ("fortran", "in Fortran order")):
        done = run_here("convert", tmp_path / f"{name}.npz", tmp_path / "b.zarr", "--shuffle", 1)
        assert done.status == 1
        assert done.err == (
            f"skelstore: {tmp_path / name}.npz: x_train.npy is {how}, so its clips can be read only in their order: "
            "convert without --shuffle, export the store, and convert the exported file with it, or save the array "
            "with numpy.savez and numpy.ascontiguousarray\n"
        )
        assert not (tmp_path / "b.zarr.partial").exists()
    converters.convert(tmp_path / "packed.npz", tmp_path / "c.zarr")
    converters.export(skelstore.open(tmp_path / "c.zarr"), tmp_path / "exported.npz")
    converters.convert(tmp_path / "exported.npz", tmp_path / "d.zarr", shuffle=SEED)
    assert tree(tmp_path / "d.zarr/keypoint") == tree(tmp_path / "again.zarr/keypoint")


@pytest.mark.parametrize("seed", [-1, 2**63, True, 1.0, "1"])
def test_a_seed_that_is_not_one(tmp_path: Path, source: Path, seed: Any) -> None:
    with pytest.raises(StoreError, match="expected a seed, an integer from 0 to 9223372036854775807"):
        converters.convert(source, tmp_path / "a.zarr", shuffle=seed)
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------- stores from stores


def test_subsets(tmp_path: Path, folder: Path) -> None:
    plain, shuffled = converted_twice(folder, "pyskl", tmp_path)
    with plain, shuffled:
        skelstore.subset(plain.split("xsub_train"), tmp_path / "plain train.zarr")
        skelstore.subset(shuffled.split("xsub_train"), tmp_path / "train.zarr")
        skelstore.subset(shuffled[::-1], tmp_path / "own.zarr")
        converters.export(shuffled.split("xsub_train"), tmp_path / "view.pkl")
        converters.export(shuffled[5:2:-1], tmp_path / "own.pkl")
        assert_exact(load(tmp_path / "own.pkl")["annotations"], [shuffled[i] for i in (5, 4, 3)])
        with skelstore.open(tmp_path / "train.zarr") as train, skelstore.open(tmp_path / "plain train.zarr") as before:
            assert_exact(list(train), list(shuffled.split("xsub_train")))
            assert sorted(positions_in(train)) == list(range(len(train)))
            assert train.source["shuffled"] == {"seed": SEED}
            assert exported(train, tmp_path / "1") == exported(before, tmp_path / "2")
            assert_exact(load(tmp_path / "view.pkl")["annotations"], list(before))
        with skelstore.open(tmp_path / "own.zarr") as own:
            assert not has_positions(own)
            assert "shuffled" not in own.source
            converters.export(own, tmp_path / "reversed.pkl")
            assert_exact(load(tmp_path / "reversed.pkl")["annotations"], list(shuffled)[::-1])


def test_merged_stores(tmp_path: Path) -> None:
    """A shuffled, an unshuffled and another shuffled store: an export has the three sources, one after the other."""
    annotations = samples.ntu_like(15)["annotations"]
    for name, start, options in (("a", 0, {"shuffle": 1}), ("b", 5, {}), ("c", 10, {"shuffle": 2})):
        dump(tmp_path / f"{name}.pkl", annotations[start : start + 5])
        converters.convert(tmp_path / f"{name}.pkl", tmp_path / f"{name}.zarr", **options)
    skelstore.merge([tmp_path / f"{name}.zarr" for name in "abc"], tmp_path / "all.zarr")
    with skelstore.open(tmp_path / "all.zarr") as store:
        order = [*permutation(5, 1), *range(5, 10), *(10 + i for i in permutation(5, 2))]
        assert_exact(list(store), [annotations[i] for i in order])
        assert positions_in(store) == order
        assert "shuffled" not in store.source, "as a whole it is not"
        assert information(store)["order"] == {"of_source": False, "seed": None}
        assert "order     another than in the source; an export restores that of the source" in as_lines(
            information(store)
        )
        converters.export(store, tmp_path / "all.pkl")
        assert_exact(load(tmp_path / "all.pkl"), annotations)
        skelstore.merge([tmp_path / "b.zarr"], tmp_path / "b2.zarr")
    with skelstore.open(tmp_path / "b2.zarr") as store:
        assert not has_positions(store)


def test_commands_keep_the_order(tmp_path: Path, folder: Path) -> None:
    """Of relabel and split; info states it, show finds videos by their place in the store."""
    plain, shuffled = converted_twice(folder, "list", tmp_path)
    with plain, shuffled:
        commands = ("relabel", "--compact"), ("split", "--parts", "train=0.5,test=0.5")
        for number, (name, *options) in enumerate(commands):
            for kind in ("plain", "shuffled"):
                done = run_here(name, tmp_path / f"{kind}.zarr", "-o", tmp_path / f"{kind}{number}.zarr", *options)
                assert done.status == 0, done
            with skelstore.open(tmp_path / f"shuffled{number}.zarr") as changed:
                assert positions_in(changed) == positions_in(shuffled)
                assert [changed.name(i) for i in range(VIDEOS)] == [shuffled.name(i) for i in range(VIDEOS)]
        out = json.loads(run_here("info", shuffled.path, "--json").out)
        assert out["order"] == {"of_source": False, "seed": SEED}
        line = f"order     shuffled with seed {SEED}; an export restores that of the source"
        assert line in run_here("info", shuffled.path).out.splitlines()
        assert "order  " not in run_here("info", plain.path).out
        card = data_card(shuffled, parse_url("hf://datasets/me/set/a.zarr"), "videos.parquet")
        assert f"| order | shuffled with seed {SEED}; an export restores that of the source |" in card
        assert "| order |" not in data_card(plain, parse_url("hf://datasets/me/set/a.zarr"), "videos.parquet")
        assert str(shuffled.name(3)) in run_here("show", shuffled.path, 3).out


def test_tracked_and_derived_stores_are_shuffled_as_the_store_is(tmp_path: Path, folder: Path) -> None:
    plain, shuffled = converted_twice(folder, "compressed", tmp_path)
    for store, name in ((plain, "plain"), (shuffled, "shuffled")):
        done = run_here("track", store.path, "-o", tmp_path / f"{name} dense.zarr", "--max-persons", 2, "--workers", 1)
        assert done.status == 0, done
        store.close()
    converters.track(tmp_path / "shuffled.zarr", tmp_path / "by python.zarr", max_persons=2)
    assert tree(tmp_path / "by python.zarr") == tree(tmp_path / "shuffled dense.zarr")
    with skelstore.open(tmp_path / "plain dense.zarr") as a, skelstore.open(tmp_path / "shuffled dense.zarr") as b:
        assert_exact(list(b), [a[i] for i in permutation(len(a), SEED)])
        assert b.source["shuffled"] == {"seed": SEED}
        assert exported(a, tmp_path / "1") == exported(b, tmp_path / "2")
    with closing(StoreVideos(tmp_path / "shuffled.zarr")) as videos:
        assert "shuffled" not in videos.description()
    done = run_here("verify", tmp_path / "shuffled dense.zarr", "--against", folder / "compressed_list.pkl")
    assert done.status == 0, done


def test_a_derived_store_is_the_shuffled_conversion(tmp_path: Path, folder: Path) -> None:
    converters.convert(folder / "skeletons", tmp_path / "raw.zarr", shuffle=SEED)
    converters.convert(folder / "skeletons", tmp_path / "direct.zarr", shuffle=SEED, recipe="pyskl")
    done = run_here("derive", tmp_path / "raw.zarr", tmp_path / "derived.zarr", "--recipe", "pyskl", "--workers", 1)
    assert done.status == 0, done
    with skelstore.open(tmp_path / "derived.zarr") as derived, skelstore.open(tmp_path / "direct.zarr") as direct:
        assert_exact(list(derived), list(direct))
        assert derived.source == direct.source
    convert_source(RawStore(tmp_path / "raw.zarr", recipe="pyskl"), tmp_path / "in order.zarr")
    with skelstore.open(tmp_path / "in order.zarr") as store:
        assert not has_positions(store)


# ------------------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        ([2, None, 1], pa.int64(), "videos have no skelstore.position: convert the source again"),
        ([2, 1, 0], pa.int32(), "no column 'skelstore.position' of type int64"),
        (["a", "b", "c"], pa.large_utf8(), "no column 'skelstore.position' of type int64"),
    ],
)
def test_positions_that_are_not(tmp_path: Path, cells: list[Any], kind: pa.DataType, message: str) -> None:
    path = lay_out(tmp_path / "a.zarr", with_positions(cells, kind))
    with skelstore.open(path) as store:
        assert len(list(store)) == 3, "which has no need of them"
        with pytest.raises(StoreError, match=message):
            converters.export(store, tmp_path / "a.pkl")
    assert message in " ".join(verify(path))


def test_positions_that_are_given_twice(tmp_path: Path) -> None:
    path = lay_out(tmp_path / "a.zarr", with_positions([4, -(2**63), 4], pa.int64()))
    with skelstore.open(path) as store:
        assert_exact(list(in_source_order(store)), [store[i] for i in (1, 0, 2)])
    (problem,) = verify(path)
    assert problem.endswith("videos.arrow: two videos have the same skelstore.position: convert the source again")
    skelstore.merge([path, path], tmp_path / "b.zarr", allow=["ids"])
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert positions_in(store) == [1, 0, 2, 4, 3, 5]


def with_positions(cells: list[Any], kind: pa.DataType) -> dict[str, bytes]:
    table = hostile_stores.with_table
    with tempfile.TemporaryDirectory() as name:
        path = lay_out(Path(name) / "a.zarr", hostile_stores.base())
        with open(path / VIDEOS_KEY, "rb") as file:
            videos = pa.ipc.open_file(file).read_all()
    return table(VIDEOS_KEY, videos.append_column(POSITION_COLUMN, pa.array(cells, kind)))


def test_a_recorded_seed_that_is_not_one(tmp_path: Path) -> None:
    for recorded in ("7", {"seed": "7"}, {"seed": -1}, {}, {"seed": True}):
        assert shuffling.recorded_seed({"shuffled": recorded}) is None
    assert shuffling.recorded_seed({"shuffled": {"seed": 7}}) == 7


def test_an_error_while_reading_ahead_is_reported_as_always(tmp_path: Path, source: Path) -> None:
    whole = load(source)
    whole["annotations"][13] = "not an annotation"
    dump(tmp_path / "a.pkl", whole)
    messages = []
    for options in ({}, {"shuffle": SEED}):
        with pytest.raises(UnsupportedValueError) as caught:
            converters.convert(tmp_path / "a.pkl", tmp_path / "a.zarr", **options)  # type: ignore[arg-type]
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "annotations[13]" in messages[0]
