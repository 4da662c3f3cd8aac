"""Drawing a video of a store to a file or to the terminal, for ``skelstore draw``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from converters.outputs.output import new_file
from skelstore import Store
from skelstore.drawing.captions import caption_of
from skelstore.drawing.packages import pillow, pyav
from skelstore.drawing.picture import BOXES, KINDS, STRIP, Selection, draw
from skelstore.drawing.poses import poses
from skelstore.drawing.scene import Options, scene_of
from skelstore.drawing.svg import cut_text
from skelstore.drawing.terminal import frame_text
from skelstore.errors import DrawingError
from skelstore.read.drawn import drawn_frames
from skelstore.read.store import table_row
from skelstore.wording import closest

_FRAMES = re.compile(r"(-?\d{1,9})?(?:(:)(-?\d{1,9})?(?::(\d{1,9})?)?)?", re.ASCII)
_MOST_PERSONS = 1_000
"""Maximum number of persons that ``--persons`` names."""


def parse_frames(text: str) -> slice | int:
    """A frame or a slice of frames: ``12``, ``-1``, ``10:90``, ``10:90:2``. Raises DrawingError for other texts."""
    found = _FRAMES.fullmatch(text)
    if found is None or not text:
        raise DrawingError(f"{text!r} does not select frames; expected one, such as 12, or a slice, such as 10:90:2")
    first, colon, stop, step = found.groups()
    if colon is None:
        return int(first)
    if step is not None and int(step) == 0:
        raise DrawingError(f"{text!r} has the step 0; expected 1 or more")
    return slice(*(None if part is None else int(part) for part in (first, stop, step)))


def parse_persons(text: str) -> tuple[int, ...]:
    """The numbers of persons: ``0,2``. Raises DrawingError for other texts."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > _MOST_PERSONS or not all(re.fullmatch(r"\d{1,9}", part, re.ASCII) for part in parts):
        raise DrawingError(f"{text!r} does not select persons; expected numbers from 0, such as 0,2")
    return tuple(sorted({int(part) for part in parts}))


def kind_of_file(path: Path) -> str:
    """The kind of picture that the suffix of a file names. Raises DrawingError for other suffixes."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise DrawingError(
            f"{path} ends in {path.suffix or 'no suffix'!r}; expected .png, .gif, .mp4 or .svg, or - for the terminal"
            f"{closest(kind, KINDS)}"
        )
    return kind


def draw_file(
    store: Store, position: int, path: Path, frames: slice | int | None, options: Options, *, force: bool = False
) -> list[str]:
    """Draw the video at a position to a file; return sentences on what is not drawn.

    Raises DrawingError if it cannot be drawn in this way, FrameIndexError if it has no such frame, MissingPackageError
    if a package is not installed, and what ``new_file`` raises if the file cannot be written.
    """
    kind = kind_of_file(path)
    if kind != "svg" or options.heatmap is not None or options.video is not None:
        pillow()
    if kind == "mp4" or options.video is not None:
        pyav()
    selection = Selection(frames, {"png": STRIP, "svg": 1}.get(kind))
    annotation, chosen = drawn_frames(*table_row(store, position), selection.positions)
    names = store.class_names
    scene = scene_of(annotation, store.joints.layout, BOXES[kind], class_names=names, frames=chosen, options=options)
    with new_file(path, force=force) as file:
        return selection.notes + draw(scene, file, kind)


def terminal_lines(
    store: Store,
    position: int,
    frames: slice | int | None,
    size: tuple[int, int],
    *,
    coloured: bool,
    braille: bool = True,
    persons: Sequence[int] | None = None,
) -> list[str]:
    """The video at a position as lines of text for a terminal with this number of columns and lines.

    One frame is drawn, or up to eight one below the other if ``frames`` is a slice. Raises as ``draw_file`` does.
    """
    columns, lines = min(max(size[0], 20), 240), min(max(size[1] - 3, 8), 100)
    selection = Selection(frames, STRIP if isinstance(frames, slice) else 1)
    annotation, chosen = drawn_frames(*table_row(store, position), selection.positions)
    found = replace(poses(annotation, store.joints.layout), numbers=chosen.numbers)
    caption = caption_of(annotation, store.class_names, chosen.total)
    shown: list[str] = []
    for place, number in enumerate(chosen.numbers.tolist()):
        shown += frame_text(found, place, columns, lines, coloured=coloured, braille=braille, persons=persons)
        about = ", ".join(text for text in (caption.title, caption.name, caption.frame(number)) if text)
        shown.append(cut_text(about, columns))
    return shown
