"""All dialects: recognising, opening and converting a source of any of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from converters.conversion.source import Source
from converters.dialects import (
    array_folder,
    babel,
    bare_list,
    extraction,
    gym,
    kinetics,
    ntu,
    nwucla,
    pyskl,
    single,
)
from converters.dialects.declining import decline
from converters.dialects.dialect import Dialect
from converters.dialects.gcn import ctrgcn, denoised, gcn_clips, raw_skes, stgcn
from converters.dialects.ntu import uav_human
from converters.dialects.poses import (
    alphapose,
    coco,
    kinetics_skeleton,
    mediapipe,
    mmpose,
    openpose,
    tools,
    videopose3d,
    yolo_pose,
)
from converters.inputs.candidate import Candidate
from converters.inputs.ntu_names import Recipe, Task
from converters.online.location import locate_source
from converters.online.source import OnlineSource, fetch_file, urls_in_messages
from skelstore.errors import SourceError
from skelstore.format.files import local_path
from skelstore.format.schema import ROOT_KEY
from skelstore.format.values import Json
from skelstore.remote.cache import CachedFile
from skelstore.remote.url import Url
from skelstore.wording import closest

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        pyskl.DIALECT,
        bare_list.DIALECT,
        single.DIALECT,
        kinetics.DIALECT,
        gym.DIALECT,
        babel.DIALECT,
        ntu.DIALECT,
        single.FOLDER_DIALECT,
        extraction.DIALECT,
        mediapipe.DIALECT,
        videopose3d.DIALECT,
        array_folder.DIALECT,
        nwucla.DIALECT,
        ctrgcn.DIALECT,
        stgcn.DIALECT,
        gcn_clips.DIALECT,
        raw_skes.DIALECT,
        denoised.DIALECT,
        alphapose.DIALECT,
        kinetics_skeleton.DIALECT,
        openpose.DIALECT,
        mmpose.DIALECT,
        coco.DIALECT,
        yolo_pose.DIALECT,
        uav_human.DIALECT,
        tools.DIALECT,
    )
}
"""Name of each dialect, as in ``--from`` -> the dialect. Recognition tries them in this order."""

FILE_OPTIONS = frozenset(
    option.name for dialect in DIALECTS.values() for option in dialect.options if option.kind in ("file", "path")
)
"""The options whose value is a file, which may be at a URL."""

SUFFIXES = tuple(dict.fromkeys(suffix for dialect in DIALECTS.values() for suffix in dialect.suffixes))
"""The suffixes of the files in folders that can be converted."""


def open_source(
    path: str | os.PathLike[str] | Url,
    dialect: str | None = None,
    *,
    sha256: str | None = None,
    kpfiles: str | os.PathLike[str] | None = None,
    skip_missing: bool = False,
    boxes: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    label_by: str | None = None,
    recipe: Recipe | None = None,
    task: Task | None = None,
    ignore: str | os.PathLike[str] | Collection[str] = (),
    skip_broken: bool = False,
    **declared: Any,
) -> Source:
    """Open a file or folder as a source of ``dialect``; by default, the dialect is recognised from the content.

    ``path`` may be the URL of a file, or the name of a published one (``converters.online.published``): it is
    downloaded into the cache, unless it is there already. With ``sha256`` it must have this checksum. Options that take
    a file take URLs and names, too.

    ``kpfiles`` is the folder of Kinetics' kpfiles, ``boxes`` the pickle of FineGYM's boxes. ``table`` lists the videos
    of a folder, ``label_by`` (``folders``, ``ntu``) says where labels and splits come from instead, and
    ``skip_missing`` leaves out videos whose skeletons are missing. ``recipe`` (default: raw), ``task``, ``ignore`` and
    ``skip_broken`` are those of ``NtuFiles``. ``declared`` are options that only one dialect declares, such as
    ``split_by`` of ``NwUclaFiles``.

    Raises what ``skelstore.remote.downloads.download`` raises, SourceError if the path does not exist, if it is of no
    known dialect or not of the given one, or if an option does not go with the dialect; TypeError for an option that no
    dialect declares.
    """
    options: dict[str, Any] = {
        **{"kpfiles": kpfiles, "skip_missing": skip_missing, "boxes": boxes, "table": table, "label_by": label_by},
        **{"recipe": recipe, "task": task, "ignore": ignore or (), "skip_broken": skip_broken, **declared},
    }
    _require_declared("open_source", options, _source_options())
    given = {name: value for name, value in options.items() if value is not None and value is not False and value != ()}
    source = fetch_file(path, sha256)
    beside = {name: copy for name in FILE_OPTIONS & given.keys() if (copy := fetch_file(given[name])) is not None}
    given |= {name: copy.path for name, copy in beside.items()}
    for value in given.values():
        if isinstance(value, str | os.PathLike):
            local_path(value, SourceError)
    path = local_path(path, SourceError) if source is None else source.path
    copies = beside if source is None else {"source": source, **beside}
    with urls_in_messages(copies.values()):
        declaration = _declaration_of(path, dialect, given)
        opened = declaration.open(path, **given)
    return OnlineSource(opened, copies, partial(_open_again, declaration.name, path, given)) if copies else opened


def _declaration_of(path: Path, dialect: str | None, given: Collection[str]) -> Dialect:
    """The dialect of a file or folder, stated or recognised, which it and the options ``given`` with it go with."""
    _require_source(path)
    if dialect is not None and dialect not in DIALECTS:
        raise SourceError(
            f"dialect {dialect!r} is not known; expected one of {', '.join(DIALECTS)}{closest(dialect, DIALECTS)}"
        )
    declaration = recognise(path, given) if dialect is None else DIALECTS[dialect]
    _check_options(path, declaration, given)
    if declaration.takes_folder is not None and path.is_dir() != declaration.takes_folder:
        kind, expected = ("a folder", "a file in it") if path.is_dir() else ("a file", "the folder that it is in")
        raise SourceError(f"{path} is {kind}; the dialect {declaration.name} is not: give {expected}")
    return declaration


def _open_again(dialect: str, path: Path, given: Mapping[str, Any], copies: Mapping[str, CachedFile]) -> Source:
    """Open a source as before, with other copies of its downloaded files."""
    paths = {name: copy.path for name, copy in copies.items()}
    return DIALECTS[dialect].open(paths.pop("source", path), **{**given, **paths})


def recognise(path: Path, given: Collection[str] = ()) -> Dialect:
    """The dialect of a file or folder; ``given`` are the names of the options given with it.

    Dialects that require an option are tried first, since the option says more than the content. Raises SourceError,
    which says what the file is instead, if no dialect recognises it.
    """
    with closing(Candidate(path, given, SUFFIXES)) as candidate:
        for dialect in sorted(DIALECTS.values(), key=lambda dialect: not dialect.required):
            if dialect.recognise(candidate):
                return dialect
        raise decline(candidate, SUFFIXES)


def recorded_options(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options of ``open_source`` with which the source of a store was opened; ``source`` is ``store.source``."""
    dialect = DIALECTS.get(str(source.get("dialect")))
    return {} if dialect is None else dialect.recorded(source)


