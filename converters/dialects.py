"""Which dialect a file is of."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from converters import array_folder, babel, bare_list, extraction, gym, kinetics, ntu, pyskl, single
from converters.annotation_file import AnnotationFile, described, holds_annotations, open_pickle
from converters.array_file import MAGIC, SUFFIXES
from converters.array_folder import ArrayFolder
from converters.babel import BabelSource
from converters.extraction import ExtractedFiles
from converters.gym import GymSource
from converters.kinetics import KineticsSource
from converters.listing import walk
from converters.ntu import NtuFiles
from converters.ntu_names import Task
from converters.ntu_recipes import Recipe
from converters.pickle_file import PickleFile
from converters.single import SingleFiles
from converters.source import Source
from skelstore.errors import SourceError
from skelstore.files import open_regular
from skelstore.metadata import ROOT_KEY

DIALECTS: dict[str, ModuleType] = {
    pyskl.NAME: pyskl,
    bare_list.NAME: bare_list,
    single.NAME: single,
    single.FOLDER_NAME: single,
    kinetics.NAME: kinetics,
    gym.NAME: gym,
    extraction.NAME: extraction,
    array_folder.NAME: array_folder,
    babel.NAME: babel,
    ntu.NAME: ntu,
}
"""Name of each dialect, as ``--from`` takes it -> its module."""

_ANNOTATION_KEYS = frozenset(
    {"frame_dir", "filename", "keypoint", "keypoint_score", "total_frames", "label", "img_shape", "frame_inds"}
)


_FOLDERS = {single.FOLDER_NAME: True, single.NAME: False, array_folder.NAME: True, extraction.NAME: None}
"""Whether what a dialect is opened by is a folder; False for the others, None for both."""

_GO_WITH = {
    "--kpfiles": (kinetics.NAME,),
    "--boxes": (gym.NAME,),
    "--table": (extraction.NAME, array_folder.NAME, babel.NAME),
    "--label-by": (extraction.NAME, array_folder.NAME),
}
"""Option -> the dialects that it goes with."""


def open_source(
    path: str | os.PathLike[str],
    dialect: str | None = None,
    *,
    kpfiles: str | os.PathLike[str] | None = None,
    skip_missing: bool = False,
    boxes: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    label_by: str | None = None,
    recipe: Recipe | None = None,
    task: Task | None = None,
    ignore: str | os.PathLike[str] | Collection[str] = (),
    skip_broken: bool = False,
) -> Source:
    """The source that a file or folder is, of the dialect given or else recognised from its content.

    ``kpfiles`` is the folder of Kinetics' kpfiles, ``boxes`` the pickle of FineGYM's boxes; ``table`` lists the videos
    of a folder, ``label_by`` (``folders``, ``ntu``) says where label and split are taken from instead. ``recipe``
    (default: raw), ``task``, ``ignore`` and ``skip_broken`` go with ``NtuFiles``.

    Raises SourceError if it is of no known dialect or not of the given one, or if nothing is there.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(
            f"{path} is not there; expected a pickle, or a folder of pickles, arrays or {ntu.SUFFIX} files"
        )
    if Path(path, ROOT_KEY).is_file():
        raise SourceError(f"{path} is a store already; expected a source, which is converted into one")
    given = {"--kpfiles": kpfiles, "--boxes": boxes, "--table": table, "--label-by": label_by}
    pickle = None
    if dialect is None and (kpfiles is not None or boxes is not None):
        dialect = kinetics.NAME if kpfiles is not None else gym.NAME
    elif dialect is None:
        dialect, pickle = _recognise(path, labelled=table is not None or label_by is not None)
    if dialect not in DIALECTS:
        raise SourceError(f"dialect {dialect!r} is not known; expected one of {', '.join(DIALECTS)}")
    for option, value in given.items():
        if value is not None and dialect not in _GO_WITH[option]:
            raise SourceError(f"{path}: {option} goes with {' or '.join(_GO_WITH[option])}, not with {dialect}")
    if dialect == ntu.NAME:
        return NtuFiles(path, recipe=recipe or "raw", task=task, ignore=ignore, skip_broken=skip_broken)
    if recipe or task or ignore or skip_broken:
        raise SourceError(
            f"{path}: --recipe, --task, --ignore and --skip-broken go with {ntu.SUFFIX} files of NTU RGB+D, not with "
            f"the dialect {dialect}"
        )
    is_folder = _FOLDERS.get(dialect, False)
    if is_folder is not None and path.is_dir() != is_folder:
        raise SourceError(f"{path} is {'a folder' if path.is_dir() else 'a file'}; the dialect {dialect} is not")
    if dialect == kinetics.NAME:
        if kpfiles is None:
            raise SourceError(f"{path}: the dialect kinetics needs the folder of the kpfiles (--kpfiles)")
        return KineticsSource(path, kpfiles, skip_missing=skip_missing)
    if dialect == gym.NAME:
        if boxes is None:
            raise SourceError(f"{path}: the dialect gym needs the pickle of the boxes (--boxes)")
        return GymSource(path, boxes)
    if dialect == babel.NAME:
        return BabelSource(path, table=table)
    if dialect in (extraction.NAME, array_folder.NAME):
        opened = ExtractedFiles if dialect == extraction.NAME else ArrayFolder
        return opened(path, table=table, label_by=label_by, skip_missing=skip_missing)
    if dialect in (single.NAME, single.FOLDER_NAME):
        return SingleFiles(path)
    return AnnotationFile(path, dialect, pickle)


def _recognise_folder(path: Path, labelled: bool) -> str:
    files = list(walk(path, (".pkl", *SUFFIXES)))
    pickles = sorted(file for file in files if file.suffix.lower() == ".pkl")
    if pickles and len(pickles) < len(files):
        raise SourceError(
            f"{path} has pickles and arrays ({pickles[0].name} …): say by --from {extraction.NAME} or --from "
            f"{array_folder.NAME} which of them to convert"
        )
    if files and not pickles:
        return array_folder.NAME
    if labelled:
        return extraction.NAME
    if pickles:
        with PickleFile(pickles[0]) as first:
            return extraction.NAME if first.root_kind == "list" else single.FOLDER_NAME
    return single.FOLDER_NAME


def _recognise(path: Path, labelled: bool) -> tuple[str, PickleFile | None]:
    """Name of the dialect of a file or folder; and the file, still open, if it holds a list of annotations.

    ``labelled``: labels are given beside it. Raises SourceError that says what it is instead.
    """
    if ntu.is_of_dialect(path):
        return ntu.NAME, None
    if path.is_dir():
        return _recognise_folder(path, labelled), None
    with open(path, "rb", opener=open_regular) as file:
        if file.read(len(MAGIC)) == MAGIC:
            return babel.NAME, None
    pickle = open_pickle(path)
    found = holds_annotations(pickle)
    if labelled and not (found and pickle.root_kind == "dict"):
        pickle.close()
        return extraction.NAME, None
    if found:
        return (bare_list.NAME if pickle.root_kind == "list" else pyskl.NAME), pickle
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
