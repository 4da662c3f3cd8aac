"""Parser of an NTU RGB+D file, ``SsssCcccPpppRrrrAaaa.skeleton``, and of UAV-Human's files, which have its form.

The file has the number of frames; per frame the number of bodies; per body a line of 10 values, the number of joints,
and a line of 12 values per joint (shahroudy/NTURGB-D, Matlab/read_skeleton_file.m). NTU RGB+D has 25 joints, UAV-Human
17. Lines end with LF or CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import SourceError
from skelstore.wording import counted, shown

JOINTS = 25
"""Joints of Kinect v2, V."""
JOINT_VALUES = 12
"""Values in the line of a joint."""
BODY_VALUES = 10
"""Values in the line of a body."""
_BLANK = b" \t\r\n"
_IS_BLANK = np.array([code in _BLANK for code in range(256)])
_COUNT = re.compile(rb"[0-9]{1,15}")
_BODY_ID = re.compile(rb"-?[0-9]{1,19}")
_KEPT_BYTES = 4 << 20
"""Size of the array that ``_keep_pages`` frees."""


class Skeleton(NamedTuple):
    """The content of one file: N bodies of V joints in all frames together, in the order of the file.

    ``frame_inds`` int32 [N]: the frame of each body, from 0, ascending. ``body_id`` int64 [N]. ``body`` float64 [N, 9]:
    clipped edges, left hand confidence, left hand state, right hand confidence, right hand state, restricted, lean x,
    lean y, tracking state. Of the joints, ``position`` float64 [N, V, 3]: x, y, z in metres; ``depth`` float64
    [N, V, 2]: x, y in the depth image; ``color`` float64 [N, V, 2]: x, y in the colour image; ``orientation``
    float64 [N, V, 4]: w, x, y, z; ``tracking_state`` uint8 [N, V]: 0 not tracked, 1 inferred, 2 tracked.
    """

    total_frames: int
    frame_inds: NDArray[np.int32]
    body_id: NDArray[np.int64]
    body: NDArray[np.float64]
    position: NDArray[np.float64]
    depth: NDArray[np.float64]
    color: NDArray[np.float64]
    orientation: NDArray[np.float64]
    tracking_state: NDArray[np.uint8]


def parse(data: bytes, joints: int = JOINTS) -> Skeleton:
    """The bodies of a file. Raises SourceError, which names the line, if it is not valid, or has not ``joints`` joints.

    Body ids exceed 2**53, so they are never converted to float. Other numbers become the nearest float64.
    """
    _keep_pages()
    text = _Text(data)
    total_frames = _total_frames(text)
    frames: list[int] = []
    lines: list[int] = []
    try:
        for frame, line in _walk(text, total_frames, joints):
            frames.append(frame)
            lines.append(line)
    finally:  # if a line is missing or superfluous, the first error is in the line of a joint
        rows = np.array(lines, np.intp)
        _check_values(text, rows, joints)
    numbers = text.numbers()
    _check_finite(text, numbers)
    # The tokens of a body are contiguous: its line, the number of joints, the joints.
    values = numbers[text.first[rows][:, None] + np.arange(BODY_VALUES + 1 + joints * JOINT_VALUES)]
    body = values[:, 1:BODY_VALUES]
    of_joints = values[:, BODY_VALUES + 1 :].reshape(-1, joints, JOINT_VALUES)
    states = _states(of_joints, rows)
    ids = [_body_id(text, line) for line in lines]
    return Skeleton(
        total_frames,
        np.array(frames, np.int32),
        np.array(ids, np.int64),
        body,
        position=of_joints[..., :3],
        depth=of_joints[..., 3:5],
        color=of_joints[..., 5:7],
        orientation=of_joints[..., 7:11],
        tracking_state=states,
    )


@cache
def _keep_pages() -> None:
    """Free a large array, once per process, so that glibc keeps the memory of smaller ones.

    glibc returns the memory of arrays above a threshold to the system as soon as they are freed. Each file would then
    fault in the same pages again, which takes a third of its time. Freeing an array raises the threshold to its size
    (mallopt(3), M_MMAP_THRESHOLD). The pages of this array are never touched.
    """
    np.empty(_KEPT_BYTES, np.uint8)


class _Text:
    """The positions of the lines of a file and of the tokens in them; each token ends with one blank.

    There are few large arrays, and they are kept small: allocating their pages takes a good part of the time.
    """

    def __init__(self, data: bytes) -> None:
        self.data = _with_line_feeds(data)
        codes = np.frombuffer(self.data, np.uint8)
        ends = np.flatnonzero(codes <= ord(" ")).astype(np.int32)
        if not (self.data.isascii() and _IS_BLANK[codes[ends]].all()):
            raise _stray_byte_error(data)
        if len(ends) and (ends[0] == 0 or (np.diff(ends) == 1).any()):  # several blanks between tokens
            self.data = b"\n".join([b" ".join(line.split()) for line in self.data.split(b"\n")])
            codes = np.frombuffer(self.data, np.uint8)
            ends = np.flatnonzero(codes <= ord(" ")).astype(np.int32)
        newlines = np.flatnonzero(codes[ends] == ord("\n"))
        self._ends = np.append(ends, np.int32(len(codes)))
        """The position at which each token ends."""
        self.first = np.concatenate([[0], newlines + 1, [len(self._ends)]])
        """The index of the first token of each line; at the end, the number of all tokens."""
        self.tokens = np.diff(self.first).tolist()
        """The number of tokens in each line. A blank line has one, which is empty."""
        self._line_ends = [*ends[newlines].tolist(), len(codes)]

    def __len__(self) -> int:
        """The number of lines, without blank lines at the end."""
        return len(self.tokens)

    def line(self, line: int) -> bytes:
        return self.data[self._line_ends[line - 1] + 1 if line else 0 : self._line_ends[line]]

    def token(self, index: int) -> bytes:
        return self.data[self._ends[index - 1] + 1 if index else 0 : self._ends[index]]

    def line_of_token(self, index: int) -> int:
        return int(np.searchsorted(self.first, index, "right")) - 1

    def numbers(self) -> NDArray[np.float64]:
        """All tokens as numbers. Raises SourceError for the first that is not a number."""
        import pyarrow as pa  # here, so that the dialect can be declared without it

        count = len(self._ends)
        offsets = np.zeros(count + 1, np.int32)
        np.subtract(self._ends, np.arange(count, dtype=np.int32), out=offsets[1:])  # without the blanks before
        characters = self.data.translate(None, _BLANK)
        tokens = pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(characters)])
        try:
            numbers: NDArray[np.float64] = tokens.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            for index in range(count):
                try:
                    tokens[index].cast(pa.float64())
                except pa.ArrowInvalid:
                    line = self.line_of_token(index)
                    raise SourceError(f"line {line + 1}: {shown(self.token(index).decode())} is not a number") from None
            raise
        return numbers


def _with_line_feeds(data: bytes) -> bytes:
    """The text with LF as line ends, and without blanks at its end. Raises SourceError if it is empty."""
    text = data.rstrip(_BLANK)
    if not text:
        raise SourceError("the file is empty; expected the number of frames in its first line")
    if 13 in text:
        text = text.replace(b"\r\n", b"\n")
        if (position := text.find(b"\r")) >= 0:
            raise SourceError(
                f"line {text.count(10, 0, position) + 1}: a carriage return without a line feed; expected lines that "
                "end with LF or CRLF"
            )
    return text


def _stray_byte_error(data: bytes) -> SourceError:
    """The error for the first byte that cannot be part of a text of numbers."""
    position = next(i for i, byte in enumerate(data) if byte > 126 or (byte < 32 and byte not in _BLANK))
    return SourceError(
        f"line {data.count(10, 0, position) + 1}: byte 0x{data[position]:02x} (byte {position} of the file) cannot "
        "be part of a text of numbers: the file is damaged"
    )


def _total_frames(text: _Text) -> int:
    total_frames = _number(text, 0, "the number of frames")
    if total_frames > len(text) - 1:
        raise SourceError(
            f"line 1: {counted(total_frames, 'frame is', 'frames are')} declared; the file has "
            f"{counted(len(text) - 1, 'more line')}"
        )
    return total_frames


def _walk(text: _Text, total_frames: int, joints: int) -> Iterator[tuple[int, int]]:
    """Yield the frame and the first line of each body, both from 0. Raises SourceError if the structure is invalid."""
    count = len(text)
    body_lines = 2 + joints
    line = 1
    for frame in range(total_frames):
        if line >= count:
            raise SourceError(
                f"line {count}: the file ends after {counted(frame, 'frame')}; line 1 declares {total_frames:,}: it "
                "is cut short"
            )
        bodies = _number(text, line, f"the number of bodies of frame {frame + 1}")
        for body in range(bodies):
            start = line + 1 + body * body_lines
            _check_body(text, start, bodies, line, joints)
            yield frame, start
        line += 1 + bodies * body_lines
    if line < count:
        raise SourceError(
            f"line {line + 1}: more text after the last of {counted(total_frames, 'frame')}; expected the end"
        )


def _check_body(text: _Text, start: int, bodies: int, declared: int, joints: int) -> None:
    """Raise SourceError if no complete body with ``joints`` joints begins at the line ``start``."""
    if start < len(text) and text.tokens[start] != BODY_VALUES:
        raise SourceError(f"line {start + 1}: {_values(text, start)}; expected the {BODY_VALUES} of a body")
    if start + 1 < len(text) and text.line(start + 1) != b"%d" % joints:
        stated = _number(text, start + 1, "the number of joints")
        if stated != joints:
            whose = " of Kinect v2" if joints == JOINTS else ""
            raise SourceError(f"line {start + 2}: {counted(stated, 'joint')}; expected the {joints}{whose}")
    if start + 2 + joints > len(text):
        raise SourceError(
            f"line {len(text)}: the file ends within a body; line {declared + 1} declares {bodies} of "
            f"{2 + joints} lines each: it is cut short, or that number is wrong"
        )


def _check_values(text: _Text, rows: NDArray[np.intp], joints: int) -> None:
    """Raise SourceError if the line of a joint does not have 12 values."""
    lines = (rows[:, None] + np.arange(2, 2 + joints)).ravel()
    wrong = np.diff(text.first)[lines] != JOINT_VALUES
    if wrong.any():
        line = int(lines[wrong.argmax()])
        raise SourceError(f"line {line + 1}: {_values(text, line)}; expected the {JOINT_VALUES} of a joint")


def _check_finite(text: _Text, numbers: NDArray[np.float64]) -> None:
    finite = np.isfinite(numbers)
    if not finite.all():
        token = int(finite.argmin())
        line = text.line_of_token(token)
        raise SourceError(f"line {line + 1}: {shown(text.token(token).decode())}; expected a finite number")


def _states(joints: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The tracking states [N, V]. Raises SourceError if one is not an integer from 0 to 255."""
    states = joints[..., -1]
    known = (states >= 0) & (states < 256) & (states == np.floor(states))
    if not known.all():
        body, joint = np.argwhere(~known)[0]
        line = rows[body] + 2 + joint
        raise SourceError(f"line {line + 1}: tracking state {states[body, joint]}; expected an integer from 0 to 255")
    return states.astype(np.uint8)


def _body_id(text: _Text, line: int) -> int:
    token = text.line(line).split(maxsplit=1)[0]
    if _BODY_ID.fullmatch(token) and -(1 << 63) <= (body_id := int(token)) < 1 << 63:
        return body_id
    raise SourceError(f"line {line + 1}: body id {shown(token.decode())}; expected a 64-bit integer")


def _number(text: _Text, line: int, what: str) -> int:
    content = text.line(line)
    if not _COUNT.fullmatch(content):
        raise SourceError(f"line {line + 1}: {shown(content.decode()) if content else 'a blank line'}; expected {what}")
    return int(content)


def _values(text: _Text, line: int) -> str:
    count = len(text.line(line).split())
    return f"{count} value{'s'[: count != 1]}"
