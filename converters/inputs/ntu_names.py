"""The names of NTU RGB+D samples, and the splits and the order that follow from them.

A name is ``SsssCcccPpppRrrrAaaa``: setup, camera, subject, repetition, action. The splits are those of Shahroudy et
al., NTU RGB+D (2016), and Liu et al., NTU RGB+D 120 (2019), as PYSKL's ntu_preproc.py and MMAction2's
gen_ntu_rgbd_raw.py write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from skelstore.errors import SourceError
from skelstore.format.files import open_regular

Task: TypeAlias = Literal["ntu60", "ntu120"]
TASKS: tuple[Task, ...] = get_args(Task)
ACTIONS_60 = 60
"""Actions of NTU RGB+D 60; those above are of NTU RGB+D 120."""

SUBJECTS_60 = frozenset([1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38])
SUBJECTS_120 = SUBJECTS_60 | {
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89),
    *(91, 92, 93, 94, 95, 97, 98, 100, 103),
}
_PATTERN = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
_SUFFIX = ".skeleton"


class Sample(NamedTuple):
    """A sample by the numbers in its name."""

    name: str
    setup: int
    camera: int
    subject: int
    repetition: int
    action: int

    @property
    def label(self) -> int:
        return self.action - 1


def sample(name: str) -> Sample:
    """The sample of a name. Raises SourceError if it is no such name."""
    found = _PATTERN.fullmatch(name)
    if found is None or not int(found[5]):
        raise SourceError(
            f"{name!r} is no name of NTU RGB+D; expected SsssCcccPpppRrrrAaaa, such as S001C001P001R001A001"
        )
    return Sample(name, *map(int, found.groups()))


def task_of(samples: Iterable[Sample]) -> Task:
    """``ntu120`` if there is an action above 60, else ``ntu60``."""
    return "ntu120" if any(one.action > ACTIONS_60 for one in samples) else "ntu60"


def in_order(samples: Iterable[Sample], recipe: Recipe, task: Task) -> list[Sample]:
    """The samples that a recipe takes for a task, in its order.

    By name, and only the first 60 actions for ``ntu60``; ``mmaction2`` takes all actions for either task, the
    training samples of xsub first.
    """
    ordered = sorted(samples)
    if recipe != "mmaction2":
        return [one for one in ordered if task == "ntu120" or one.action <= ACTIONS_60]
    return sorted(ordered, key=lambda one: not _trains(one, "xsub", recipe, task))


def splits(samples: Sequence[Sample], recipe: Recipe, task: Task) -> dict[str, list[str]]:
    """``xsub_train``, ``xsub_val``, and of ``ntu60`` ``xview_…``, of ``ntu120`` ``xset_…``, each sorted by name."""
    found = {}
    for benchmark in ("xsub", "xview" if task == "ntu60" else "xset"):
        for part, wanted in (("train", True), ("val", False)):
            names = (one.name for one in samples if _trains(one, benchmark, recipe, task) is wanted)
            found[f"{benchmark}_{part}"] = sorted(names)
    return found


def _trains(one: Sample, benchmark: str, recipe: Recipe, task: Task) -> bool:
    """Whether a sample is for training. The two scripts differ in names that neither data set has."""
    mmaction2 = recipe == "mmaction2"
    if benchmark == "xsub":
        return one.subject in (SUBJECTS_60 if mmaction2 and task == "ntu60" else SUBJECTS_120)
    if benchmark == "xview":
        return one.camera in (2, 3) if mmaction2 else one.camera != 1
    return one.setup % 2 == 0 and (not mmaction2 or 2 <= one.setup <= 32)


def ignored_names(path: Path) -> frozenset[str]:
    """The names in a list of samples to be left out, a line each, with or without ``.skeleton``.

    Lines above the first name are a heading. Raises SourceError for any other line that is no name.
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
        raise SourceError(f"{path} names no sample; expected a line such as S001C001P001R001A001 for each")
    return frozenset(names)


Recipe: TypeAlias = Literal["raw", "pyskl", "mmaction2"]
