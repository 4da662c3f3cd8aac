"""``skelstore draw``, ``Store.show`` and thumbnails: files, sentences, hostile stores, and what is imported."""

from __future__ import annotations

import base64
import os
import pty
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters.samples.pickles import iter_compressed_like, iter_ntu3d_like, iter_ntu_like
from skelstore import DrawingError
from skelstore.drawing import frame_svg, picture
from skelstore.drawing.scene import Options, scene_of
from tests.support.contracts import write
from tests.support.pictures import check_places, decoded, dots, scattered, set_matrix, write_film
from tests.support.processes import COMMAND, Done, run_python

pytest.importorskip("PIL", reason="Pillow is not installed here: pip install 'skelstore[draw]'")
pytest.importorskip("av", reason="PyAV is not installed here: pip install 'skelstore[draw]'")

MARKUP = "<script>alert(1)</script>&\"'\x1b[31m\u202e\n"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    names = {"class_names": ["sit down", "stand up"]}
    return write(tmp_path / "a.zarr", [scattered(12), scattered(3) | {"frame_dir": "other"}], source=names)


def check_sentence(done: Done, status: int = 1) -> str:
    assert (done.status, done.out) == (status, ""), done
    assert "Traceback" not in done.err
    assert "fault in skelstore" not in done.err
    return done.err.splitlines()[-1]


