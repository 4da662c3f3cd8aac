"""The installed command: output, files, exit statuses and interruption of each command."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters import samples
from converters.cli import source_commands
from converters.cli.commands import cli as commands
from converters.cli.progress import progress
from converters.samples.skeletons import write_skeletons
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.processes import COMMAND, Done
from tests.support.source_contract import dump, load


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    assert COMMAND.exists(), "the package is not installed"
    return subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return dump(tmp_path / "a.pkl", samples.ntu_like(6))


@pytest.fixture
def store(tmp_path: Path, source: Path, run: Any) -> Path:
    assert run("convert", source, tmp_path / "a.zarr", "--workers", "1").status == 0
    return tmp_path / "a.zarr"


def check_sentence(done: Done) -> str:
    """Check that an error in the data is one sentence on stderr, exit status 1 and nothing else."""
    assert done.status == 1, (done.out, done.err)
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "a fault in skelstore itself" not in done.err, done.err
    [line] = done.err.splitlines()
    assert line.startswith("skelstore: ")
    return line


# ----------------------------------------------------------------------------------- the installed command


def test_the_installed_command_from_convert_to_export(tmp_path: Path, source: Path) -> None:
    done = command("convert", source, tmp_path / "a.zarr", "--workers", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'a.zarr'}: 6 videos, ")
    assert len(done.stdout.splitlines()) == 1, "no terminal: plain output"
    done = command("export", "a.zarr", "b.pkl", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b.pkl: 6 videos\n", "")
    assert_exact(load(tmp_path / "b.pkl"), load(source))


def test_the_installed_command_with_an_error() -> None:
    done = command("convert", "no such file", "out.zarr")
    check_sentence(Done(done.returncode, done.stdout, done.stderr))
    assert command("convert").returncode == 2


# ------------------------------------------------------------------------- show, merge, subset


def test_show(run: Any, store: Path) -> None:
    annotation = skelstore.open(store)[2]
    name = annotation["frame_dir"]
    done = run("show", store, name)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0].startswith(f"video 2: {name!r}, in ")
    shape = ", ".join(map(str, annotation["keypoint"].shape))
    least, most = annotation["keypoint"].min(), annotation["keypoint"].max()
    assert f"keypoint        <f2 [{shape}], {least:g} to {most:g}" in done.out
    assert f"label           int {annotation['label']}" in done.out
    assert run("show", store, 2).out == run("show", store, -4).out == done.out
    assert run("show", store).out == run("show", store, 0).out
    found = json.loads(run("show", store, name, "--json").out)
    assert (found["position"], found["name"]) == (2, name)
    assert found["splits"] == [str(split) for split, ids in skelstore.open(store).splits.items() if name in ids]
    assert [value["key"] for value in found["values"]] == list(annotation)
    assert found["values"][-1]["shape"] == list(annotation[found["values"][-1]["key"]].shape)


def test_show_prints_values_as_json(run: Any, tmp_path: Path) -> None:
    video = {
        "frame_dir": "a",
        "label": 3,
        "weight": np.float32(0.5),
        "count": np.int64(7),
        "ok": True,
        "none": None,
        "img_shape": (1080, 1920),
        "valid": {0.5: 3, "more": [np.int64(1), (2.5,), np.zeros((2, 3), "<f2")]},
        "odd": [float("nan"), float("inf"), np.float16("-inf")],
        "raw": b"ab",
        "long": 10**5000,
    }
    write(tmp_path / "a.zarr", [video])

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    done = run("show", tmp_path / "a.zarr", "--json")
    found = {one["key"]: one for one in json.loads(done.out, parse_constant=refuse)["values"]}
    values = {key: one["value"] for key, one in found.items()}
    array = {"type": "numpy.ndarray", "dtype": "<f2", "shape": [2, 3], "zeros": 6, "min": 0.0, "max": 0.0}
    assert values.pop("long")
    assert values == {
        "frame_dir": "a",
        "label": 3,
        "weight": 0.5,
        "count": 7,
        "ok": True,
        "none": None,
        "img_shape": [1080, 1920],
        "valid": {"0.5": 3, "more": [1, [2.5], array]},
        "odd": ["NaN", "Infinity", "-Infinity"],
        "raw": "b'ab'",
    }
    assert found["count"]["type"] == "numpy.int64"


def test_show_of_odd_videos(run: Any, tmp_path: Path) -> None:
    odd = np.array([np.nan, np.inf, 0, 1.5])
    videos = [
        {"frame_dir": "1", "none": None, "odd": odd, "long": "x" * 1000, 3: np.float32(1.5), "empty": np.zeros((0, 2))},
        {"frame_dir": "-x", "flags": np.array([True, False]), "label": (1, 2)},
        {"frame_dir": "twice"},
        {"frame_dir": "twice"},
        {},
    ]
    with skelstore.Writer(tmp_path / "a.zarr") as writer:
        for video in videos:
            writer.add(video)
        writer.splits[3] = ("-x",)
    lines = run("show", tmp_path / "a.zarr", "1").out.splitlines()
    assert lines[0] == "video 0: '1'", "a name takes precedence over a position"
    assert "  odd        <f8 [4], 0 to 1.5, 25% zeros, 2 not finite" in lines
    assert "  none       NoneType None" in lines
    assert "  3          numpy.float32 1.5" in lines
    assert "  empty      <f8 [0, 2]" in lines
    assert all(len(line) < 150 for line in lines)
    lines = run("show", tmp_path / "a.zarr", "-x").out.splitlines()
    assert lines[0] == "video 1: '-x', in 3"
    assert "  flags      |b1 [2], 0 to 1, 50% zeros" in lines
    assert run("show", tmp_path / "a.zarr", "4").out == "video 4: None\n"
    assert "named 'nobody'" in check_sentence(run("show", tmp_path / "a.zarr", "nobody"))
    assert "2 videos named 'twice'" in check_sentence(run("show", tmp_path / "a.zarr", "twice"))
    assert "none at position 17" in check_sentence(run("show", tmp_path / "a.zarr", "17"))
    with skelstore.Writer(tmp_path / "none.zarr"):
        pass
    assert "has 0 videos" in check_sentence(run("show", tmp_path / "none.zarr"))


def test_odd_splits_and_names_are_shown(run: Any, tmp_path: Path) -> None:
    array = np.arange(3)
    splits = {
        "number": np.array(5),
        "arrays": [array, "a"],
        "dict": {"a": 1},
        "\ud800": ("a",),
        7: np.array([1, 2]),
    }
    videos = [
        {"frame_dir": "a", "\ud800": 10**5000, "long": [10**5000]},
        {"frame_dir": ["a"]},
        {"frame_dir": array},
        {"frame_dir": 2},
    ]
    path = dump(tmp_path / "a.pkl", {"split": splits, "annotations": videos})
    assert run("convert", path, tmp_path / "a.zarr").status == 0
    done = run("info", tmp_path / "a.zarr")
    assert (done.status, done.err) == (0, "")
    lines = [line for line in done.out.splitlines() if line.startswith("split")]
    assert lines == [
        "split     arrays: 2 ids, 1 video",
        "split     \\ud800: 1 id, 1 video",
        "split     7: 2 ids, 1 video",
    ]
    lines = run("show", tmp_path / "a.zarr", "0").out.splitlines()
    assert lines[0] == "video 0: 'a', in arrays, dict, \\ud800"
    assert run("show", tmp_path / "a.zarr", "3").out.startswith("video 3: None, in 7\n")
    assert lines[2].split() == ["\\ud800", "int", "more", "than", "2**64"]
    for position in ("1", "2"):
        assert run("show", tmp_path / "a.zarr", position).out.startswith(f"video {position}: None\n")
    labels = [{"frame_dir": name, "label": 10**5000} for name in "abcd"]
    run("convert", dump(tmp_path / "b.pkl", labels), tmp_path / "b.zarr")
    assert run("split", tmp_path / "b.zarr", "-o", tmp_path / "c.zarr", "--parts", "train=0.5,val=0.5").status == 0


def test_lists_that_were_splits_become_one_data_set(run: Any, tmp_path: Path) -> None:
    """MMAction2 0.x has one bare list per split; merged and exported they are a pickle of PYSKL."""
    parts = {"train": samples.bare_list_like(5, seed=1), "val": samples.bare_list_like(3, seed=2)}
    for split, found in parts.items():
        for i, annotation in enumerate(found):
            annotation["frame_dir"] = f"{split}{i}"
            annotation.pop("filename", None)
        dump(tmp_path / f"{split}.pkl", found)
        assert run("convert", tmp_path / f"{split}.pkl", tmp_path / f"{split}.zarr", "--workers", "1").status == 0
    stores = [tmp_path / f"{split}.zarr" for split in parts]
    done = run("merge", *stores, "-o", tmp_path / "all.zarr", "--as-split", "train", "--as-split", "val")
    assert (done.status, done.out, done.err) == (0, f"{tmp_path / 'all.zarr'}: 8 videos\n", "")
    assert run("export", tmp_path / "all.zarr", tmp_path / "all.pkl").status == 0
    expected = {
        "split": {split: [a["frame_dir"] for a in found] for split, found in parts.items()},
        "annotations": [*parts["train"], *parts["val"]],
    }
    assert_exact(load(tmp_path / "all.pkl"), expected)
    assert run("merge", *stores, "-o", tmp_path / "list.zarr").status == 0
    assert run("export", tmp_path / "list.zarr", tmp_path / "list.pkl").status == 0
    assert_exact(load(tmp_path / "list.pkl"), expected["annotations"])


def test_a_merge_is_exported_as_the_pickle_of_all(run: Any, tmp_path: Path, source: Path, store: Path) -> None:
    more = samples.ntu_like(4, seed=5)
    for i, annotation in enumerate(more["annotations"]):
        annotation["frame_dir"] = f"more{i}"
    more = {"split": {"xsub_train": ["more0", "more3"], "new": ["more1"]}, "annotations": more["annotations"], "by": 3}
    dump(tmp_path / "more.pkl", more)
    assert run("convert", tmp_path / "more.pkl", tmp_path / "more.zarr", "--workers", "1").status == 0
    assert run("merge", store, tmp_path / "more.zarr", "-o", store, "--force").status == 0
    assert run("export", store, tmp_path / "all.pkl").status == 0
    expected = load(source)
    expected["annotations"] += more["annotations"]
    for split, ids in more["split"].items():
        expected["split"][split] = expected["split"].get(split, []) + ids
    assert_exact(load(tmp_path / "all.pkl"), {**expected, "by": 3})
    assert run("verify", store, "--level", "decode", "--against", tmp_path / "all.pkl").status == 0


def test_merge_of_stores_that_do_not_fit(run: Any, tmp_path: Path, store: Path) -> None:
    done = run("merge", store, store, "-o", tmp_path / "b.zarr")
    assert (done.status, done.out) == (1, "")
    first, conflict, advice = done.err.splitlines()
    assert first.startswith("skelstore: the stores contradict each other")
    assert conflict.startswith("ids: 6 video names both in")
    assert "--allow ids" in advice
    assert run("merge", store, store, "-o", tmp_path / "b.zarr", "--allow", "ids", "--copy").status == 0
    assert len(skelstore.open(tmp_path / "b.zarr")) == 12
    assert "exists" in check_sentence(run("merge", store, "-o", tmp_path / "b.zarr"))
    assert run("merge", "-o", tmp_path / "c.zarr").status == 2
    assert run("merge", store).status == 2
    assert run("merge", store, "-o", tmp_path / "c.zarr", "--allow", "all").status == 2
    assert run("merge", store, store, "-o", tmp_path / "c.zarr", "--as-split", "a").status == 2
    assert "does not exist" in check_sentence(run("merge", tmp_path / "no.zarr", "-o", tmp_path / "c.zarr"))


def test_merge_reports_how_many_videos_are_in_no_split(run: Any, tmp_path: Path, store: Path) -> None:
    write(tmp_path / "mine.zarr", [{"frame_dir": "mine", "label": 1}, {"label": 2}])
    done = run("merge", store, tmp_path / "mine.zarr", "-o", tmp_path / "b.zarr")
    assert (done.status, done.out) == (0, f"{tmp_path / 'b.zarr'}: 8 videos\n")
    assert done.err == "note: 2 videos are in no split; --as-split gives each store a split\n"
    done = run("merge", tmp_path / "mine.zarr", "-o", tmp_path / "c.zarr")
    assert done.err == "", "there are no splits"


def test_merge_with_cast(run: Any, tmp_path: Path) -> None:
    for name, dtype in (("half", "<f2"), ("full", "<f4")):
        write(tmp_path / name, [{"frame_dir": name, "keypoint": np.ones((1, 4, 17, 2), dtype)}])
    done = run("merge", tmp_path / "half", tmp_path / "full", "-o", tmp_path / "b.zarr")
    assert "write float16 as float32 (--cast; " in done.err
    assert run("merge", tmp_path / "half", tmp_path / "full", "-o", tmp_path / "b.zarr", "--cast").status == 0
    assert [one["keypoint"].dtype.str for one in skelstore.open(tmp_path / "b.zarr")] == ["<f4", "<f4"]


def test_subset(run: Any, tmp_path: Path, store: Path) -> None:
    whole = skelstore.open(store)
    names = [annotation["frame_dir"] for annotation in whole]
    split = next(name for name, ids in whole.splits.items() if 0 < len(ids) < 6)
    done = run("subset", store, tmp_path / "split.zarr", "--split", split)
    assert (done.status, done.err) == (0, "")
    found = skelstore.open(tmp_path / "split.zarr")
    assert_exact(list(found), list(whole.split(split)))
    assert done.out == f"{tmp_path / 'split.zarr'}: {len(found)} videos\n"
    (tmp_path / "ids").write_text(f"{names[4]}\n{names[1]}\n")
    assert run("subset", store, tmp_path / "ids.zarr", "--ids", tmp_path / "ids").status == 0
    assert_exact(list(skelstore.open(tmp_path / "ids.zarr")), [whole[4], whole[1]])
    labels = f"{whole[0]['label']},{whole[3]['label']}"
    where = f"total_frames >= {whole[3]['total_frames']}"
    assert run("subset", store, tmp_path / "l.zarr", "--labels", labels, "--where", where).status == 0
    wanted = {whole[0]["label"], whole[3]["label"]}
    expected = [a for a in whole if a["label"] in wanted and a["total_frames"] >= whole[3]["total_frames"]]
    assert_exact(list(skelstore.open(tmp_path / "l.zarr")), expected)
    assert run("export", tmp_path / "split.zarr", tmp_path / "split.pkl").status == 0
    assert_exact(load(tmp_path / "split.pkl")["annotations"], list(whole.split(split)))


def test_empty_and_invalid_subsets(run: Any, tmp_path: Path, store: Path) -> None:
    out = tmp_path / "b.zarr"
    assert run("subset", store, out).status == 2
    assert "none of 6 videos is selected" in check_sentence(run("subset", store, out, "--labels", "999"))
    assert "has no split 'no'" in check_sentence(run("subset", store, out, "--split", "no"))
    assert "has no column 'lable'" in check_sentence(run("subset", store, out, "--where", "lable < 3"))
    assert "is not an expression" in check_sentence(run("subset", store, out, "--where", "label <"))
    assert "exists" in check_sentence(run("subset", store, store, "--where", "label >= 0"))
    assert not out.exists()
    assert run("subset", store, store, "--where", "label >= 0", "--force").status == 0


def test_kinetics_merged_and_cut_down_export_their_kpfiles(run: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        contents, packs = samples.kinetics_like(6, seed=ord(name))
        kpfiles: dict[str, Any] = {}
        for annotation, keypoint in zip(contents["annotations"], packs.values(), strict=True):
            annotation["frame_dir"] = name + annotation["frame_dir"]
            annotation["raw_file"] = f"data/{name}.pkl"
            kpfiles[annotation["frame_dir"]] = {"keypoint": keypoint}
        dump(tmp_path / name / f"{name}.pkl", kpfiles)
        dump(tmp_path / f"{name}.pkl", {"split": {}, "annotations": contents["annotations"]})
        done = run("convert", tmp_path / f"{name}.pkl", tmp_path / f"{name}.zarr", "--kpfiles", tmp_path / name)
        assert done.status == 0, done.err
    stores = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    assert run("merge", *stores, "-o", tmp_path / "all.zarr").status == 0
    done = run("export", tmp_path / "all.zarr", tmp_path / "all.pkl", "--kpfiles", tmp_path / "all")
    assert done.status == 0, done.err
    for name in ("a", "b"):
        assert_exact(load(tmp_path / "all" / f"{name}.pkl"), load(tmp_path / name / f"{name}.pkl"))
    both = [annotation for name in ("a", "b") for annotation in load(tmp_path / f"{name}.pkl")["annotations"]]
    assert_exact(load(tmp_path / "all.pkl")["annotations"], both)
    (tmp_path / "ids").write_text("\n".join(annotation["frame_dir"] for annotation in both[3:8]))
    assert run("subset", tmp_path / "all.zarr", tmp_path / "few.zarr", "--ids", tmp_path / "ids").status == 0
    done = run("export", tmp_path / "few.zarr", tmp_path / "few.pkl", "--kpfiles", tmp_path / "few")
    assert done.status == 0, done.err
    assert_exact(load(tmp_path / "few.pkl")["annotations"], both[3:8])
    kept = {annotation["frame_dir"] for annotation in both[3:8]}
    for name in ("a", "b"):
        expected = {key: pack for key, pack in load(tmp_path / name / f"{name}.pkl").items() if key in kept}
        assert_exact(load(tmp_path / "few" / f"{name}.pkl"), expected)


# ------------------------------------------------------------------------------------------ each command


COMMANDS = tuple(commands.commands)


@pytest.mark.parametrize("name", ["", *COMMANDS])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(run: Any, name: str, option: str) -> None:
    done = run(*filter(None, [name, option]))
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: skelstore {name}".rstrip())
    for other in COMMANDS:
        assert name or other in done.out


def test_version(run: Any) -> None:
    done = run("--version")
    assert done.status == 0
    assert done.out.startswith("skelstore, version ")


@pytest.mark.parametrize("profile", ["fast", "default", "small"])
def test_convert_with_its_options(tmp_path: Path, source: Path, run: Any, profile: str) -> None:
    out = tmp_path / "a.zarr"
    arguments = ("convert", source, out, "--from", "pyskl", "--profile", profile, "--workers", "1")
    assert run(*arguments).status == 0
    with skelstore.open(out) as store:
        assert store.profile == profile
        assert_exact(list(store), load(source)["annotations"])
    assert "--force" in check_sentence(run(*arguments))
    assert run(*arguments, "--force").status == 0
    assert sorted(os.listdir(tmp_path)) == ["a.pkl", "a.zarr"]


def test_kinetics_on_the_command_line(tmp_path: Path, run: Any) -> None:
    dump(tmp_path / "toc.pkl", {"split": {}, "annotations": [{"frame_dir": "a"}, {"frame_dir": "b"}]})
    dump(tmp_path / "kpfiles" / "0.pkl", {"a": {"keypoint": np.zeros((2, 17, 3))}})
    arguments = ("convert", tmp_path / "toc.pkl", tmp_path / "a.zarr", "--kpfiles", tmp_path / "kpfiles")
    done = run(*arguments)
    assert done.status == 1
    assert "--skip-missing" in done.err
    assert "'b'" in done.err
    done = run(*arguments, "--skip-missing", "--workers", "1")
    assert done.status == 0
    assert "left out 1 video" in done.err
    done = run("verify", tmp_path / "a.zarr", "--against", tmp_path / "toc.pkl", "--kpfiles", tmp_path / "kpfiles")
    assert done.status == 0, done.err
    assert json.loads(run("info", "--json", tmp_path / "a.zarr").out)["left_out"][0]["name"] == "b"
    out = tmp_path / "out"
    out.mkdir()
    done = run("export", tmp_path / "a.zarr", out / "t.pkl", "--kpfiles", out / "k", "--kpfile-videos", "5")
    assert done.status == 0
    assert sorted(os.listdir(out)) == ["k", "t.pkl"]


def test_a_table_of_contents_without_its_kpfiles_is_noted(tmp_path: Path, run: Any) -> None:
    path = dump(tmp_path / "toc.pkl", {"split": {}, "annotations": [{"frame_dir": "a", "valid": {0.5: 3}}]})
    done = run("convert", path, tmp_path / "a.zarr")
    assert done.status == 0
    assert "--kpfiles" in done.err


@pytest.mark.parametrize("format_", ["pyskl", "list", "kinetics"])
def test_export_with_its_options(tmp_path: Path, store: Path, run: Any, format_: str) -> None:
    out = tmp_path / "out.pkl"
    done = run("export", store, out, "--format", format_)
    assert (done.status, done.err) == (0, "")
    assert out.exists()
    assert "--force" in check_sentence(run("export", store, out, "--format", format_))
    assert run("export", store, out, "--format", format_, "--force").status == 0


def test_info(store: Path, run: Any) -> None:
    done = run("info", store)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{store}: 6 videos, profile default\n")
    done = run("info", store, "--json")
    assert done.status == 0
    found = json.loads(done.out)
    assert found["videos"] == 6
    assert found["joints"] == [17]
    assert found["left_out"] == []
    assert found["source"]["dialect"] == "pyskl"
    assert found["splits"][0]["name"] == "xsub_train"
    assert {field["name"] for field in found["fields"]} == {"keypoint", "keypoint_score"}


def test_verify(tmp_path: Path, store: Path, source: Path, run: Any) -> None:
    for options in ([], ["--level", "decode"], ["--against", source], ["--level", "decode", "--against", source]):
        done = run("verify", store, *options)
        assert (done.status, done.err) == (0, ""), options
        assert done.out.endswith("no problem\n")
    other = samples.ntu_like(6)
    other["annotations"][3]["label"] += 1
    line = check_sentence(run("verify", store, "--against", dump(tmp_path / "b.pkl", other)))
    assert "annotations[3].label" in line
    statuses = [run("verify", store, "--against", tmp_path / "b.pkl", "--subset", f"{n}/3").status for n in (1, 2, 3)]
    assert statuses == [1, 0, 0], "the fourth video is in the first share"


@pytest.mark.parametrize("subset", ["0/2", "3/2", "1", "1/2/3", "a/b", "-1/2", "1/", "", "1/9" + 30 * "9"])
def test_an_invalid_share_is_a_usage_error(store: Path, subset: str, run: Any) -> None:
    done = run("verify", store, "--subset", subset)
    assert done.status == 2
    assert "expected N/M" in done.err


def test_verify_notes_files_that_the_system_has_left_in_a_store(store: Path, run: Any) -> None:
    (store / "keypoint" / ".DS_Store").write_bytes(b"x")
    done = run("verify", store, "--level", "decode")
    assert done.status == 0
    assert done.out.endswith("no problem\n")
    assert f"note: {store / 'keypoint' / '.DS_Store'} is not a file of the store" in done.err
    (store / "copy").mkdir()
    done = run("verify", store)
    assert done.status == 1
    assert f"{store / 'copy'} is not a folder of the store" in done.err


def test_verify_of_a_damaged_store(store: Path, run: Any) -> None:
    shard = next(p for p in sorted((store / "keypoint").rglob("*")) if p.is_file() and p.name != "zarr.json")
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1
    shard.write_bytes(data)
    assert run("verify", store).status == 0, "sizes and structure have not changed"
    done = run("verify", store, "--level", "decode")
    assert done.status == 1
    assert shard.name in done.err
    assert "Traceback" not in done.err
    shard.write_bytes(data[:-1])
    done = run("verify", store)
    assert done.status == 1
    assert shard.name in done.err
    shard.unlink()
    assert run("verify", store).status == 1
    (store / "zarr.json").unlink()
    check_sentence(run("verify", store))


def test_check(tmp_path: Path, source: Path, store: Path, run: Any) -> None:
    """Problems are reported in full on stdout, errors also by the exit status; warnings are not errors."""
    for path in (source, store):
        done = run("check", path)
        assert (done.status, done.err) == (0, "")
        assert done.out.splitlines()[-1].startswith(f"{path}: 6 videos, ")
    data = samples.ntu_like(6)
    data["annotations"][3]["total_frames"] += 1
    data["split"]["xsub_val"].append("nobody")
    done = run("check", dump(tmp_path / "b.pkl", data), "--for", "stgcn")
    assert (done.status, done.err) == (1, "")
    assert "error total-frames, 1 time:" in done.out
    assert f"{data['annotations'][3]['frame_dir']!r} (annotations[3])" in done.out
    assert "'nobody'" in done.out
    done = run("check", tmp_path / "b.pkl", "--json")
    assert done.status == 1
    assert [problem["kind"] for problem in json.loads(done.out)["problems"]][:2] == ["total-frames", "split-unknown"]
    check_sentence(run("check", tmp_path / "nothing.pkl"))


def test_check_of_own_data_and_of_raw_ntu(tmp_path: Path, run: Any) -> None:
    (tmp_path / "clips" / "a").mkdir(parents=True)
    np.save(tmp_path / "clips" / "a" / "0.npy", np.ones((4, 17, 2)))
    assert run("check", tmp_path / "clips", "--label-by", "folders").status == 0
    write_skeletons(tmp_path / "ntu", ["S001C001P001R001A001"])
    assert "with --recipe pyskl or mmaction2" in check_sentence(run("check", tmp_path / "ntu"))
    done = run("check", tmp_path / "ntu", "--recipe", "mmaction2", "--task", "ntu60")
    assert (done.status, done.err) == (0, "")


def test_split(tmp_path: Path, store: Path, run: Any) -> None:
    done = run("split", store, "-o", tmp_path / "b.zarr")
    assert (done.status, done.out, done.err) == (0, "train: 5 ids\nval: 1 id\n", "")
    done = run("split", store, "-o", tmp_path / "c.zarr", "--folds", "2", "--pattern", r"P(\d{3})", "--seed", "3")
    assert (done.status, done.err) == (0, "")
    with skelstore.open(tmp_path / "c.zarr") as opened:
        assert list(opened.splits) == ["fold1_train", "fold1_val", "fold2_train", "fold2_val"]
    line = check_sentence(run("split", store, "-o", tmp_path / "c.zarr"))
    assert "--force" in line
    check_sentence(run("split", tmp_path / "nothing", "-o", tmp_path / "d.zarr"))


def test_split_of_a_bare_list_explains_how_to_export_it(tmp_path: Path, run: Any) -> None:
    assert run("convert", dump(tmp_path / "l.pkl", samples.bare_list_like(6)), tmp_path / "l.zarr").status == 0
    done = run("split", tmp_path / "l.zarr", "-o", tmp_path / "m.zarr")
    assert done.status == 0
    assert "export with --format pyskl" in done.err
    assert run("export", tmp_path / "m.zarr", tmp_path / "m.pkl", "--format", "pyskl").status == 0
    assert set(load(tmp_path / "m.pkl")["split"]) == {"train", "val"}


def test_relabel_names_and_joints(tmp_path: Path, source: Path, run: Any) -> None:
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class {i}\n" for i in range(60)))
    options = ["--joints", "coco-17", "--labels", names]
    assert run("convert", source, tmp_path / "a.zarr", *options).status == 0
    done = run("info", tmp_path / "a.zarr")
    assert "joints    17: coco-17\n" in done.out
    assert "classes   60 names, 'class 0' to 'class 59'\n" in done.out
    done = run("relabel", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", "--compact")
    labels = [annotation["label"] for annotation in load(source)["annotations"]]
    kept = sorted(set(labels))
    assert (done.status, done.out, done.err) == (0, f"{tmp_path / 'b.zarr'}: {len(kept)} labels, now {len(kept)}\n", "")
    found = json.loads(run("info", tmp_path / "b.zarr", "--json").out)
    assert found["class_names"] == [f"class {label}" for label in kept]
    assert found["joint_layout"] == {"name": "coco-17", "stated": True, "reason": "stated", "derived": []}
    assert run("export", tmp_path / "b.zarr", tmp_path / "b.pkl").status == 0
    expected = load(source)
    for annotation in expected["annotations"]:
        annotation["label"] = kept.index(annotation["label"])
    assert_exact(load(tmp_path / "b.pkl"), expected)
    (tmp_path / "few.csv").write_text("0,1\n")
    check_sentence(run("relabel", tmp_path / "b.zarr", "-o", tmp_path / "c.zarr", "--map", tmp_path / "few.csv"))
    check_sentence(run("relabel", tmp_path / "b.zarr", "-o", tmp_path / "c.zarr", "--joints", "ntu-25"))
    check_sentence(run("convert", source, tmp_path / "c.zarr", "--joints", "ntu-25"))


def test_recognised_joints_are_reported_as_a_guess(store: Path, run: Any) -> None:
    assert "joints    17: perhaps coco-17 (17 joints in 2D; Human3.6M has 17 joints, too)\n" in run("info", store).out


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["convert"],
        ["convert", "a.pkl"],
        ["convert", "a.pkl", "a.zarr", "b"],
        ["convert", "a.pkl", "a.zarr", "--from", "nonsense"],
        ["convert", "a.pkl", "a.zarr", "--profile", "tiny"],
        ["convert", "a.pkl", "a.zarr", "--workers", "0"],
        ["convert", "a.pkl", "a.zarr", "--workers", "x"],
        ["convert", "a.pkl", "a.zarr", "--nonsense"],
        ["export", "a.zarr"],
        ["export", "a.zarr", "a.pkl", "--format", "single"],
        ["export", "a.zarr", "a.pkl", "--kpfile-videos", "0"],
        ["info"],
        ["verify"],
        ["verify", "a.zarr", "--against"],
        ["convert", "a.pkl", "a.zarr", "--joints", "coco"],
        ["check", "a.pkl", "--for", "nonsense"],
        ["split", "a.zarr"],
        ["split", "a.zarr", "-o", "b.zarr", "--folds", "1"],
        ["split", "a.zarr", "-o", "b.zarr", "--folds", "2", "--parts", "train=0.5,val=0.5"],
        ["split", "a.zarr", "-o", "b.zarr", "--parts", "train=0.8"],
        ["split", "a.zarr", "-o", "b.zarr", "--pattern", "P(["],
        ["split", "a.zarr", "-o", "b.zarr", "--pattern", "(P)", "--group", "label"],
        ["relabel", "a.zarr", "-o", "b.zarr"],
        ["relabel", "a.zarr", "-o", "b.zarr", "--compact", "--map", "a.csv"],
    ],
)
def test_usage_errors_end_with_status_2(run: Any, arguments: Sequence[str]) -> None:
    done = run(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert "Error: " in done.err
    assert "Traceback" not in done.err


def test_no_command_shows_the_help(run: Any) -> None:
    done = run()
    assert done.status in (0, 2)
    assert "Usage: skelstore" in done.out + done.err


def test_faulty_data_end_with_status_1_and_a_sentence(tmp_path: Path, source: Path, store: Path, run: Any) -> None:
    (tmp_path / "text.pkl").write_text("hello, world\n")
    (tmp_path / "empty.pkl").write_bytes(b"")
    (tmp_path / "short.pkl").write_bytes(source.read_bytes()[:-100])
    (tmp_path / "half.pkl").write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    (tmp_path / "folder").mkdir()
    dump(tmp_path / "scores.pkl", [np.zeros(3)])
    dump(tmp_path / "single.pkl", {"frame_dir": "a"})
    new = tmp_path / "new.zarr"
    before = sorted(os.listdir(tmp_path))
    for name in ("text.pkl", "empty.pkl", "short.pkl", "half.pkl", "folder", "scores.pkl", "absent.pkl", "a.zarr"):
        for options in ([], ["--from", "pyskl"], ["--from", "list"], ["--workers", "2"]):
            line = check_sentence(run("convert", tmp_path / name, new, *options))
            assert str(tmp_path / name) in line
    for wrong in ("pyskl", "list"):
        check_sentence(run("convert", tmp_path / "single.pkl", new, "--from", wrong))
    check_sentence(run("convert", source, tmp_path / "no" / "parent" / "a.zarr"))
    check_sentence(run("convert", source, source / "a.zarr"))
    check_sentence(run("convert", source, tmp_path / "folder"))
    check_sentence(run("convert", source, tmp_path / "text.pkl", "--force"))
    check_sentence(run("convert", source, new, "--from", "kinetics"))
    check_sentence(run("convert", source, new, "--kpfiles", tmp_path / "absent"))
    for name in ("absent", "folder", "text.pkl", "a.pkl"):
        check_sentence(run("info", tmp_path / name))
        check_sentence(run("verify", tmp_path / name))
        check_sentence(run("export", tmp_path / name, tmp_path / "out.pkl"))
    check_sentence(run("export", store, tmp_path / "no" / "out.pkl"))
    check_sentence(run("export", store, source))
    check_sentence(run("export", store, tmp_path / "out.pkl", "--kpfiles", tmp_path / "k"))
    check_sentence(run("verify", store, "--against", tmp_path / "absent"))
    check_sentence(run("verify", store, "--against", tmp_path / "text.pkl"))
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path, source: Path, run: Any) -> None:
    source.chmod(0)
    assert str(source) in check_sentence(run("convert", source, tmp_path / "a.zarr"))
    source.chmod(0o644)
    (tmp_path / "closed").mkdir(0o500)
    check_sentence(run("convert", source, tmp_path / "closed" / "a.zarr"))


def test_an_unreadable_file_is_not_a_usage_error(store: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """click would exit with the usage: a wrong argument is not a wrong use of the command."""
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert run("info", store).status == 0


def test_a_file_that_an_option_names_is_looked_for_first(source: Path, store: Path, run: Any, tmp_path: Path) -> None:
    new = tmp_path / "new.zarr"
    for arguments in (
        ("convert", source, new, "--labels"),
        ("convert", source, new, "--boxes"),
        ("convert", source, new, "--ignore"),
        ("relabel", store, "-o", new, "--map"),
        ("subset", store, new, "--ids"),
    ):
        for named in ("absent", tmp_path):
            done = run(*arguments, named)
            assert done.status == 2, arguments
            assert arguments[-1] in done.err
            assert str(named) in done.err


def test_bench_reports_at_once_what_it_cannot_write(store: Path, run: Any, tmp_path: Path) -> None:
    for option, named, what in (
        ("--json", tmp_path / "no" / "x.json", "there is no folder"),
        ("--plot", tmp_path / "x.foo", "has no suffix for plots"),
    ):
        done = run("bench", store, option, named)
        assert (done.status, done.out) == (2, "")
        assert what in done.err or "needs matplotlib" in done.err


def test_an_internal_error_is_reported_in_a_sentence(source: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(source_commands, "open_source", fail)
    done = run("convert", source, "x.zarr")
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert "a fault in skelstore itself (ZeroDivisionError: oh" in done.err


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt, 130, "interrupted"),
        (MemoryError, 1, "out of memory"),
        (lambda: OSError(28, "No space"), 1, "No space"),
        (lambda: RuntimeError("can't start new thread"), 1, "a thread cannot be started: allow more processes"),
    ],
)
def test_what_ends_a_conversion(
    source: Path, run: Any, monkeypatch: pytest.MonkeyPatch, error: Any, status: int, text: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error()

    monkeypatch.setattr(source_commands, "convert_source", fail)
    done = run("convert", source, "x.zarr")
    assert done.status == status
    assert text in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_closed_pipe_is_not_an_error(store: Path) -> None:
    read, written = os.pipe()
    os.close(read)
    with open(written, "wb") as pipe:
        done = subprocess.run([COMMAND, "info", store], stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


# --------------------------------------------------------------------------------------------- terminal


def terminal() -> tuple[int, int]:
    """Both ends of a terminal of 80 columns; a new one has 0, which is too narrow for a bar."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    return ours, theirs


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(20))
    ours, theirs = terminal()
    shown = b""
    try:
        with subprocess.Popen(
            [COMMAND, "convert", path, tmp_path / "a.zarr", "--workers", "1"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 0.1)[0]:
                    try:
                        data = os.read(ours, 65536)
                    except OSError:  # the other end is closed
                        break
                    if not data:
                        break
                    shown += data
            assert process.wait(30) == 0
    finally:
        os.close(ours)
    assert b"converting" in shown
    assert b"\r" in shown
    assert b"20 videos" in shown.splitlines()[-1]


def test_a_bar_leaves_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    ours, theirs = terminal()
    with os.fdopen(theirs, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        with progress("working", 10, " videos") as advance:
            for _ in range(10):
                advance(1)
            assert threading.active_count() == before
        ready = select.select([ours], [], [], 10)[0]
        shown = os.read(ours, 65536) if ready else b""
    os.close(ours)
    assert b"working" in shown


@pytest.mark.parametrize(
    "command", [["track", "a.zarr", "-o", "URL"], ["export", "a.zarr", "URL"], ["merge", "URL", "-o", "a.zarr"]]
)
def test_a_url_is_a_usage_error(command: list[str], run: Any) -> None:
    url = "s3://bucket/a.zarr"
    done = run(*(url if word == "URL" else word for word in command))
    assert done.status == 2
    assert f"{url} is a URL; expected the path of a local file or folder: download it first" in " ".join(
        done.err.split()
    )


def test_class_names_of_a_table_are_numbered_and_shown(tmp_path: Path, run: Any) -> None:
    (tmp_path / "clips").mkdir()
    rows = ["path,label"]
    for i, name in enumerate(("wave", "clap", "wave", "jump", "sit", "stand", "run")):
        np.save(tmp_path / "clips" / f"{i}.npy", np.ones((4, 17, 2)))
        rows.append(f"{i}.npy,{name}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    done = run("convert", tmp_path / "clips", tmp_path / "a.zarr", "--table", tmp_path / "t.csv")
    assert done.status == 0
    assert done.err == "classes: 0 'clap', 1 'jump', 2 'run', 3 'sit', 4 'stand' … (6 in all)\n"
    with skelstore.open(tmp_path / "a.zarr") as opened:
        assert opened.class_names == ["clap", "jump", "run", "sit", "stand", "wave"]
        assert [opened[i]["label"] for i in range(3)] == [5, 0, 5]
    assert (
        run("verify", tmp_path / "a.zarr", "--against", tmp_path / "clips", "--table", tmp_path / "t.csv").status == 0
    )
    (tmp_path / "names.txt").write_text("wave\nclap\njump\nsit\nstand\nrun\n")
    options = ("--table", tmp_path / "t.csv", "--labels", tmp_path / "names.txt", "--force")
    line = check_sentence(run("convert", tmp_path / "clips", tmp_path / "a.zarr", *options))
    assert "the class 'clap' has label 0" in line
    assert "label 1 in --labels" in line


def test_only_annotations_with_a_raw_file_get_the_hint_to_kpfiles(tmp_path: Path, run: Any) -> None:
    dump(tmp_path / "a.pkl", [{"frame_dir": "a", "label": 3}])
    done = run("convert", tmp_path / "a.pkl", tmp_path / "a.zarr")
    assert done.err == "note: no video has a keypoint\n"
    dump(tmp_path / "b.pkl", [{"frame_dir": "a", "label": 3, "raw_file": "k/a.pkl"}])
    assert "--kpfiles" in run("convert", tmp_path / "b.pkl", tmp_path / "b.zarr").err
