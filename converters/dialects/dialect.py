"""What each dialect says of itself, in one place: what it reads, how it is recognised, opened and exported.

A dialect is a module with a ``DIALECT`` and a ``convert``, and a line in the list of the registry. The command line,
``open_source``, ``export`` and the table in docs/sources.md go by what it declares.

The declarations are cheap to import: neither pyarrow nor numcodecs is loaded for them, so that the command line can
complete the names of options at once. Whatever needs them is imported in the functions that do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from converters.conversion.source import Source
from converters.inputs.candidate import Candidate
from converters.inputs.naming import LABEL_BY as LABELS_FROM
from skelstore.format.values import Json

Kind: TypeAlias = Literal["path", "folder", "file", "flag", "text"] | tuple[str, ...]
"""What an option takes: a path of either, a folder, a file, nothing, a text, or one of several words."""


@dataclass(frozen=True)
class Option:
    """An option of how a source is opened.

    ``name`` is the keyword argument of ``open_source`` and ``convert``. ``heading`` is the section of the help that
    lists it. ``required``: the dialect cannot be opened without it, and a source that it is given for is of the
    dialect. ``metavar`` is what the help calls its value, where the kind does not say enough.
    """

    name: str
    kind: Kind
    help: str
    heading: str
    required: bool = False
    metavar: str | None = None

    @property
    def flag(self) -> str:
        """The option on the command line, such as ``--label-by``."""
        return "--" + self.name.replace("_", "-")


def _nothing(source: Mapping[str, Json]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Dialect:
    """A kind of files that is converted.

    ``name`` is what ``--from`` takes, ``summary`` one line about it and ``reads`` the files that it is made of.

    ``recognise`` says whether a file or folder is of the dialect, by its content. ``open`` makes a source of a path
    and of those ``options`` that were given. ``takes_folder`` says whether the path is that of a folder, None if it
    may be a file or a folder; ``suffixes`` are those of the files in a folder.

    ``export`` writes a store that was made from the dialect as it was: it takes the store, the path to write, ``force``
    and ``advance`` as ``converters.export`` does, and those of its ``export_options`` that were given. None: an
    annotation file is written, of ``pyskl``, or of ``list`` where the source had no splits. ``export_any``: it writes
    any other store too.

    ``recorded`` gives the options with which a source was opened, from what its store says of it (``store.source``).
    """

    name: str
    summary: str
    reads: str
    recognise: Callable[[Candidate], bool]
    open: Callable[..., Source]
    options: tuple[Option, ...] = ()
    takes_folder: bool | None = False
    suffixes: tuple[str, ...] = ()
    export: Callable[..., None] | None = None
    export_options: tuple[str, ...] = ()
    export_any: bool = False
    recorded: Callable[[Mapping[str, Json]], dict[str, Any]] = _nothing

    @property
    def required(self) -> tuple[Option, ...]:
        """The options without which it cannot be opened."""
        return tuple(option for option in self.options if option.required)


# Options that several dialects take.

TABLE = Option(
    "table",
    "file",
    "CSV or Parquet file of path, frame_dir, label, split; of BABEL, its label pickle.",
    "Labels and splits",
)
LABEL_BY = Option("label_by", LABELS_FROM, "Take label and split from folders or NTU names.", "Labels and splits")
SKIP_MISSING = Option(
    "skip_missing", "flag", "Leave out videos whose skeletons are missing, and record them.", "Source"
)


def recorded_missing(source: Mapping[str, Json]) -> dict[str, Any]:
    """``skip_missing``, as what a store says of its source (``left_out``) shows it: for ``Dialect.recorded``."""
    return {"skip_missing": bool(source.get("left_out"))}
