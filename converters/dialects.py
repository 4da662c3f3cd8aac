"""Which dialect a file is of."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from converters import bare_list, kinetics, ntu, pyskl, single
from converters.annotation_file import AnnotationFile, described
from converters.kinetics import KineticsSource
from converters.ntu import NtuFiles
from converters.ntu_names import Task
from converters.ntu_recipes import Recipe
from converters.pickle_file import PickleFile
from converters.single import SingleFiles
from converters.source import Source
from skelstore.errors import SourceError

DIALECTS: dict[str, ModuleType] = {
    pyskl.NAME: pyskl,
    bare_list.NAME: bare_list,
    single.NAME: single,
    single.FOLDER_NAME: single,
    kinetics.NAME: kinetics,
    ntu.NAME: ntu,
}
"""Name of each dialect, as ``--from`` takes it -> its module."""

_ANNOTATION_KEYS = frozenset(
    {"frame_dir", "filename", "keypoint", "keypoint_score", "total_frames", "label", "img_shape", "frame_inds"}
)


def open_source(
    path: str | os.PathLike[str],
    dialect: str | None = None,
    *,
    kpfiles: str | os.PathLike[str] | None = None,
    skip_missing: bool = False,
    recipe: Recipe | None = None,
    task: Task | None = None,
    ignore: str | os.PathLike[str] | Collection[str] = (),
    skip_broken: bool = False,
) -> Source:
    """The source that a file or folder is, of the dialect given or else recognised from its content.

    ``kpfiles`` and ``skip_missing`` go with ``KineticsSource``; ``recipe`` (default: raw), ``task``, ``ignore`` and
    ``skip_broken`` with ``NtuFiles``.

    Raises SourceError if it is of no known dialect or not of the given one, FileNotFoundError if it is not there.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"{path} is not there; expected a pickle of annotations or a folder of such files")
    pickle = None
    if dialect is None:
        dialect, pickle = (kinetics.NAME, None) if kpfiles is not None else _recognise(path)
    if dialect not in DIALECTS:
        raise SourceError(f"dialect {dialect!r} is not known; expected one of {', '.join(DIALECTS)}")
    if dialect != ntu.NAME and (recipe or task or ignore or skip_broken):
        raise SourceError(
            f"{path}: --recipe, --task, --ignore and --skip-broken go with {ntu.SUFFIX} files of NTU RGB+D, not with "
            f"the dialect {dialect}"
        )
    if (dialect == kinetics.NAME) != (kpfiles is not None):
        raise SourceError(
            f"{path}: the dialect kinetics needs the folder of the kpfiles (--kpfiles)"
            if dialect == kinetics.NAME
            else f"{path}: --kpfiles goes with a Kinetics table of contents, not with the dialect {dialect}"
        )
    if dialect == kinetics.NAME:
        assert kpfiles is not None
        return KineticsSource(path, kpfiles, skip_missing=skip_missing)
    if dialect == ntu.NAME:
        return NtuFiles(path, recipe=recipe or "raw", task=task, ignore=ignore, skip_broken=skip_broken)
    if path.is_dir() != (dialect == single.FOLDER_NAME):
        raise SourceError(f"{path} is {'a folder' if path.is_dir() else 'a file'}; the dialect {dialect} is not")
    if dialect in (single.NAME, single.FOLDER_NAME):
        return SingleFiles(path)
    return AnnotationFile(path, dialect, pickle)


def _recognise(path: Path) -> tuple[str, PickleFile | None]:
    """Name of the dialect of a file or folder; and the file, still open, if it holds a list of annotations.

    Raises SourceError that says what it is instead.
    """
    if ntu.is_of_dialect(path):
        return ntu.NAME, None
    if path.is_dir():
        return single.FOLDER_NAME, None
    pickle = PickleFile(path)
    if pickle.root_kind == "list":
        return bare_list.NAME, pickle
    if pickle.root_kind == "dict" and "annotations" in pickle.keys:
        return pyskl.NAME, pickle
    with pickle:
        if pickle.root_kind == "dict":
            if not _ANNOTATION_KEYS.isdisjoint(pickle.keys):
                return single.NAME, None
            if pickle.keys and isinstance(first := pickle.value(pickle.keys[0]), dict) and "keypoint" in first:
                raise SourceError(
                    f"{path} looks like a kpfile of Kinetics: convert the table of contents that names it, with "
                    f"--kpfiles {path.parent}"
                )
        raise SourceError(
            f"{path} holds {described(pickle)}; expected annotations: a dict with 'annotations', a list of dicts, or "
            "one annotation"
        )