def convert(
    source: str | os.PathLike[str] | Url,
    destination: str | os.PathLike[str] | Url,
    *,
    dialect: str | None = None,
    **options: Any,
) -> None:
    """Convert a file or folder of any dialect, or the file at a URL, into a store at ``destination``, a path or a URL.

    ``options`` are those of ``open_source``, which say how the source is opened, and ``ConvertOptions``, which say how
    the store is written. Raises as ``open_source`` and ``convert_source`` do, and TypeError for any other option.
    """
    from converters.conversion.convert import ConvertOptions, convert_source
    from converters.conversion.places import refuse_destination

    source_options = _source_options() | {"sha256"}
    _require_declared("convert", options, source_options | ConvertOptions.__annotations__.keys())
    if isinstance(locate_source(source), Url):  # before a long download
        refuse_destination(destination, force=options.get("force", False), shared=options.get("shared", False))
    opened = open_source(source, dialect, **{name: options.pop(name) for name in source_options & options.keys()})
    convert_source(opened, destination, **options)


def _source_options() -> set[str]:
    return {option.name for dialect in DIALECTS.values() for option in dialect.options}


def _require_declared(function: str, options: Collection[str], known: Collection[str]) -> None:
    for name in options:
        if name not in known:
            raise TypeError(f"{function}() has no option {name!r}{closest(name, sorted(known))}")


def _require_source(path: Path) -> None:
    if not path.exists():
        raise SourceError(
            f"{path} is not there; expected a pickle, an array, JSON of a pose tool, or a folder of "
            f"{_join_or(SUFFIXES)} files"
        )
    if Path(path, ROOT_KEY).is_file():
        raise SourceError(f"{path} is already a store; expected a source to convert into one")


def _check_options(path: Path, dialect: Dialect, given: Collection[str]) -> None:
    """Raise SourceError if an option does not go with the dialect, or a required one is missing."""
    declared = {option.name: option for each in DIALECTS.values() for option in each.options}
    for name in given:
        if all(option.name != name for option in dialect.options):
            goes_with = [each.name for each in DIALECTS.values() if declared.get(name) in each.options]
            flag = declared[name].flag
            raise SourceError(f"{path}: {flag} goes with {_join_or(goes_with)}, not with {dialect.name}")
    for option in dialect.required:
        if option.name not in given:
            what = option.help[0].lower() + option.help[1:].removesuffix(".")
            raise SourceError(f"{path}: the dialect {dialect.name} needs {option.flag}, the {what}")


def _join_or(words: Collection[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
