"""The declaration of a dialect: what it reads, how it is recognised, opened and exported.

A dialect is a module with a ``DIALECT`` and a ``convert``, and a line in the list of the registry. The command line,
``open_source``, ``export`` and the table in docs/sources.md follow from its declaration.

The declarations are cheap to import: they load neither pyarrow nor numcodecs, so that the command line can complete
the names of options quickly. Functions that need these libraries import them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from converters.choices import CHANNELS as THREE_CHANNELS
from converters.conversion.source import Source
from converters.inputs.candidate import Candidate
from converters.inputs.detections import DTYPES
from converters.inputs.naming import LABEL_BY as LABELS_FROM
from converters.inputs.ntu_names import TASKS
from skelstore.format.values import Json

Kind: TypeAlias = Literal["path", "folder", "file", "flag", "text"] | tuple[str, ...]
"""What an option accepts: the path of a file or folder, a folder, a file, no value, a str, or one of several words."""


@dataclass(frozen=True)
class Option:
    """An option for opening a source.

    ``name`` is the keyword argument of ``open_source`` and ``convert``. ``heading`` is the section of the help that
    lists it. If it is ``required``, the dialect cannot be opened without it, and a source with this option is of the
    dialect. ``metavar`` is the name of its value in the help, if the name of the kind is not clear enough.
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
    """A form of files that can be converted.

    ``name`` is the word for ``--from``, ``summary`` describes the dialect in one line, and ``reads`` names its files.

    ``recognise`` returns whether a file or folder is of the dialect, by its content. A file that may be of two dialects
    is recognised by neither; ``converters.inputs.signatures`` says how to choose. ``open`` returns a source for a
    path and those ``options`` that are given. ``takes_folder`` is True if the path must be a folder, False if it must
    be a file, None if it can be either; ``suffixes`` are those of the files in a folder.

    ``export`` writes a store that was made from the dialect to files like its source. It accepts the store, the path to
    write, ``force`` and ``advance`` as ``converters.export`` does, and those of ``export_options`` that are given.
    If it is None, an annotation file is written: of ``list`` if the source had no splits, else of ``pyskl``.
    ``export_any`` is True if it can also write stores that were made from other dialects.

    ``recorded`` returns the options with which a source was opened, from its record in the store (``store.source``).
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
        """The options without which the dialect cannot be opened."""
        return tuple(option for option in self.options if option.required)


# Options that several dialects have.

TABLE = Option(
    "table",
    "file",
    "CSV or Parquet file of path, frame_dir, label, split; for BABEL and ST-GCN, the label pickle.",
    "Labels and splits",
)
LABEL_BY = Option("label_by", LABELS_FROM, "Take label and split from folders or NTU names.", "Labels and splits")
SKIP_MISSING = Option(
    "skip_missing", "flag", "Leave out videos whose skeletons are missing, and record them.", "Source"
)
KEEP_PADDING = Option(
    "keep_padding", "flag", "Keep frames and persons of zeros, with which GCN arrays are filled up.", "GCN arrays"
)
CHANNELS = Option(
    "channels",
    THREE_CHANNELS,
    "What the 3 channels of a clip are (default: xys with 18 joints, else xyz).",
    "GCN arrays",
)
TASK = Option("task", TASKS, "Data set whose splits and recipe to use (default: by the actions).", "NTU RGB+D")
NAMES = Option("names", "file", "Text file with the name of each video, one per line.", "Source")

# Options of the dialects of pose tools.

SIZE = Option("size", "text", "Size of the image in pixels, if the files do not say it.", "Pose tools", metavar="HxW")
FIRST_FRAME = Option(
    "first_frame", ("0", "1"), "Number of the first frame (default: the smallest that occurs).", "Pose tools"
)
DTYPE = Option("dtype", DTYPES, "Type of coordinates and scores (default: float32).", "Pose tools")
POSE_OPTIONS = (TABLE, LABEL_BY, SKIP_MISSING, SIZE, FIRST_FRAME, DTYPE)
"""The options of every dialect of a pose tool."""


def recorded_pose_options(source: Mapping[str, Json]) -> dict[str, Any]:
    """A ``Dialect.recorded`` for ``POSE_OPTIONS``."""
    given = source.get("options")
    return recorded_missing(source) | (given if isinstance(given, dict) else {})


def recorded_missing(source: Mapping[str, Json]) -> dict[str, Any]:
    """A ``Dialect.recorded`` for ``skip_missing``: it is set if the store records that videos were ``left_out``."""
    return {"skip_missing": bool(source.get("left_out"))}
