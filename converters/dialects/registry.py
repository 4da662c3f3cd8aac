"""Which dialect a file is of, and how it is opened and converted."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from converters.conversion.source import Source
from converters.dialects import array_folder, babel, bare_list, extraction, gym, kinetics, ntu, nwucla, pyskl, single
from converters.dialects.declining import decline
from converters.dialects.dialect import Dialect
from converters.inputs.candidate import Candidate
from converters.inputs.ntu_names import Recipe, Task
from skelstore.errors import SourceError
from skelstore.format.files import local_path
from skelstore.format.schema import ROOT_KEY
from skelstore.format.values import Json
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
        array_folder.DIALECT,
        nwucla.DIALECT,
    )
}
"""Each dialect by its name, which ``--from`` takes, in the order in which they are asked for what they recognise."""

SUFFIXES = tuple(dict.fromkeys(suffix for dialect in DIALECTS.values() for suffix in dialect.suffixes))
"""Those of the files in a folder that is converted."""


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
    split_by: str | None = None,
) -> Source:
    """The source that a file or folder is, of the dialect given or else recognised from its content.

    ``kpfiles`` is the folder of Kinetics' kpfiles, ``boxes`` the pickle of FineGYM's boxes; ``table`` lists the videos
    of a folder, ``label_by`` (``folders``, ``ntu``) says where label and split are taken from instead. ``recipe``
    (default: raw), ``task``, ``ignore`` and ``skip_broken`` go with ``NtuFiles``. ``split_by`` names what the splits
    are made by, where a dialect knows more than one way.

    Raises SourceError if it is of no known dialect or not of the given one, if nothing is there, or for an option
    that does not go with the dialect.
    """
    options: dict[str, Any] = {
        **{"kpfiles": kpfiles, "skip_missing": skip_missing, "boxes": boxes, "table": table, "label_by": label_by},
        **{"recipe": recipe, "task": task, "ignore": ignore or (), "skip_broken": skip_broken, "split_by": split_by},
    }
    given = {name: value for name, value in options.items() if value not in (None, False, ())}
    path = local_path(path, SourceError)
    for value in given.values():
        if isinstance(value, str | os.PathLike):
            local_path(value, SourceError)
    _require_source(path)
    if dialect is not None and dialect not in DIALECTS:
        raise SourceError(
            f"dialect {dialect!r} is not known; expected one of {', '.join(DIALECTS)}{closest(dialect, DIALECTS)}"
        )
    of = recognise(path, given) if dialect is None else DIALECTS[dialect]
    _check_options(path, of, given)
    if of.takes_folder is not None and path.is_dir() != of.takes_folder:
        found, expected = ("a folder", "a file in it") if path.is_dir() else ("a file", "the folder that it is in")
        raise SourceError(f"{path} is {found}; the dialect {of.name} is not: give {expected}")
    return of.open(path, **given)


def recognise(path: Path, given: Collection[str] = ()) -> Dialect:
    """The dialect of a file or folder, with the names of the options that are given with it.

    The dialects that need an option are asked first: that it is given says more than the content. Raises SourceError,
    which says what the file is instead, if none recognises it.
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
    source: str | os.PathLike[str], destination: str | os.PathLike[str], *, dialect: str | None = None, **options: Any
) -> None:
    """Convert a file or folder of whatever dialect it is into a store at ``destination``.

    ``options`` are those of ``open_source``, which say how the source is opened, and ``ConvertOptions``, which say how
    the store is written. Raises what ``open_source`` and ``convert_source`` raise, TypeError for another option.
    """
    from converters.conversion.convert import ConvertOptions, convert_source

    of_source = {option.name for each in DIALECTS.values() for option in each.options}
    of_store = ConvertOptions.__annotations__.keys()
    for name in options:
        if name not in of_source | of_store:
            raise TypeError(f"convert() has no option {name!r}{closest(name, sorted(of_source | of_store))}")
    opened = open_source(source, dialect, **{name: options.pop(name) for name in of_source & options.keys()})
    convert_source(opened, destination, **options)


def _require_source(path: Path) -> None:
    if not path.exists():
        raise SourceError(
            f"{path} is not there; expected a pickle or an array, or a folder of {_listed(SUFFIXES)} files"
        )
    if Path(path, ROOT_KEY).is_file():
        raise SourceError(f"{path} is a store already; expected a source, which is converted into one")


def _check_options(path: Path, dialect: Dialect, given: Collection[str]) -> None:
    """Raise SourceError for an option that does not go with the dialect, or that it needs and that is not given."""
    declared = {option.name: option for each in DIALECTS.values() for option in each.options}
    for name in given:
        if all(option.name != name for option in dialect.options):
            goes_with = [each.name for each in DIALECTS.values() if declared.get(name) in each.options]
            flag = declared[name].flag
            raise SourceError(f"{path}: {flag} goes with {_listed(goes_with)}, not with {dialect.name}")
    for option in dialect.required:
        if option.name not in given:
            what = option.help[0].lower() + option.help[1:].removesuffix(".")
            raise SourceError(f"{path}: the dialect {dialect.name} needs {option.flag}, the {what}")


def _listed(words: Collection[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
