"""The reader of ``.skeleton`` files equals a slow one on valid files and refuses all others with the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.dialects.ntu.skeleton_file import parse
from skelstore.errors import SourceError
from tests.support import ntu_reference
from tests.support.exact import assert_exact
from tests.support.ntu_files import REAL, one_body, skeleton_files


def check_parsed(data: bytes) -> None:
    """Check that the arrays of a file equal those of the slow reader bit by bit."""
    found = {
        key: np.ascontiguousarray(value) if key != "total_frames" else value
        for key, value in parse(data)._asdict().items()
    }
    expected = ntu_reference.raw(ntu_reference.read(data))
    assert_exact(found, {key: np.ascontiguousarray(v) if key != "total_frames" else v for key, v in expected.items()})


@given(skeleton_files())
@settings(max_examples=40)
def test_valid_files_are_read_as_a_slow_reader_does(data: bytes) -> None:
    check_parsed(data)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=11, max_size=11),
    st.sampled_from(["{!r}", "{:.17e}", "{:.7G}", "{:.1f}", "{:+.9f}"]),
)
@settings(max_examples=100)
def test_any_number_is_read_to_the_nearest_float(numbers: list[float], form: str) -> None:
    lines = one_body()
    texts = [form.format(number) for number in numbers]
    lines[4] = " ".join([*texts, "2"])
    skeleton = parse("\n".join(lines).encode())
    found = np.concatenate(
        [skeleton.position[0, 0], skeleton.depth[0, 0], skeleton.color[0, 0], skeleton.orientation[0, 0]]
    )
    assert_exact(found, np.array([float(text) for text in texts]))


@pytest.mark.parametrize("name", REAL)
def test_real_files(real_file: Callable[[str], Path], name: str) -> None:
    data = real_file(f"ntu/{name}.skeleton").read_bytes()
    check_parsed(data)
    skeleton = parse(data)
    assert skeleton.body_id.min() > 1 << 53
    assert skeleton.total_frames == len(np.unique(skeleton.frame_inds))


def test_body_ids_that_are_equal_as_floats_stay_apart() -> None:
    lines = one_body(2, (1 << 62) + 1)
    lines[30] = lines[30].replace(str((1 << 62) + 1), str((1 << 62) + 2))
    skeleton = parse("\n".join(lines).encode())
    assert float(skeleton.body_id[0]) == float(skeleton.body_id[1])
    assert skeleton.body_id.tolist() == [(1 << 62) + 1, (1 << 62) + 2]


def test_a_file_without_a_body_or_a_frame() -> None:
    for data, frames in ((b"0\n", 0), (b"3\r\n0\r\n0\r\n0\r\n", 3), (b" 1 \n\t0", 1)):
        skeleton = parse(data)
        assert skeleton.total_frames == frames
        assert skeleton.position.shape == (0, 25, 3)
        assert skeleton.tracking_state.shape == (0, 25)


def changed(line: int, text: str | None, *further: str) -> bytes:
    """The small file with a line (from 1) replaced by others, or removed."""
    lines = one_body()
    lines[line - 1 : line] = [] if text is None else [text, *further]
    return "\n".join(lines).encode()


JOINT = "1 2 3 4 5 6 7 8 9 10 11 2"
WHOLE = "\n".join(one_body()).encode()
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "blank": (b" \r\n\n", "the file is empty"),
    "text": (b"hello\n", "line 1: 'hello'; expected the number of frames"),
    "1e12 frames": (changed(1, "1000000000000"), "line 1: 1,000,000,000,000 frames are declared; the file has 56 more"),
    "endless digits": (changed(1, "9" * 5000), "line 1: '9999"),
    "negative frames": (changed(1, "-1"), "line 1: '-1'; expected the number of frames"),
    "a frame too many": (changed(1, "3"), "line 57: the file ends after 2 frames; line 1 declares 3"),
    "a frame too few": (changed(1, "1"), "line 30: more text after the last of 1 frame;"),
    "a body too many": (changed(2, "2"), "line 30: 1 value; expected the 10 of a body"),
    "a body too few": (changed(30, "0"), "line 31: more text after the last of 2 frames"),
    "1e12 bodies": (changed(30, "1000000000000"), "line 57: the file ends within a body; line 30 declares"),
    "no body count": (changed(2, None), "line 2: '72057594037944738"),
    "a blank line": (changed(2, "", "1"), "line 2: a blank line; expected the number of bodies of frame 1"),
    "a body id alone": (changed(3, "72057594037944738"), "line 3: 1 value; expected the 10 of a body"),
    "a float for a body id": (
        changed(3, "7.2e16 0 1 1 1 1 0 0.1 0.2 2"),
        "line 3: body id '7.2e16'; expected a 64-bit integer",
    ),
    "a huge body id": (changed(3, f"{1 << 63} 0 1 1 1 1 0 0.1 0.2 2"), "line 3: body id"),
    "26 joints": (changed(4, "26"), "line 4: 26 joints; expected the 25"),
    "27 joints": (changed(4, "27"), "line 4: 27 joints; expected the 25"),
    "3 columns": (changed(5, "1 2 3"), "line 5: 3 values; expected the 12 of a joint"),
    "a value too many": (changed(57, JOINT + " 7"), "line 57: 13 values; expected the 12 of a joint"),
    "a joint too many": (changed(29, JOINT, JOINT), "line 30: '1 2 3 4 5 6 7 8 9 10 11 2'; expected the number of b"),
    "a joint too few": (changed(29, None), "line 29: 1 value; expected the 12 of a joint"),
    "cut short": (WHOLE[: WHOLE.rindex(b"\n")], "line 56: the file ends within a body"),
    "cut in a line": (WHOLE[:-30], "line 57: "),
    "NaN": (changed(7, JOINT.replace("3", "NaN", 1)), "line 7: 'NaN'; expected a finite number"),
    "infinite": (changed(8, JOINT.replace("3", "-Infinity", 1)), "line 8: '-Infinity'; expected a finite number"),
    "too large": (changed(8, JOINT.replace("3", "1e400", 1)), "line 8: '1e400'; expected a finite number"),
    "NaN in a body": (changed(3, "72057594037944738 0 1 1 1 1 0 nan 0.2 2"), "line 3: 'nan'; expected a finite"),
    "no number": (changed(9, JOINT.replace("3", "1_0", 1)), "line 9: '1_0' is not a number"),
    "two dots": (changed(9, JOINT.replace("3", "1.2.3", 1)), "line 9: '1.2.3' is not a number"),
    "a decimal comma": (changed(9, JOINT.replace("3", "0,5", 1)), "line 9: '0,5' is not a number"),
    "no tracking state": (changed(9, JOINT[:-1] + "0.5"), "line 9: tracking state 0.5; expected an integer"),
    "a NUL": (changed(9, JOINT + "\0"), "line 9: byte 0x00 (byte "),
    "a stray byte": (changed(9, JOINT).replace(b"10 11", b"10\xff11"), "line 9: byte 0xff (byte "),
    "a delete": (changed(9, JOINT + "\x7f"), "line 9: '2\\x7f' is not a number"),
    "a byte order mark": (b"\xef\xbb\xbf" + WHOLE, "line 1: byte 0xef (byte 0 of the file)"),
    "UTF-16": (WHOLE.decode().encode("utf-16"), "line 1: byte 0xff"),
    "old Mac line ends": (WHOLE.replace(b"\n", b"\r"), "line 1: a carriage return without a line feed"),
    "more text": (WHOLE + b"\n\nend", "line 58: more text after the last of 2 frames"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_are_reported_with_the_line(what: str) -> None:
    data, beginning = BROKEN[what]
    with pytest.raises(SourceError) as error:
        parse(data)
    assert str(error.value).startswith(beginning)
    assert str(error.value).isprintable()


def test_windows_line_ends_change_nothing() -> None:
    assert_exact(parse(WHOLE.replace(b"\n", b"\r\n"))._asdict(), parse(WHOLE)._asdict())


def check_result_or_error(data: bytes) -> None:
    """Check that a file is read as by the slow reader, or refused with a sentence."""
    refused = None
    try:
        skeleton = parse(data)
    except SourceError as error:
        refused = str(error)
    if refused is None:
        assert skeleton.position.shape == (len(skeleton.body_id), 25, 3)
        check_parsed(data)
    else:
        assert refused.startswith(("line ", "the file "))
        assert len(refused) < 300


@given(st.binary(max_size=200) | st.text("0123456789 \n\r.-e25", max_size=300).map(str.encode))
@settings(max_examples=150)
def test_any_bytes_give_a_result_or_a_sentence(data: bytes) -> None:
    check_result_or_error(data)


@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 20), st.integers(0, 4), st.binary(max_size=3) | st.sampled_from([b"1", b"nan"])),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=150)
def test_changed_bytes_give_a_result_or_a_sentence(changes: list[tuple[int, int, bytes]]) -> None:
    data = WHOLE
    for position, length, new in changes:
        at = position % len(data)
        data = data[:at] + new + data[at + length :]
    check_result_or_error(data)
