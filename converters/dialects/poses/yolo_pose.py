"""Predictions of Ultralytics' pose models: a text file per frame, with a line per person.

A line is ``class xc yc w h (x y [score]) * V [box score] [track id]``; the box is given by its centre, and all
coordinates are fractions of the image with 6 digits (ultralytics/ultralytics, engine/results.py, ``Results.save_txt``).
The box score is written with ``save_conf``, the id by ``track``. The file of frame n, from 1, of video ``NAME`` is
``NAME_n.txt``; frames without a person have none, and the files of many videos share a folder.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from converters.dialects.dialect import POSE_OPTIONS, Dialect, recorded_pose_options
from converters.inputs.candidate import Candidate
from converters.inputs.clip_files import FrameFile, group_frames
from converters.inputs.detections import Detections
from converters.inputs.listing import Entry
from converters.inputs.pose_clips import PoseClips
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.joints import LAYOUTS
from skelstore.wording import shown

NAME = "yolo-pose"
SUFFIX = ".txt"
BOX = 5
"""Numbers before the joints: class, and centre, width and height of the box."""

_NOTES = (
    "coordinates were written with 6 digits, as fractions of the image",
    "total_frames is the last frame with a person + 1: Ultralytics does not write the number of frames",
    "box is x, y, width, height; in the file it is given by its centre",
    "the score of a joint is 1 where the file has only x and y, and class_id is kept where it is not 0",
)
_MOST_BYTES = 4 << 20
"""Bytes of one file: a thousand persons."""
_LOOKED_AT = 50
"""Lines of a clip by which its form is recognised."""
_IN_BOX = 0.75
"""Share of the joints that are in the box at least."""
_OTHER_FILES = ("classes.txt",)
_KNOWN = frozenset(map(len, LAYOUTS.values()))
_USUAL = 17
"""V of the models that Ultralytics publishes."""
_NUMBER = re.compile(rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")


class YoloPoseFiles(PoseClips):
    """Source of all ``NAME_n.txt`` below a folder or in a zip file, or of one of them: a clip per name.

    The number of joints follows from the lines of the first clip: 17 if that fits, else that of another joint layout.
    Options and errors are those of ``PoseClips``; raises SourceError for names without a number, too.
    """

    dialect = NAME
    suffixes = (SUFFIX,)
    notes = _NOTES
    fractions = True

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._frames: dict[str, list[FrameFile]] = {}
        super().__init__(path, **options)

    def _clips(self) -> list[Entry]:
        sizes = self._files.sizes
        names = [name for name in sizes if PurePosixPath(name).name.lower() not in _OTHER_FILES]
        clips, problems = group_frames(self.path.stem, names)
        refuse(str(self.path), problems)
        self._frames = {_clip_name(frames[0].name) or name: frames for name, frames in clips.items()}
        return [
            Entry(name, None, name, max(sum(sizes[frame.name] for frame in frames), 1))
            for name, frames in self._frames.items()
        ]

    def _names(self, entry: Entry) -> list[str]:
        return [frame.name for frame in self._frames[entry.file]]

    def _where(self, entry: Entry) -> str:
        return f"{self.path}: {entry.file}"

    def _layout(self, joints: int) -> str | None:
        return "coco-17" if joints == _USUAL else None

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        lines: list[_Line] = []
        for frame in self._frames[entry.file]:
            where = self._files.where(frame.name)
            for number, text in enumerate(self._files.read(frame.name, _MOST_BYTES).splitlines(), 1):
                if text.strip():
                    lines.append(_Line(frame.number, f"{frame.name}: line {number}", _numbers(text, where, number)))
        if self._frames[entry.file][0].number:  # the first frame is 1, and has no file if nobody is in it
            detections.see_frame(1)
        if not lines:
            return None
        form = _form(self._where(entry), lines, detections.joints)
        is_id = form.one_is_id(lines)
        for line in lines:
            _add(line, form, detections, is_id=is_id)
        return None


class _Line(NamedTuple):
    """A line: the number of its frame, its place, and its numbers."""

    frame: int
    place: str
    numbers: list[float]


class _Form(NamedTuple):
    """The form of the lines of a clip: V joints of ``width`` numbers, x and y, or x, y and score."""

    joints: int
    width: int

    @property
    def stop(self) -> int:
        """The numbers up to the end of the joints."""
        return BOX + self.joints * self.width

    def ends(self, line: _Line) -> bool:
        """Whether a line may end as this form does: two numbers behind the joints are a score and an id."""
        behind = line.numbers[self.stop :]
        return len(behind) < 2 or behind[1] == int(behind[1])

    def share_in_box(self, lines: Iterable[_Line]) -> float:
        """The share of the joints that are in the box of their person, or up to half its size beside it."""
        found = inside = 0
        for line in lines:
            _, centre_x, centre_y, width, height = line.numbers[:BOX]
            points = line.numbers[BOX : self.stop]
            for x, y in zip(points[:: self.width], points[1 :: self.width], strict=True):
                found += bool(x or y)
                inside += bool(x or y) and abs(x - centre_x) <= width and abs(y - centre_y) <= height
        return inside / found if found else 0.0

    def one_is_id(self, lines: Iterable[_Line]) -> bool:
        """Whether one number behind the joints is an id: if all such are whole, and no line has two."""
        behind = [line.numbers[self.stop :] for line in lines]
        return all(len(rest) < 2 and all(value == int(value) for value in rest) for rest in behind)


def _clip_name(file: str) -> str:
    """The path of a file without the number at its end."""
    path = PurePosixPath(file)
    stem = path.stem.rstrip("0123456789").rstrip("._- ")
    return "/".join([*path.parent.parts, stem]) if stem else ""


def _numbers(line: bytes, where: str, number: int) -> list[float]:
    tokens = line.split()
    for token in tokens:
        if not _NUMBER.fullmatch(token):
            raise SourceError(f"{where}: line {number}: {shown(token[:80].decode(errors='replace'))} is not a number")
    if len(tokens) < BOX + 2:
        raise SourceError(
            f"{where}: line {number} has {len(tokens)} numbers; expected class, box and joints of a person"
        )
    values = list(map(float, tokens))
    if not all(map(math.isfinite, values)):
        raise SourceError(f"{where}: line {number} has a number beyond float64; expected fractions of the image")
    return values


def _form(where: str, lines: Sequence[_Line], joints: int | None) -> _Form:
    """The form that fits all lines, with at most two numbers behind the joints. Raises SourceError if none is certain.

    Only in the right form are the joints where the box is. Of several such, that of ``_USUAL`` joints is taken.
    """
    counts = {len(line.numbers) - BOX for line in lines}
    forms = [
        _Form(v, width)
        for width in (3, 2)
        for v in range(max(-(-(max(counts) - 2) // width), 1), min(counts) // width + 1)
        if joints in (None, v)
    ]
    forms = [form for form in forms if all(form.ends(line) for line in lines[:_LOOKED_AT])]
    forms = [form for form in forms if form.share_in_box(lines[:_LOOKED_AT]) > _IN_BOX] or forms
    likely = [form for form in forms if form.joints in _KNOWN or BOX + min(counts) == form.stop]
    for best in ([form for form in forms if form.joints == _USUAL], likely, forms):
        if len(best) == 1:
            return best[0]
        if best:
            found = " or ".join(f"{form.joints} joints of {form.width} numbers" for form in best)
            raise SourceError(
                f"{where}: lines of {min(counts) + BOX} numbers may have {found}; expected a form that is certain: "
                "write them without save_conf and ids"
            )
    stated = "" if joints is None else f" of {joints} joints, as in the first clip"
    raise SourceError(
        f"{where}: its lines have {', '.join(str(count + BOX) for count in sorted(counts)[:5])} numbers, which fit no "
        f"pose{stated}; expected class, box, x y or x y score of each joint, and at most a score and an id"
    )


def _add(line: _Line, form: _Form, detections: Detections, *, is_id: bool) -> None:
    numbers = line.numbers
    points = numbers[BOX : form.stop]
    if form.width == 2:
        points = [
            value for x, y in zip(points[::2], points[1::2], strict=True) for value in (x, y, float(x != 0 or y != 0))
        ]
    behind = numbers[form.stop :]
    track = behind[-1] if len(behind) == 2 or (behind and is_id) else None
    score = behind[0] if len(behind) == 2 or (behind and not is_id) else None
    if track is not None and (track != int(track) or not 0 <= track < 2**31):
        raise SourceError(f"{line.place}: the id is {track:g}; expected a whole number from 0")
    if not any(points):
        detections.leave_out()
        return
    x, y, width, height = numbers[1:BOX]
    fields: dict[str, object] = {"box": [x - width / 2, y - height / 2, width, height]}
    if numbers[0]:
        fields["class_id"] = numbers[:1]
    detections.add(
        line.place, line.frame, points, score=score, track=None if track is None else int(track), fields=fields
    )


def recognise(candidate: Candidate) -> bool:
    """Whether it is such a file, or a folder or zip file whose first files are: numbers, of which 1 to 5 are a box."""
    if not candidate.is_folder and candidate.path.suffix.lower() not in (SUFFIX, ".zip"):
        return False
    return any(map(_begins_like_persons, candidate.heads(SUFFIX)))


def _begins_like_persons(head: bytes) -> bool:
    tokens = head.partition(b"\n")[0].split()
    if len(tokens) < BOX + 2 * 5 or not all(map(_NUMBER.fullmatch, tokens)):
        return False
    box = [float(token) for token in tokens[1:BOX]]
    return tokens[0].isdigit() and all(-1 <= value <= 2 for value in box) and box[2] > 0 and box[3] > 0


DIALECT = Dialect(
    NAME,
    "predictions of Ultralytics' pose models",
    "`NAME_n.txt` of YOLO pose models, a file per frame, in a folder or a zip file",
    recognise=recognise,
    open=YoloPoseFiles,
    options=POSE_OPTIONS,
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded_pose_options,
)