# ------------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("kind", ["png", "gif", "mp4", "svg"])
def test_a_file_of_each_kind(run: Any, store: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / f"out.{kind.upper()}"
    assert run("draw", store, "scattered", "-o", out) == (0, f"{out}\n", "")
    begins = {"png": b"\x89PNG", "gif": b"GIF89a", "mp4": b"\0\0\0", "svg": b"<svg "}[kind]
    first = out.read_bytes()
    assert first.startswith(begins)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", out.name]
    assert check_sentence(run("draw", store, "scattered", "-o", out)) == (
        f"skelstore: {out} exists: choose another name, or replace it with --force"
    )
    assert out.read_bytes() == first
    assert run("draw", store, -1, "-o", out, "--force").status == 0
    assert out.read_bytes() != first


def test_frames_of_a_file(run: Any, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.gif"
    assert run("draw", store, "-o", out, "--frames", "2:10:3", "--scale", "1").status == 0
    annotation = scattered(12)
    for frame, number in zip(decoded(out), (2, 5, 8), strict=True):
        check_places(dots(frame, (320, 240)), annotation["keypoint"][0, number])
    assert run("draw", store, "-o", tmp_path / "a.svg", "--frames", "7").status == 0
    shown = (tmp_path / "a.svg").read_text()
    assert "scattered, frame 7 of 12<" in shown
    assert ">stand up (1)<" in shown
    drawn = frame_svg(annotation, None, 7)
    assert re.findall("<circle[^>]*>", shown) == re.findall("<circle[^>]*>", drawn)


def test_a_failure_leaves_no_file(run: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture, "write_gif", fail)
    assert "No space left" in check_sentence(run("draw", store, "-o", tmp_path / "a.gif"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["-o", "a.jpeg"], 2, "a.jpeg ends in '.jpeg'; expected .png, .gif, .mp4 or .svg, or - for the terminal"),
        (["-o", "a.gfi"], 2, "; did you mean 'gif'?"),
        (["-o", "a"], 2, "a ends in 'no suffix'"),
        (["-o", "a.gif", "--frames", "1:2:0"], 2, "has the step 0; expected 1 or more"),
        (["-o", "a.gif", "--frames", "x"], 2, "'x' does not select frames; expected one, such as 12, or a slice"),
        (["-o", "a.gif", "--frames", ""], 2, "'' does not select frames"),
        (["-o", "a.gif", "--frames", "5:1"], 1, "no frame is selected of the 12 frames that the video has to draw"),
        (["-o", "a.gif", "--frames", "12"], 1, "--frames 12: the video has 12 frames to draw"),
        (["-o", "a.svg", "--frames", "1:9"], 1, "an svg has one frame, and --frames selects 8: give one, such as 12"),
        (["-o", "a.gif", "--persons", "a"], 2, "'a' does not select persons; expected numbers from 0, such as 0,2"),
        (["-o", "a.gif", "--scale", "0"], 2, "0"),
        (["-o", "a.gif", "--scale", "nan"], 2, "nan"),
        (["-o", "a.gif", "--scale", "1000"], 1, "would have 320,000 x 240,000 pixels; a side has at most 4,096"),
        (["-o", "a.gif", "--fps", "0"], 2, "0"),
        (["-o", "a.gif", "--heatmap", "limbs"], 2, "did you mean 'limb'?"),
        (["-o", "a.gif", "--heatmap", "limb"], 1, "needs a joint layout; state it with skelstore relabel --joints"),
        (["-o", "-", "--scale", "2"], 2, "-o - draws in the terminal: --scale, --fps, --heatmap and --video are for"),
        (["nobody", "-o", "a.gif"], 1, "has no video named 'nobody'"),
        (["-o", "no/such/folder/a.gif"], 1, "is not a folder"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Any, store: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, said: str
) -> None:
    monkeypatch.chdir(store.parent)
    assert said in check_sentence(run("draw", store, *arguments), status)
    assert [path.name for path in store.parent.iterdir()] == ["a.zarr"]


def test_what_no_video_is(run: Any, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.gif"
    for content in (
        b"",
        b"no video",
        b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ):
        (tmp_path / "film.mp4").write_bytes(content)
        said = check_sentence(run("draw", store, "-o", out, "--video", tmp_path / "film.mp4"))
        assert "film.mp4 is not a video that can be read" in said
        assert "passwd" not in said
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe" in check_sentence(run("draw", store, "-o", out, "--video", tmp_path / "pipe.mp4"))
    grey = [np.full((240, 320, 3), 90, np.uint8)] * 7
    film = write_film(tmp_path / "film.mp4", grey)
    whole = film.read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "cut.mp4").write_bytes(whole[: int(share * len(whole))])
        assert "cut.mp4" in check_sentence(run("draw", store, "-o", out, "--video", tmp_path / "cut.mp4"))
    said = check_sentence(run("draw", store, "-o", out, "--video", film))
    assert "has 7 frames, and the annotation 12: which frame belongs to which is not known" in said
    set_matrix(film, (0.7, 0.7, -0.7, 0.7))
    assert "no multiple of 90 degrees" in check_sentence(run("draw", store, "-o", out, "--video", film))
    film = write_film(tmp_path / "film.mp4", [np.full((320, 240, 3), 90, np.uint8)] * 12)
    said = check_sentence(run("draw", store, "-o", out, "--video", film))
    assert "shows frames of 240 x 320 pixels, and the image of the annotation has 320 x 240" in said
    assert not out.exists()


def test_3d_poses_do_not_lie_over_a_video(run: Any, tmp_path: Path) -> None:
    store = write(tmp_path / "a.zarr", iter_ntu3d_like(1))
    film = write_film(tmp_path / "film.mp4", [np.zeros((64, 64, 3), np.uint8)])
    for option in (["--video", film], ["--heatmap", "keypoint"]):
        said = check_sentence(run("draw", store, "-o", tmp_path / "a.gif", *option))
        assert "needs poses in the image, and these are 3D" in said


# -------------------------------------------------------------------------------------------------- the terminal


def test_the_terminal_gets_plain_text_without_a_terminal(run: Any, store: Path) -> None:
    done = run("draw", store, "scattered", "-o", "-")
    assert (done.status, done.err) == (0, "")
    *lines, caption = done.out.splitlines()
    assert caption == "stand up (1), scattered, frame 6 of 12"
    assert set("".join(lines)) <= {" ", *map(chr, range(0x2800, 0x2900))}
    assert any(line.strip("\u2800 ") for line in lines)
    several = run("draw", store, "scattered", "-o", "-", "--frames", "0:3").out
    assert [int(n) for n in re.findall(r"frame (\d+) of", several)] == [0, 1, 2]


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    store = write(tmp_path / "a.zarr", iter_ntu_like(1))

    def on_terminal(**environment: str) -> str:
        master, slave = pty.openpty()
        command = [COMMAND, "draw", str(store), "-o", "-"]
        env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | environment
        with subprocess.Popen(command, stdout=slave, stdin=slave, env=env):
            os.close(slave)
            shown = b""
            while True:
                try:
                    data = os.read(master, 65536)
                except OSError:
                    break
                if not data:
                    break
                shown += data
        os.close(master)
        return shown.decode()

    coloured = on_terminal(PYTHONUTF8="1")
    assert {"86;180;233", "245;138;46"} <= set(re.findall("\x1b\\[38;2;([0-9;]+)m", coloured))
    assert "\x1b" not in on_terminal(NO_COLOR="1", PYTHONUTF8="1")
    plain = on_terminal(NO_COLOR="1", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert "#" in plain
    assert plain.isascii()


# -------------------------------------------------------------------------------------------------- hostile stores


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MOST_FRAMES", 6)


def hostile() -> dict[str, dict[str, Any]]:
    wild = np.random.default_rng(0).normal(0, 1e3, (2, 8, 17, 2))
    wild[0, 0, :4] = [[np.nan, 1], [np.inf, 2], [-np.inf, 3], [1e300, -1e300]]
    usual = {"keypoint": wild, "img_shape": (240, 320)}
    return {
        "long": {"keypoint": np.ones((1, 1_000_000, 1, 2), np.float16), "img_shape": (240, 320)},
        "crowd": {"keypoint": wild[1:, :2].repeat(10_000, 0).astype(np.float32), "img_shape": (240, 320)},
        "numbers": usual,
        "all nan": {"keypoint": np.full((2, 3, 17, 2), np.nan), "img_shape": (240, 320)},
        "empty": {"keypoint": np.zeros((0, 3, 17, 2))},
        "huge": {"keypoint": wild, "img_shape": (10**9, 10**9)},
        "flat": {"keypoint": wild, "img_shape": (1, 10**7)},
        "no image": {"keypoint": wild, "img_shape": (0, -3)},
        "odd image": {"keypoint": wild, "img_shape": ("a", None), "original_shape": (float("nan"), 5)},
        "one place": {"keypoint": np.full((1, 3, 17, 2), 5.0)},
        "3d": {"keypoint": np.concatenate([wild, wild[..., :1]], -1)},
        "3d far": {"keypoint": np.full((1, 2, 25, 3), 3e38, np.float32)},
        "compressed": {
            "keypoint": np.concatenate([wild[0], wild[0, ..., :1]], -1),
            "frame_inds": np.array([2**62, 5, 5, -3, 0, 0, 1, 5]),
            "total_frames": -1,
        },
        "markup": usual | {"frame_dir": MARKUP, "label": MARKUP},
        "labels": usual | {"label": list(range(1000)), "fps": float("nan"), "total_frames": 10**30},
        "slow": usual | {"fps": 1e-9},
        "one person": {"keypoint": wild[0], "keypoint_score": np.ones((8, 17)), "img_shape": (240, 320)},
        "joints": {"keypoint": np.ones((1, 2, 1000, 2)) * np.arange(1000)[None, None, :, None]},
    }


@pytest.mark.parametrize("name", hostile())
@pytest.mark.usefixtures("few_frames")
@pytest.mark.filterwarnings("error")
def test_hostile_annotations_are_drawn(run: Any, tmp_path: Path, name: str) -> None:
    annotation = hostile()[name]
    store = write(tmp_path / "a.zarr", [{"frame_dir": name} | annotation])
    for kind in ("svg", "png", "gif"):
        done = run("draw", store, 0, "-o", tmp_path / f"a.{kind}")
        assert done.status == 0, done.err
        if name == "crowd":
            assert "of 10,000 persons at most 20 are drawn in a frame; choose them with --persons" in done.err
        if name == "long" and kind == "gif":
            assert "of 1,000,000 frames the first 6 are drawn; choose others with --frames" in done.err
    shown = (tmp_path / "a.svg").read_text()
    assert len(shown) < 200_000
    texts = "".join(ET.fromstring(shown).itertext())
    assert run("draw", store, 0, "-o", "-").status == 0
    with skelstore.open(store) as opened:
        page = opened._repr_html_()
        assert len(page) < 300_000
        assert ("<svg " in page) == (name != "empty") or name == "empty"
    if name == "numbers":
        assert run("draw", store, 0, "-o", tmp_path / "heat.png", "--heatmap", "keypoint").status == 0
    if name == "markup":
        for text in (shown, page):
            assert "<script" not in text
            assert "\x1b" not in text
        assert "<script>alert(1)</script>&\"'\\x1b[31m\\u202e\\n" in texts


def test_numbers_that_are_no_frames(run: Any, tmp_path: Path) -> None:
    keypoint = np.ones((2, 17, 3), np.float32)
    for number in (2**64 - 1, 2**63, 2**62 + 1):
        store = write(
            tmp_path / f"{number}.zarr", [{"keypoint": keypoint, "frame_inds": np.array([0, number], np.uint64)}]
        )
        for out in (tmp_path / "a.gif", "-"):
            said = check_sentence(run("draw", store, "-o", out))
            assert f"frame_inds has the number {number}; expected numbers of frames" in said
    with pytest.raises(DrawingError, match=r"--fps 1e\+09; expected 0.1 to 1000"):
        scene_of(scattered(2), None, (320, 240), options=Options(rate=1e9))


def test_damage_in_the_middle_leaves_no_file(run: Any, tmp_path: Path) -> None:
    keypoint = np.random.default_rng(0).uniform(0, 300, (1, 4000, 17, 2))
    store = write(tmp_path / "a.zarr", [{"frame_dir": "a", "keypoint": keypoint, "img_shape": (300, 300)}])
    (shard,) = store.glob("keypoint/c.*")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    for kind in ("gif", "mp4", "svg"):
        said = check_sentence(run("draw", store, "-o", tmp_path / f"a.{kind}"))
        assert "keypoint" in said
        assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    assert run("draw", store, "-o", tmp_path / "a.png", "--frames", "0:40").status == 0, "other chunks are intact"
    with skelstore.open(store) as opened:
        assert opened._repr_html_().endswith("</table>")


def test_what_is_asked_of_a_long_video_is_read(tmp_path: Path) -> None:
    """Memory: a strip of eight frames of a video of 68 MB."""
    keypoint = np.ones((1, 1_000_000, 17, 2), np.float16)
    store = write(tmp_path / "a.zarr", [{"frame_dir": "a", "keypoint": keypoint, "img_shape": (240, 320)}])
    peak = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); print(resource.getrusage("
        "resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = run_python(peak, COMMAND, "draw", store, "-o", tmp_path / "b.png")
    assert int(done.stdout.split()[-1]) < 220_000


# ---------------------------------------------------------------------------------------------------- notebooks


def test_a_store_plays_a_video(store: Path) -> None:
    with skelstore.open(store) as opened:
        shown = opened.show("scattered", frames=slice(0, 6, 2), scale=1.0, fps=10)
        assert shown.gif.startswith(b"GIF89a")
        assert shown.title == "stand up (1), scattered"
        page = shown._repr_html_()
        (data,) = re.findall(r'^<img alt="stand up \(1\), scattered" src="data:image/gif;base64,([^"]*)">$', page)
        assert base64.b64decode(data) == shown.gif
        assert len(repr(shown)) < 200
        path = store.parent / "a.gif"
        path.write_bytes(shown.gif)
        for frame, number in zip(decoded(path), (0, 2, 4), strict=True):
            check_places(dots(frame, (320, 240)), scattered(12)["keypoint"][0, number])
        with pytest.raises(skelstore.FrameIndexError, match="no frame is selected"):
            opened.show(0, frames=slice(50, 60))
        with pytest.raises(skelstore.VideoIndexError):
            opened.show(2)
        assert opened[1:].show(0).title == "stand up (1), other"


def test_a_store_shows_thumbnails(tmp_path: Path) -> None:
    videos = [*iter_ntu_like(4), *iter_compressed_like(2), *iter_ntu3d_like(2), {"frame_dir": "nothing to draw"}]
    with skelstore.open(write(tmp_path / "a.zarr", videos)) as opened:
        page = opened._repr_html_()
        assert page.count("<svg ") == 6
        assert all(video["frame_dir"] in page for video in videos[:6])
        page = opened[7:]._repr_html_()
        assert page.count("<svg ") == 1
        for svg in re.findall("<svg .*?</svg>", page):
            ET.fromstring(svg)
        assert opened[8:]._repr_html_().endswith("</table>")


# ------------------------------------------------------------------------------------------------ imports, packages

LOADED = "\nimport json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules} | set(sys.modules))))"
DRAWING = ("skelstore.drawing", "skelstore.heatmaps", "PIL", "av")


def test_importing_and_reading_load_nothing_that_draws(store: Path) -> None:
    code = "import sys, skelstore\nstore = skelstore.open(sys.argv[1])\nstore[0], repr(store), len(store)"
    loaded = run_python(code + LOADED, store, check=True).stdout
    assert not [name for name in DRAWING if f'"{name}"' in loaded]
    assert '"skelstore.read.store"' in loaded
    help_code = "import sys, skelstore.drawing, skelstore.read.drawn"
    loaded = run_python(help_code + LOADED, check=True).stdout
    assert '"PIL"' not in loaded
    assert '"av"' not in loaded


def test_without_the_extra_svg_and_terminal_work(store: Path, tmp_path: Path) -> None:
    code = """if True:
        import sys
        absent, store, *files = sys.argv[1:]
        sys.modules |= dict.fromkeys(absent.split(","))
        from converters.cli.entry import main
        for file in files:
            status = 0
            try:
                main(["draw", store, "-o", file])
            except SystemExit as end:
                status = end.code
            print(f"status {status}", file=sys.stderr)
    """
    kinds = [tmp_path / f"a.{kind}" for kind in ("svg", "png", "gif", "mp4")]
    said = run_python(code, "PIL,av", store, "-", *kinds).stderr.splitlines()
    assert said[:2] == ["status 0", "status 0"]
    assert said[3::2] == ["status 1"] * 3
    for sentence in said[2::2]:
        assert "png, gif and mp4 need Pillow, which cannot be imported" in sentence
        assert "pip install 'skelstore[draw]'" in sentence
    done = run_python(code, "av", store, kinds[-1])
    assert "mp4 and --video need PyAV, which cannot be imported" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "a.zarr"]
