"""The label and split of a video from a name of NTU RGB+D, from a folder per class, or from the name of its class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from converters.inputs.ntu_names import ACTIONS_60, SUBJECTS_120
from converters.inputs.video_table import Row

LABEL_BY = ("folders", "ntu")
"""The words that ``--label-by`` accepts."""

_NTU = re.compile(r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R\d{3}A(?P<action>\d{3})")
_ACTION = re.compile(r"A(?P<action>\d{3})")


def label_by_ntu(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[Row], list[str]]:
    """The rows with the labels and splits that their names state; and the problems of names.

    Labels count from 0: ``A001`` is label 0, as in MMAction2's ntu_pose_extraction.py. Names of the full form
    ``S001C001P001R001A001`` give splits, too: by subject, and by camera (NTU RGB+D 60) or, if any action is above 60,
    by setup (NTU RGB+D 120). If there are problems, the rows are returned unchanged.
    """
    matches = [_NTU.search(name) or _ACTION.search(name) for name in names]
    problems = [
        f"{row.place}: {name!r} states no class; expected a name such as S001C001P001R001A001"
        for row, name, match in zip(rows, names, matches, strict=True)
        if match is None or match["action"] == "000"
    ]
    if problems:
        return list(rows), problems
    numbers_of = [{key: int(text) for key, text in match.groupdict().items()} for match in matches if match]
    by_setup = any(numbers["action"] > ACTIONS_60 for numbers in numbers_of)
    return [
        replace(row, label=numbers["action"] - 1, splits=_splits(by_setup, **numbers))
        for row, numbers in zip(rows, numbers_of, strict=True)
    ], []


def _splits(by_setup: bool, action: int, setup: int = 0, camera: int = 0, subject: int = 0) -> tuple[str, ...]:
    if not setup:
        return ()
    second = ("xset", setup % 2 == 0) if by_setup else ("xview", camera != 1)
    return tuple(f"{name}_{'train' if train else 'val'}" for name, train in (("xsub", subject in SUBJECTS_120), second))


def label_by_class_names(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows with labels instead of names of classes, and the classes, sorted by name and numbered from 0."""
    classes = sorted({row.class_name for row in rows if row.class_name is not None})
    labels = {name: label for label, name in enumerate(classes)}
    return [row if row.class_name is None else replace(row, label=labels[row.class_name]) for row in rows], classes


def label_by_folders(rows: Sequence[Row]) -> tuple[list[Row], list[str], list[str]]:
    """The rows with the labels and splits of their folders, the classes, and the problems of paths.

    A path is ``CLASS/file`` or ``SPLIT/CLASS/file``. The classes are sorted by name and numbered from 0. Rows with
    problems are left out.
    """
    problems = []
    folders = {}
    for row in rows:
        parts = PurePosixPath(row.path or "").parts
        if len(parts) not in (2, 3):
            problems.append(f"{row.place}: expected a file in CLASS/ or SPLIT/CLASS/")
            continue
        folders[row.place] = parts[:-1]
    classes = sorted({folder[-1] for folder in folders.values()})
    labels = {name: label for label, name in enumerate(classes)}
    labelled = [
        replace(row, label=labels[folders[row.place][-1]], splits=folders[row.place][:-1])
        for row in rows
        if row.place in folders
    ]
    return labelled, classes, problems
