"""The names of NTU RGB+D samples, and the order and the splits that follow from them.

A name is ``SsssCcccPpppRrrrAaaa``: setup, camera, subject, repetition, action. The splits are those of Shahroudy et
al., NTU RGB+D (2016), and Liu et al., NTU RGB+D 120 (2019), as PYSKL's ntu_preproc.py, MMAction2's
gen_ntu_rgbd_raw.py and CTR-GCN's seq_transformation.py write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from skelstore.errors import SourceError
from skelstore.format.files import open_regular

Task: TypeAlias = Literal["ntu60", "ntu120"]
TASKS: tuple[Task, ...] = get_args(Task)
"""The data sets whose splits can be made."""
ACTIONS_60 = 60
"""The number of actions in NTU RGB+D 60. Higher action numbers are in NTU RGB+D 120 only."""
ACTIONS: Mapping[str, int] = {"ntu60": ACTIONS_60, "ntu120": 120}
"""The number of actions in each data set."""

SUBJECTS_60 = frozenset([1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38])
SUBJECTS_120 = SUBJECTS_60 | {
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89),
    *(91, 92, 93, 94, 95, 97, 98, 100, 103),
}
"""Subjects whose samples train in the split by subject, xsub, of NTU RGB+D 60 and 120."""

_PATTERN = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
_SUFFIX = ".skeleton"


class Sample(NamedTuple):
    """A sample: its name, and the numbers in it."""

    name: str
    setup: int
    camera: int
    subject: int
    repetition: int
    action: int

    @property
    def label(self) -> int:
        """The action, counted from 0."""
        return self.action - 1


def sample(name: str) -> Sample:
    """The sample with a name. Raises SourceError if the name is not one of NTU RGB+D."""
    match = _PATTERN.fullmatch(name)
    if match is None or not int(match[5]):
        raise SourceError(
            f"{name!r} is not a name of NTU RGB+D; expected SsssCcccPpppRrrrAaaa, such as S001C001P001R001A001"
        )
    return Sample(name, *map(int, match.groups()))


def task_of(samples: Iterable[Sample]) -> Task:
    """``ntu120`` if there is an action above 60, else ``ntu60``."""
    return "ntu120" if any(one.action > ACTIONS_60 for one in samples) else "ntu60"


def in_order(samples: Iterable[Sample], recipe: Recipe, task: Task) -> list[Sample]:
    """The samples that a recipe includes for a task, in its order.

    They are sorted by name, and ``ntu60`` includes only the first 60 actions. ``mmaction2`` includes all actions for
    both tasks, and the training samples of xsub come first.
    """
    ordered = sorted(samples)
    if recipe != "mmaction2":
        return [one for one in ordered if task == "ntu120" or one.action <= ACTIONS_60]
    return sorted(ordered, key=lambda one: not _trains(one, "xsub", recipe, task))


def splits(samples: Sequence[Sample], recipe: Recipe, task: Task) -> dict[str, list[str]]:
    """``xsub_train``, ``xsub_val``, and ``xview_…`` for ``ntu60`` or ``xset_…`` for ``ntu120``, each sorted by name.

    For ``ctrgcn`` they are in the order of the rows in CTR-GCN's arrays: by subject, camera or setup, then by name.
    """
    ids = {}
    for benchmark in ("xsub", "xview" if task == "ntu60" else "xset"):
        number = _NUMBERS[benchmark]
        among = [one for one in samples if recipe != "ctrgcn" or 1 <= number(one) <= _LAST[task][benchmark]]
        if recipe == "ctrgcn":
            among.sort(key=lambda one: (number(one), one.name))
        else:
            among.sort()
        for part, wanted in (("train", True), ("val", False)):
            ids[f"{benchmark}_{part}"] = [one.name for one in among if _trains(one, benchmark, recipe, task) is wanted]
    return ids


_NUMBERS: dict[str, Callable[[Sample], int]] = {
    "xsub": attrgetter("subject"),
    "xview": attrgetter("camera"),
    "xset": attrgetter("setup"),
}
"""Benchmark -> the number that decides whether a sample is for training."""
_LAST = {"ntu60": {"xsub": 40, "xview": 3}, "ntu120": {"xsub": 106, "xset": 32}}
"""The last of these numbers in CTR-GCN's lists, which begin with 1. Other samples are in none of its arrays."""
_STRICT = ("mmaction2", "ctrgcn")
"""The recipes whose scripts list the subjects of NTU RGB+D 60, and the cameras, that train."""


def _trains(one: Sample, benchmark: str, recipe: Recipe, task: Task) -> bool:
    """Whether a sample is for training. The scripts differ only for names that are in neither data set."""
    if benchmark == "xsub":
        return one.subject in (SUBJECTS_60 if recipe in _STRICT and task == "ntu60" else SUBJECTS_120)
    if benchmark == "xview":
        return one.camera in (2, 3) if recipe in _STRICT else one.camera != 1
    return one.setup % 2 == 0 and (recipe != "mmaction2" or 2 <= one.setup <= 32)


def ignored_names(path: Path) -> frozenset[str]:
    """The names in a file of samples to leave out: one name per line, with or without ``.skeleton``.

    Lines above the first name are a heading. Raises SourceError if another line is not a name, or there are no names.
    """
    names: set[str] = set()
    with open(path, encoding="utf-8-sig", errors="replace", opener=open_regular) as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        name = line.strip().removesuffix(_SUFFIX)
        if _PATTERN.fullmatch(name):
            names.add(name)
        elif name and names:
            raise SourceError(f"{path}: line {number}: {name[:40]!r}; expected a name such as S001C001P001R001A001")
    if not names:
        raise SourceError(f"{path} names no sample; expected one name per line, such as S001C001P001R001A001")
    return frozenset(names)


Recipe: TypeAlias = Literal["raw", "pyskl", "mmaction2", "ctrgcn"]
