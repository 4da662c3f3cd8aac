"""A text file with the name of each video of a source, one per line."""

from __future__ import annotations

from pathlib import Path

from converters.inputs.video_table import SHOWN_PROBLEMS
from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.wording import join_lines, shown

_MOST_BYTES = 64 << 20


def read_names(path: Path) -> list[str]:
    """The names in a file; blank lines at the end are ignored.

    Raises SourceError, which names the lines, if another line is blank or a name is there twice.
    """
    with open(path, "rb", opener=open_regular) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise SourceError(f"{path} has more than {_MOST_BYTES:,} bytes; expected the name of a video per line")
    try:
        lines = data.decode("utf-8-sig").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: byte {error.start} is not UTF-8; expected the name of a video per line") from None
    names = [line.rstrip("\r") for line in lines if lines != [""]]
    lines_of: dict[str, int] = {}
    problems = []
    for line, name in enumerate(names, 1):
        if not name.strip():
            problems.append(f"{path}: line {line} is empty; expected the name of a video")
        elif (other := lines_of.setdefault(name, line)) != line:
            problems.append(f"{path}: line {line}: {shown(name)} is also in line {other}; expected different names")
    if problems:
        more = [f"… and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        raise SourceError(join_lines([*problems[:SHOWN_PROBLEMS], *more]))
    return names
