"""What each dialect says of itself, in one place: its name, what it reads and which options it takes.

The declarations are cheap to import: neither pyarrow nor numcodecs is loaded for them, so that the command line can
complete the names of options at once. Whatever needs them is imported in the functions that do the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from converters.inputs.naming import LABEL_BY as LABELS_FROM

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


@dataclass(frozen=True)
class Dialect:
    """A kind of files that is converted.

    ``name`` is what ``--from`` takes, ``summary`` one line about it and ``reads`` the files that it is made of.
    ``takes_folder`` says whether a source is a folder, None if it may be a file or a folder.
    """

    name: str
    summary: str
    reads: str
    options: tuple[Option, ...] = ()
    takes_folder: bool | None = False


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
