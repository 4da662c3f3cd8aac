"""What the command line prints on a terminal, and where it cannot print: names from files never control it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import samples
from converters.cli import progress as progress_module
from converters.cli.commands import cli as commands
from converters.cli.progress import conversion_progress, progress, say
from converters.conversion.source import Reached
from skelstore.errors import SourceError, StoreError, UnsupportedValueError
from skelstore.wording import Lines, escape, join_lines
from tests.support.processes import COMMAND
from tests.support.source_contract import dump

FAKED = "FAKED"
HOSTILE = f"\x1b]0;PWN\x07\x1b[2J\r\n{FAKED}\x9b31m\t\u202e\u2066\u2069\u200e\u200f\u061c"
"""OSC, BEL, CSI, a carriage return and a newline before a faked line, C1, and bidirectional controls."""
RUN_ALL = """
import json, sys
from converters.cli import main
for arguments in json.load(open(sys.argv[1])):
    print("$", ascii(arguments), flush=True)
    try:
        main(arguments)
    except SystemExit:
        pass
"""


def on_terminal(*command: object, columns: int = 200, timeout: float = 300) -> str:
    """The output of a process on a terminal with ``columns`` columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    shown = b""
    try:
        with subprocess.Popen(list(map(str, command)), stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            while select.select([ours], [], [], timeout)[0]:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                if not data:
                    break
                shown += data
            process.wait(timeout)
    finally:
        os.close(ours)
    return shown.decode()


COLOUR = r"\x1b\[(?:0|38;2;\d{1,3};\d{1,3};\d{1,3})m"
"""A change of the colour of text, with which `skelstore draw` draws on a terminal."""


def check_tame(shown: str) -> None:
    """Check that there are only printable characters, and the newlines and carriage returns of skelstore."""
    assert {c for c in shown if not c.isprintable()} <= {"\r", "\n"}
    assert not re.search(rf"[\r\n]\s*{FAKED}", shown)


# ------------------------------------------------------------------------------------------ hostile names


def _videos() -> dict[str, Any]:
    return samples.ntu_like(4)


def _first(change: Callable[[dict[Any, Any]], Any]) -> dict[str, Any]:
    data = _videos()
    change(data["annotations"][0])
    return data


def _top(**more: Any) -> dict[str, Any]:
    return {**_videos(), **more}


def _twice() -> dict[str, Any]:
    data = _videos()
    for annotation in data["annotations"][:2]:
        annotation["frame_dir"] = HOSTILE
    return data


PLACES: dict[str, Callable[[], Any]] = {
    "name": lambda: _first(lambda a: a.update(frame_dir=HOSTILE)),
    "split": lambda: {**_videos(), "split": {HOSTILE: [], HOSTILE + "1": ["nobody"]}},
    "id of a split": lambda: {**_videos(), "split": {"train": [HOSTILE]}},
    "key": lambda: _first(lambda a: a.update({HOSTILE: 1})),
    "key of an array": lambda: _first(lambda a: a.update({HOSTILE: np.zeros((2, 3), "f4")})),
    "value": lambda: _first(lambda a: a.update(text=HOSTILE)),
    "label": lambda: _first(lambda a: a.update(label=HOSTILE)),
    "top key": lambda: _top(**{HOSTILE: {"x": 1}}),
    "class names": lambda: _top(class_names=[HOSTILE, "b"]),
    "refused value": lambda: _first(lambda a: a.update({HOSTILE: {1, 2}})),
    "refused values": lambda: _first(lambda a: a.update({HOSTILE: {HOSTILE: object}, HOSTILE + "b": {3}})),
    "two names": _twice,
    "keypoint": lambda: _first(lambda a: a.update(keypoint=HOSTILE)),
    "a list of dicts": lambda: [{HOSTILE: HOSTILE}],
    "a dict": lambda: {HOSTILE: 1},
}
"""Place of the hostile text -> the data with the text at that place."""


def _on_a_source(source: Path, folder: Path) -> Iterator[list[str]]:
    yield ["convert", str(source), str(folder / "a.zarr"), "--workers", "1"]
    yield ["convert", str(source), str(folder / "b.zarr"), "--workers", "1"]
    for options in ([], ["--for", "posec3d"], ["--json"]):
        yield ["check", str(source), *options]


def _on_a_store(source: Path, folder: Path) -> Iterator[list[str]]:
    store, other, out = str(folder / "a.zarr"), str(folder / "b.zarr"), str(folder / "out")
    for options in ([], ["--json"]):
        yield ["info", store, *options]
        yield ["show", store, *options]
        yield ["check", store, *options]
    yield ["show", store, HOSTILE]
    yield ["draw", store, "-o", "-"]
    yield ["draw", store, HOSTILE, "-o", f"{out}.svg"]
    yield ["draw", store, "-o", f"{folder}/{HOSTILE}.svg"]
    yield ["report", store, "-o", f"{folder}/{HOSTILE}.html", "--workers", "1"]
    yield ["verify", store, "--level", "decode", "--against", str(source)]
    yield ["verify", store, "--against", HOSTILE]
    yield ["merge", store, other, "-o", out]
    yield ["merge", store, "-o", f"{folder}/{HOSTILE}m"]
    yield ["split", store, "-o", f"{out}.s", "--folds", "2"]
    yield ["split", store, "-o", f"{out}.t", "--group", HOSTILE]
    yield ["relabel", store, "-o", f"{out}.r", "--compact"]
    yield ["subset", store, f"{out}.u", "--split", HOSTILE]
    yield ["subset", store, f"{out}.v", "--where", f"{HOSTILE} < 1"]
    yield ["subset", store, f"{out}.w", "--where", "nothing < 1"]
    yield ["derive", store, f"{out}.d", "--recipe", "pyskl"]
    yield ["export", store, f"{folder}/{HOSTILE}.pkl"]
    yield ["export", store, f"{out}.k", "--format", "kinetics"]
    yield ["bench", store, "--json", f"{folder}/{HOSTILE}/x.json"]


def _wrong_use() -> Iterator[list[str]]:
    yield [HOSTILE]
    yield [f"--{HOSTILE}"]
    for name in commands.commands:
        yield [name, HOSTILE, HOSTILE, f"--{HOSTILE}"]
        yield [name, HOSTILE, HOSTILE, HOSTILE]
        yield [name, HOSTILE, "-o", HOSTILE]
    for option in (
        "--from",
        "--workers",
        "--labels",
        "--joints",
        "--kpfiles",
        "--table",
        "--boxes",
        "--task",
        "--dask",
    ):
        yield ["convert", HOSTILE, HOSTILE, option, HOSTILE]
    for option in ("--parts", "--pattern", "--folds"):
        yield ["split", HOSTILE, "-o", "x", option, HOSTILE]
    yield ["verify", HOSTILE, "--subset", HOSTILE]
    yield ["subset", HOSTILE, "x", "--ids", HOSTILE]


def _files(folder: Path) -> Iterator[list[str]]:
    """Names of files and columns."""
    (folder / "pickles").mkdir()
    (folder / "pickles" / f"{HOSTILE}.pkl").write_bytes(b"garbage")
    yield ["convert", str(folder / "pickles"), str(folder / "p.zarr")]
    own = folder / f"{HOSTILE}.pkl"
    dump(own, _videos())
    yield ["convert", str(own), str(folder / f"{HOSTILE}.zarr"), "--workers", "1"]
    yield ["info", str(folder / f"{HOSTILE}.zarr")]
    arrays = folder / "arrays"
    arrays.mkdir()
    np.save(arrays / f"{HOSTILE}.npy", np.ones((4, 17, 2)))
    yield ["convert", str(arrays), str(folder / "r.zarr"), "--label-by", "folders"]
    table = folder / "table.csv"
    table.write_text(f'path,"{HOSTILE}",label\n"{HOSTILE}.npy",1,"{HOSTILE}"\n"{HOSTILE}",2,3\n', newline="")
    yield ["convert", str(arrays), str(folder / "t.zarr"), "--table", str(table)]
    (folder / "ntu").mkdir()
    (folder / "ntu" / f"{HOSTILE}.skeleton").write_text(HOSTILE, newline="")
    yield ["convert", str(folder / "ntu"), str(folder / "n.zarr")]
    names = folder / "names"
    names.write_text(f"{HOSTILE}\n", newline="")
    yield ["subset", str(folder / f"{HOSTILE}.zarr"), str(folder / "i.zarr"), "--ids", str(names)]


@pytest.mark.slow
def test_no_text_from_outside_acts_on_a_terminal(tmp_path: Path) -> None:
    """Every command with every place, on a terminal."""
    calls = [*_wrong_use(), *_files(tmp_path)]
    for number, make in enumerate(PLACES.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        source = dump(folder / "a.pkl", make())
        calls += [*_on_a_source(source, folder), *_on_a_store(source, folder)]
    assert {call[0] for call in calls} >= set(commands.commands)
    (tmp_path / "calls").write_text(json.dumps(calls))
    shown = on_terminal(sys.executable, "-c", RUN_ALL, tmp_path / "calls")
    blocks = shown.split("$ ")[1:]
    assert len(blocks) == len(calls)
    for call, block in zip(calls, blocks, strict=True):
        check_tame(re.sub(COLOUR, "", block) if call[0] == "draw" else block)
        assert "a fault in skelstore itself" not in block
        assert "Traceback" not in block
    assert "converting: " in shown, "there was a terminal"


def test_a_file_that_is_not_of_the_store_is_named_on_one_line(tmp_path: Path) -> None:
    source = dump(tmp_path / "a.pkl", _videos())
    assert "4 videos" in on_terminal(COMMAND, "convert", source, tmp_path / "a.zarr", "--workers", "1")
    (tmp_path / "a.zarr" / HOSTILE).write_text("1")
    shown = on_terminal(COMMAND, "verify", tmp_path / "a.zarr", columns=400)
    check_tame(shown)
    assert escape(HOSTILE) in shown


def test_refusals_of_workers_are_escaped(tmp_path: Path) -> None:
    videos = [{"frame_dir": str(i), "keypoint": np.ones((1, 2, 17, 2)), HOSTILE: {i}} for i in range(3)]
    shown = on_terminal(COMMAND, "convert", dump(tmp_path / "a.pkl", videos), tmp_path / "a.zarr", "--workers", "2")
    check_tame(shown)
    assert shown.count(escape(HOSTILE)) == 1, "problems that differ only in their place are one message"
    assert "(and 2 more like it: [1], [2])" in shown


def test_everything_is_printed_by_show_and_say() -> None:
    """No other module of the command line prints."""
    folder = Path(progress_module.__file__).parents[1]
    modules = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    printing = {name for name, path in modules.items() if re.search(r"\b(echo|print)\(", path.read_text())}
    assert printing == {"cli/printing.py", "cli/entry.py", "demo.py", "samples/__main__.py", "bench/fresh.py"}


def test_text_is_escaped_as_repr_does() -> None:
    for text in (HOSTILE, "", "plain", "a b", "é", "字", "\ud800", "\x7f", "\u2028", "a\\x1b"):
        assert escape(text).isprintable()
        assert escape(text) == repr(text)[1:-1].replace("\\\\", "\\")
        assert escape(escape(text)) == escape(text)
    lines = join_lines(["a\nb", "c"])
    assert lines == "a\\nb\nc"
    assert escape(lines) == lines
    assert escape(f"x{lines}") == "xa\\nb\\nc", "a part of a text is not trusted"


@pytest.mark.parametrize("kind", [StoreError, SourceError, UnsupportedValueError])
def test_an_error_shows_names_escaped(kind: type[Exception]) -> None:
    assert str(kind(f"{HOSTILE} is bad")) == f"{escape(HOSTILE)} is bad"
    assert str(kind(Lines("a\nb"))) == "a\nb"
    assert str(kind()) == "" if kind is not UnsupportedValueError else True


# ----------------------------------------------------------------------------- where nothing can be printed


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    source = dump(folder / "a.pkl", _videos())
    subprocess.run([COMMAND, "convert", source, folder / "a.zarr", "--workers", "1"], check=True, capture_output=True)
    return folder / "a.zarr"


def shell(line: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", line, str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "where",
    [">&-", pytest.param(">/dev/full", marks=pytest.mark.skipif("linux" not in sys.platform, reason="no /dev/full"))],
)
@pytest.mark.parametrize("arguments", [["info"], ["info", "--json"], ["show"], ["verify"], ["check"]])
def test_output_that_cannot_be_written_is_reported_in_a_sentence(store: Path, where: str, arguments: list[str]) -> None:
    done = shell(f'"$0" "$@" {where}', *arguments, store)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("skelstore: standard output: cannot be written (")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_closed_standard_error_does_no_harm(store: Path, tmp_path: Path, workers: int) -> None:
    source = store.with_name("a.pkl")
    done = shell('"$0" "$@" 2>&-', "convert", source, tmp_path / "a.zarr", "--workers", workers)
    assert (done.returncode, done.stderr) == (0, "")
    assert shell('"$0" "$@" <&- >&- 2>&-', "verify", tmp_path / "a.zarr", "--level", "decode").returncode == 1
    assert shell('"$0" "$@" 2>&-', "verify", tmp_path / "a.zarr", "--level", "decode").returncode == 0
    done = shell('"$0" "$@" 2>&-', "info", tmp_path / "nothing")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert shell('"$0" "$@" 2>&-', "convert").returncode == 2


# ------------------------------------------------------------------------------------------ limits of memory


@pytest.mark.skipif("linux" not in sys.platform, reason="only Linux holds processes to a limit of address space")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("megabytes", [60, 300, 540, 900, 1500])
def test_a_limit_of_address_space_is_reported_in_a_sentence(
    store: Path, tmp_path: Path, megabytes: int, workers: int
) -> None:
    source = store.with_name("a.pkl")
    limited = f'ulimit -v {megabytes * 1024}; exec "$0" "$@"'
    done = shell(limited, "convert", source, tmp_path / "a.zarr", "--workers", workers)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert "a fault in skelstore itself" not in done.stderr
    if done.returncode:
        assert re.search(r"(?m)^skelstore: ", done.stderr)
    if megabytes == 300:
        [line] = done.stderr.splitlines()
        assert "libraries cannot be loaded; the address space is limited to 300 MB" in line


ARGUMENTS = {
    **{name: ["x"] for name in ("info", "show", "check", "verify", "bench")},
    **{name: ["x", "y"] for name in ("convert", "export")},
    "derive": ["x", "y", "--recipe", "pyskl"],
    "draw": ["x", "-o", "y.svg"],
    "merge": ["x", "-o", "y"],
    "pull": ["s3://x/y", "z"],
    "push": ["x", "s3://y/z"],
    "relabel": ["x", "-o", "y", "--compact"],
    "report": ["x", "-o", "y"],
    "split": ["x", "-o", "y"],
    "subset": ["x", "y", "--labels", "1"],
    "track": ["x", "-o", "y", "--max-persons", "1"],
    "view": ["x"],
}
"""Arguments with which each command begins its work; `skelstore cache` and `datasets` need no library."""


def test_the_arguments_of_all_commands_are_known() -> None:
    assert {*ARGUMENTS, "cache", "datasets"} == set(commands.commands)


def with_broken(library: str, folder: Path, error: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a library whose import raises an error."""
    (folder / f"{library}.py").write_text(f"raise {error}")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("library", "arguments"),
    [
        *(("numpy", [name, *arguments]) for name, arguments in ARGUMENTS.items()),
        *((library, ["info", "x"]) for library in ("pyarrow", "numcodecs", "click", "tqdm")),
        *(("click", [option]) for option in ("--version", "-h")),
        ("numpy", ["convert", "-h"]),
    ],
)
def test_libraries_that_cannot_be_imported_are_reported_in_a_sentence(
    tmp_path: Path, library: str, arguments: list[str]
) -> None:
    done = with_broken(library, tmp_path, f"ImportError({HOSTILE!r})", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("skelstore: its libraries cannot be loaded (ImportError: ")
    assert line.isprintable()


@pytest.mark.parametrize("error", ["MemoryError()", "OSError(12, 'no memory')", "SystemError('error return')"])
def test_any_error_of_an_import_is_reported_in_a_sentence(tmp_path: Path, error: str) -> None:
    done = with_broken("pyarrow", tmp_path, error, "info", "x")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"skelstore: its libraries cannot be loaded ({error.partition('(')[0]}: ")


@pytest.mark.parametrize("arguments", [["--version"], ["-h"]])
def test_help_needs_no_library_that_a_command_needs(tmp_path: Path, arguments: list[str]) -> None:
    done = with_broken("numpy", tmp_path, "ImportError('broken')", *arguments)
    assert (done.returncode, done.stderr) == (0, "")


# --------------------------------------------------------------------------------------------------- progress


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


class Clock:
    """The clock of tqdm."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 2e9
        monkeypatch.setattr("tqdm.std.time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_conversion_looks_through_its_source_first(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with conversion_progress("converting") as report:
        report(Reached(0, 0, 1, 0, False))
        clock.now += 6
        report(Reached(0, 0, 12345, 0, False))
        clock.now += 1
        report(Reached(1, 1_000_000, 12345, 0, False))
        clock.now += 9
        report(Reached(1234, 50_000_000, 12345, 0, False))
        clock.now += 10
        report(Reached(2345, 100_000_000, 23456, 1_300_000_000, True))
    assert lines_of(capsys) == [
        "scanning the source, 12,345 videos so far",
        "converting: 1,234 videos, 50 MB, 5 MB/s; scanning the source, 12,345 videos so far",
        "converting: 2,345 of 23,456 videos, 100 of 1,300 MB, 5 MB/s, 04:00 left",
    ]


def test_rate_and_time_left(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with progress("exporting", 100_050, " videos") as advance:
        for seconds, n in ((6, 0), (1, 0), (5, 0), (2, 100), (10, 1100), (2, 0), (8, 1000), (100, 50_000)):
            clock.now += seconds
            advance(n)
    assert lines_of(capsys) == [
        "exporting: 0 of 100,050 videos",
        "exporting: 0 of 100,050 videos",
        "exporting: 1,200 of 100,050 videos, 100 videos/s, 16:28 left",
        "exporting: 2,200 of 100,050 videos, 100 videos/s, 16:18 left",
        "exporting: 52,200 of 100,050 videos, 454 videos/s, 01:45 left",
    ]


def test_there_is_no_rate_in_the_first_seconds(clock: Clock) -> None:
    """Nor in the first seconds after a pause."""
    with progress_module._open("exporting", 10_000, " videos") as line:
        shown = []
        for n in (0, 0, 100, 100, 100, 100):
            clock.now += 20 if not n else 1.25
            line.mininterval = 1
            line.update(n)
            shown.append("/s" in str(line))
    assert shown == [False, False, False, False, True, True]


def test_more_than_the_total_is_accepted(clock: Clock) -> None:
    for total, unit in ((0, "B"), (10**6, "B"), (0, " videos")):
        with progress_module._open("verifying", total, unit) as line:
            clock.now += 10
            line.update(5 * 10**6)
            assert str(line).startswith("verifying: 5")


def test_lines_become_less_frequent_without_a_terminal(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with progress("verifying", 10**12, "B") as advance:
        for _ in range(3600):
            clock.now += 1
            advance(10**8)
    shown = lines_of(capsys)
    assert 50 < len(shown) < 120
    assert shown[0] == "verifying: 500 of 1,000,000 MB, 100 MB/s, 2:46:35 left"
    assert not any("\r" in line for line in shown)


@pytest.mark.parametrize("columns", [30, 0])
def test_a_line_is_redrawn_on_a_terminal(columns: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its width, or a usual one if the terminal states none; and erased at the end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (2 if columns else 0, columns))
    with os.fdopen(theirs, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        with progress("verifying", 10**12, "B") as advance:
            advance(0)
            for _ in range(20):
                clock.now += 0.5
                advance(10**8)
        data = b""
        while select.select([ours], [], [], 0.5)[0]:
            data += os.read(ours, 65536)
    os.close(ours)
    shown = data.decode()
    drawn = [text.rstrip() for text in shown.split("\r") if text.strip()]
    assert len(drawn) == 21
    whole = "verifying: 2,000 of 1,000,000 MB, 200 MB/s, 1:23:10 left"
    assert drawn[-1] == (whole[:29] if columns else whole)
    assert shown.endswith("\r" + " " * len(drawn[-1]) + "\r")
    assert "\n" not in shown


def test_a_terminal_that_hangs_up_does_no_harm(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        with progress("verifying", 10, "B") as advance:
            advance(1)
            os.close(ours)
            with pytest.raises(OSError, match="Input/output error"):
                os.write(theirs, b"x")
            for _ in range(3):
                clock.now += 1
                advance(1)
        monkeypatch.undo()
        with suppress(OSError):
            screen.close()


def test_a_line_is_as_wide_as_the_terminal(tmp_path: Path) -> None:
    source = dump(tmp_path / "a.pkl", samples.ntu_like(30))
    shown = on_terminal(COMMAND, "convert", source, tmp_path / "a.zarr", "--workers", "1", columns=30)
    drawn = shown.split("\r\n")[0].split("\r")
    assert any(text.startswith("converting: ") for text in drawn)
    assert all(len(text) < 30 for text in drawn[:-1])


def test_say_is_silent_without_standard_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("a")
    with progress("working", 2, " videos") as advance:
        advance(1)
    assert capfd.readouterr() == ("", "")
