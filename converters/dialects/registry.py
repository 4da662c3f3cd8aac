"""Which dialect a file is of."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from converters.conversion.source import Source
from converters.dialects import array_folder, babel, bare_list, extraction, gym, kinetics, ntu, pyskl, single
from converters.dialects.array_folder import ArrayFolder
from converters.dialects.babel import BabelSource
from converters.dialects.extraction import ExtractedFiles
from converters.dialects.gym import GymSource
from converters.dialects.kinetics import KineticsSource
from converters.dialects.ntu.source import NtuFiles
from converters.dialects.single import SingleFiles
from converters.inputs.annotation_file import AnnotationFile, describe, holds_annotations, open_pickle
from converters.inputs.array_file import MAGIC, SUFFIXES, npy_header
from converters.inputs.listing import walk
from converters.inputs.ntu_names import Recipe, Task
from converters.inputs.recognition import (
    IN_FOLDER,
    holds_annotation,
    is_annotation,
    name_dict,
    name_file,
    name_folder,
    name_list,
    name_one_array,
    name_pair,
    name_value,
)
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.files import local_path, open_regular
from skelstore.format.schema import ROOT_KEY

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
    path = local_path(path, SourceError)
    for beside in (kpfiles, boxes, table):
        if beside is not None:
            local_path(beside, SourceError)
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
        if path.is_file() and not zipfile.is_zipfile(path) and (said := name_file(path)):
            raise SourceError(f"{path} {said}")
        return NtuFiles(path, recipe=recipe or "raw", task=task, ignore=ignore, skip_broken=skip_broken)
    if recipe or task or ignore or skip_broken:
        raise SourceError(
            f"{path}: --recipe, --task, --ignore and --skip-broken go with {ntu.SUFFIX} files of NTU RGB+D, not with "
            f"the dialect {dialect}"
        )
    is_folder = _FOLDERS.get(dialect, False)
    if is_folder is not None and path.is_dir() != is_folder:
        found, expected = ("a folder", "a file in it") if path.is_dir() else ("a file", "the folder that it is in")
        raise SourceError(f"{path} is {found}; the dialect {dialect} is not: give {expected}")
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
    files = sorted(walk(path, (".pkl", *SUFFIXES)))
    if not files:
        raise SourceError(f"{path} {name_folder(path)}")
    pickles = [file for file in files if file.suffix.lower() == ".pkl"]
    if len(pickles) < len(files) and (said := name_pair(files)):
        raise SourceError(f"{path} {said}")
    if pickles and len(pickles) < len(files):
        raise SourceError(
            f"{path} has pickles and arrays ({pickles[0].name} …): say by --from {extraction.NAME} or --from "
            f"{array_folder.NAME} which of them to convert"
        )
    if not pickles:
        return array_folder.NAME
    try:
        first = open_pickle(pickles[0], whole=True)
    except SourceError:
        if labelled:
            return extraction.NAME  # which tells what is wrong with each of the files
        raise
    with first:
        if labelled and "annotations" in first.keys:
            return extraction.NAME  # likewise
        _decline_in_folder(path, first, len(pickles))
        return extraction.NAME if labelled or first.root_kind == "list" else single.FOLDER_NAME


def _decline_in_folder(path: Path, pickle: PickleFile, count: int) -> None:
    """Decline a folder whose first pickle is neither an annotation nor a list of them."""
    if pickle.root_kind == "list":
        _decline_list(pickle, None, extraction.NAME)
    elif pickle.root_kind != "dict":
        if said := name_value(pickle.root()):
            raise SourceError(f"{pickle.path} {said}")
    elif "annotations" in pickle.keys:
        what, how = f"{pickle.path.name}, which is a data set of its own", f"convert {pickle.path.name} itself"
        if count > 1:
            what = f"{count} pickles, and {pickle.path.name} is a data set of its own"
            how = "convert each of them, then `skelstore merge` the stores"
        raise SourceError(f"{path} has {what}: {how}")
    elif not holds_annotation(pickle):
        _decline_kpfile(pickle)
        said = name_dict(pickle.keys)
        if count > 1:
            said = f"(one of {count} pickles) {said}; if each file is a frame, make one file of those of a video"
        raise SourceError(f"{pickle.path} {said}; --from {single.FOLDER_NAME} converts each file as a video")


def _decline_list(pickle: PickleFile, key: str | None, dialect: str) -> None:
    """Decline a list whose first element is no annotation."""
    known = pickle.elements(key)
    if not known:
        return
    first = pickle.element(0, key)
    if isinstance(first, dict) and is_annotation(first):
        return
    said = name_list(first, pickle.element(1, key) if known > 1 else None)
    if said is None and isinstance(first, dict):
        said = f"{name_dict(first.keys(), 'is a list of dicts')}; --from {dialect} converts them as they are"
    if said:
        raise SourceError(f"{pickle.path} {said}")


def _decline_kpfile(pickle: PickleFile) -> None:
    if pickle.keys and isinstance(first := pickle.value(pickle.keys[0]), dict) and "keypoint" in first:
        raise SourceError(
            f"{pickle.path} looks like a kpfile of Kinetics: convert the table of contents that names it, with "
            f"--kpfiles {pickle.path.parent}"
        )


def _recognise(path: Path, labelled: bool) -> tuple[str, PickleFile | None]:
    """Name of the dialect of a file or folder; and the file, still open, if it holds a list of annotations.

    ``labelled``: labels are given beside it. Raises SourceError that says what it is instead.
    """
    if ntu.is_of_dialect(path):
        return ntu.NAME, None
    if path.is_dir():
        return _recognise_folder(path, labelled), None
    with open(path, "rb", opener=open_regular) as file:
        is_array = file.read(len(MAGIC)) == MAGIC
    if is_array:
        header = npy_header(path)
        if len(header.shape) != 5:
            raise SourceError(f"{path} {name_one_array(header.dtype, header.shape, IN_FOLDER)}")
        return babel.NAME, None
    pickle = open_pickle(path)
    try:
        dialect = _dialect_of(pickle, labelled)
    except BaseException:
        pickle.close()
        raise
    if dialect in (bare_list.NAME, pyskl.NAME):
        return dialect, pickle
    pickle.close()
    return dialect, None


def _dialect_of(pickle: PickleFile, labelled: bool) -> str:
    """Name of the dialect of a pickle. Raises SourceError that says what it is instead."""
    is_list = pickle.root_kind == "list"
    if holds_annotations(pickle):
        dialect = extraction.NAME if labelled and is_list else bare_list.NAME if is_list else pyskl.NAME
        _decline_list(pickle, None if is_list else "annotations", dialect)
        return dialect
    if pickle.root_kind == "dict":
        if holds_annotation(pickle):
            return extraction.NAME if labelled else single.NAME
        _decline_kpfile(pickle)
        raise SourceError(f"{pickle.path} {name_dict(pickle.keys)}; --from {single.NAME} converts it as it is")
    elif said := name_value(pickle.root()):
        raise SourceError(f"{pickle.path} {said}")
    raise SourceError(
        f"{pickle.path} holds {describe(pickle)}; expected annotations: a dict with "
        "'annotations', a list of dicts, or one annotation"
    )
