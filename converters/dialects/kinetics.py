"""Kinetics-400: a table of contents, and skeletons in separate files.

PYSKL keeps the skeletons in kpfiles, ``{frame_dir: {'keypoint': [N, V, 3]}, …}``, which ``raw_file`` names
(tools/data/README.md). MMAction2 keeps them in one pickle per video, ``<frame_dir>.pkl``
(mmaction/datasets/pose_dataset.py, ``get_data_info``). Both append the values of the kpfile to those of the table of
contents, and so does this module.
"""

from __future__ import annotations

import os
from array import array
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import PYSKL_DOCUMENT
from converters.conversion.source import checked_annotation, index_all, storable_name
from converters.dialects.dialect import SKIP_MISSING, Dialect, Option, recorded_missing
from converters.inputs.annotation_file import AnnotationFile
from converters.inputs.listing import walk
from converters.inputs.video_table import SHOWN_PROBLEMS
from converters.pickles.file import PickleFile
from converters.pickles.spans import step
from skelstore.errors import SourceError, StoreExistsError
from skelstore.format import values
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import counted, join_lines, shown

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions
    from skelstore import Store

NAME = "kinetics"
_MAX_OPEN = 16
"""Kpfiles that are open at the same time."""


class _Place(NamedTuple):
    """Where the skeletons of an entry of the table of contents are: the kpfile, and the position of their key in it."""

    entry: int
    file: str
    position: int
    """-1 if the file holds only these skeletons."""
    size: int
    """Approximate, in bytes."""


class _Places:
    """The places of many videos, in columns: compact, since they are sent to the workers repeatedly."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.positions = array("q")
        self.sizes = array("q")
        self._entries = array("q")
        self._numbers = array("q")
        self._number_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> _Place:
        file = self.files[self._numbers[index]]
        return _Place(self._entries[index], file, self.positions[index], self.sizes[index])

    def add(self, place: _Place) -> None:
        if place.file not in self._number_of:
            self._number_of[place.file] = len(self.files)
            self.files.append(place.file)
        self._entries.append(place.entry)
        self._numbers.append(self._number_of[place.file])
        self.positions.append(place.position)
        self.sizes.append(place.size)


class KineticsSource:
    """Source of a table of contents joined with the kpfiles in the folder ``kpfiles``.

    Once the whole table has been indexed, raises SourceError that reports the videos whose skeletons are missing. With
    ``skip_missing``, they are left out instead, and listed in ``description``. Raises SourceError if a ``raw_file`` or
    ``frame_dir`` leads outside the kpfiles' folder.
    """

    dialect = NAME

    def __init__(
        self, path: str | os.PathLike[str], kpfiles: str | os.PathLike[str], *, skip_missing: bool = False
    ) -> None:
        self.path = absolute(path)
        self._contents = AnnotationFile(path, NAME)
        self._folder = absolute(kpfiles)
        if not self._folder.is_dir():
            raise SourceError(f"{self._folder} is not a folder; --kpfiles expects the folder of the kpfiles")
        self._kpfiles: dict[str, PickleFile] = {}
        self._used: OrderedDict[str, PickleFile] = OrderedDict()  # those that may be open, the most recent at the end
        self._key_positions: dict[str, dict[str, int]] = {}
        self._resolved: dict[str, str | None] = {}
        self._skip_missing = skip_missing
        self._whole = False
        self._entries_done = 0  # of the table of contents
        self._places = _Places()
        self._bytes = 0  # of the skeletons found so far
        self._left_out: list[Json] = []
        self.index_more()

    @property
    def indexed(self) -> int:
        return len(self._places)

    def index_more(self) -> bool:
        if self._whole:
            return False
        try:
            self._find_more()
            if self._whole and self._left_out and not self._skip_missing:
                raise SourceError(self._missing_sentence())
        except BaseException:
            self.close()
            raise
        return True

    def _find_more(self) -> None:
        enough = self._bytes + step(self._bytes)
        while self._bytes < enough:
            if self._entries_done < self._contents.indexed:
                self._add(self._entries_done)
                self._entries_done += 1
            elif not self._contents.index_more():
                self._whole = True
                return

    def __len__(self) -> int:
        index_all(self)
        return self.indexed

    def sizes(self) -> NDArray[np.int64]:
        return np.array(self._places.sizes, np.int64)

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        place = self._places[index]
        annotation, _ = self._contents.video(place.entry)
        if place.position < 0:
            with PickleFile(self._folder / place.file) as pickle:
                pack = checked_annotation(pickle.root(), pickle.path, "the file")
        else:
            kpfile = self._open(place.file)
            key = kpfile.keys[place.position]
            pack = checked_annotation(kpfile.value(key), kpfile.path, repr(key))
        for key in pack:
            if key in annotation:
                raise SourceError(
                    f"{self.path}: {self._contents.place(place.entry)} has {key!r}, and so has its kpfile "
                    f"{place.file}: remove it from one of the two"
                )
        return annotation | pack, Origin(storable_name(place.file, self._folder), max(place.position, 0), len(pack))

    def files(self, start: int, stop: int) -> list[Path]:
        files = dict.fromkeys(self._places[index].file for index in range(start, stop))
        return [self.path, *(self._folder / file for file in files)]

    def settings(self) -> Json:
        return None

    def place(self, index: int) -> str:
        return self._contents.place(self._places[index].entry)

    def splits(self) -> dict[Any, Any]:
        index_all(self)
        return self._contents.splits()

    def description(self) -> dict[str, Json]:
        """As for the table of contents; and in ``kpfiles`` whether they hold one or many videos, and ``left_out``."""
        index_all(self)
        contents = self._contents.description()
        return {
            **contents,
            "size": contents["size"] + sum((self._folder / file).stat().st_size for file in self._places.files),
            "kpfiles": "many" if any(position >= 0 for position in self._places.positions) else "video",
            "left_out": self._left_out,
        }

    def in_order(self) -> str | None:
        return None

    def close(self) -> None:
        self._contents.close()
        while self._used:
            self._used.popitem()[1].close()

    def _add(self, entry: int) -> None:
        """Look up the skeletons of an entry; add their place, or record why they are missing."""
        annotation, _ = self._contents.video(entry)
        place = self._find(entry, annotation)
        if isinstance(place, _Place):
            self._places.add(place)
            self._bytes += place.size
        else:
            name = _identifier(annotation)
            known = values.encode(name) if isinstance(name, str) else None
            self._left_out.append({"index": entry, "name": known, "reason": place})

    def _missing_sentence(self) -> str:
        lines = []
        for entry in self._left_out[:SHOWN_PROBLEMS]:
            name = entry["name"]
            known = self._contents.place(entry["index"]) if name is None else shown(values.decode(name))
            lines.append(f"  {known} ({entry['reason']})")
        if (more := len(self._left_out) - SHOWN_PROBLEMS) > 0:
            lines.append(f"  … and {more:,} more")
        first = (
            f"{self.path}: the skeletons of {len(self._left_out):,} of {counted(len(self._contents), 'video')} are "
            "missing; add their kpfiles, or leave them out with --skip-missing:"
        )
        return join_lines([first, *lines])

    def _find(self, index: int, annotation: Annotation) -> _Place | str:
        """Where the skeletons of a video are, or why they cannot be found."""
        name = _identifier(annotation)
        if not isinstance(name, str):
            return "it has no frame_dir to find its skeletons by"
        raw_file = annotation.get("raw_file")
        if isinstance(raw_file, str):
            key = annotation["frame_dir"] if isinstance(annotation.get("frame_dir"), str) else name
            file = self._resolve(index, raw_file)
            if file is None:
                return f"its kpfile {shown(raw_file)} is not in {self._folder}"
            return self._place_in(index, file, key) or f"its kpfile {file} does not have it"
        if (file := self._inside(index, f"{name}.pkl")) is not None:
            return _Place(index, file, -1, os.path.getsize(self._folder / file))
        file = self._catalogue.get(name)
        if file is None:
            return f"{self._folder} has neither a file {shown(name + '.pkl')} nor a kpfile with it"
        return self._place_in(index, file, name) or f"its kpfile {file} does not have it"

    def _place_in(self, index: int, file: str, key: str) -> _Place | None:
        position = self._positions(file).get(key)
        if position is None:
            return None
        pickle = self._open(file)
        return _Place(index, file, position, pickle.size // len(pickle.keys))

    def _resolve(self, index: int, raw_file: str) -> str | None:
        """The kpfile that a ``raw_file`` names: the longest tail of that path that is a file in the kpfiles' folder."""
        if raw_file not in self._resolved:
            parts = PurePosixPath(raw_file.replace("\\", "/")).parts
            tails = ("/".join(parts[start:]) for start in range(len(parts)))
            files = (file for tail in tails if (file := self._inside(index, tail, raw_file)) is not None)
            self._resolved[raw_file] = next(files, None)
        return self._resolved[raw_file]

    def _inside(self, index: int, path: str, written: str | None = None) -> str | None:
        """The path if it is a file in the kpfiles' folder, else None. Raises SourceError if it leads outside."""
        if ".." in PurePosixPath(path).parts:
            raise SourceError(
                f"{self.path}: {self._contents.place(index)}: {shown(written or path)} leads outside "
                f"{self._folder}; kpfiles are read from that folder only"
            )
        # A link in the folder may lead anywhere: --kpfiles named the folder, the pickle names only what is in it.
        is_file = not PurePosixPath(path).is_absolute() and os.path.isfile(self._folder / path)
        return path if is_file else None

    @cached_property
    def _catalogue(self) -> dict[str, str]:
        """Each key of the pickles below the kpfiles' folder -> the first file that has it."""
        catalogue: dict[str, str] = {}
        for path in sorted(walk(self._folder, (".pkl",))):
            file = path.relative_to(self._folder).as_posix()
            for key in self._positions(file):
                catalogue.setdefault(key, file)
        return catalogue

    def _positions(self, file: str) -> dict[str, int]:
        """Key of a kpfile -> its position in the file."""
        if file not in self._key_positions:
            keys = self._open(file).keys
            self._key_positions[file] = {key: i for i, key in enumerate(keys) if isinstance(key, str)}
        return self._key_positions[file]

    def _open(self, file: str) -> PickleFile:
        """Open a kpfile. It is indexed once; the index is sent to all processes, which read its videos in any order."""
        pickle = self._kpfiles.get(file)
        if pickle is None:
            pickle = self._kpfiles[file] = PickleFile(self._folder / file)
        self._used[file] = pickle
        self._used.move_to_end(file)
        if len(self._used) > _MAX_OPEN:
            self._used.popitem(last=False)[1].close()
        return pickle

    def __getstate__(self) -> dict[str, Any]:
        # What was needed to find the videos is as large as the indexes, and is not needed to read them.
        state = {**self.__dict__, "_used": OrderedDict(), "_key_positions": {}}
        state.pop("_catalogue", None)
        return state


def _identifier(annotation: Annotation) -> object:
    """The name by which MMAction2 finds the skeletons of a video: ``filename`` if it has one, else ``frame_dir``."""
    return annotation.get("filename", annotation.get("frame_dir"))


def _export(
    store: Store,
    out: Path,
    *,
    kpfiles: str | os.PathLike[str] | None = None,
    kpfile_videos: int | None = None,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the table of contents, and the kpfiles: as in the source, or with ``kpfile_videos`` videos each."""
    from converters.outputs.kinetics import export_kinetics

    folder = out.parent / "kpfiles" if kpfiles is None else Path(kpfiles)
    if force and kpfiles is None and not out.exists() and folder.is_dir() and any(folder.iterdir()):
        raise StoreExistsError(
            f"{folder} exists, but {out}, to which it would belong, does not: it may belong to the source, so name it "
            "with --kpfiles to replace it, or choose another destination"
        )
    document = store.source.get("document")
    is_contents = isinstance(document, dict) and "annotation" not in document
    contents = document if is_contents else PYSKL_DOCUMENT
    export_kinetics(store, out, folder, contents, kpfile_videos, force=force, advance=advance)


DIALECT = Dialect(
    NAME,
    "Kinetics-400's table of contents and kpfiles, of PYSKL or MMAction2",
    "a table of contents",
    recognise=lambda candidate: "kpfiles" in candidate.given,
    open=KineticsSource,
    options=(
        Option(
            "kpfiles",
            "folder",
            "Folder of the kpfiles that belong to a Kinetics table of contents.",
            "Kinetics",
            required=True,
        ),
        SKIP_MISSING,
    ),
    export=_export,
    export_options=("kpfiles", "kpfile_videos"),
    export_any=True,
    recorded=recorded_missing,
)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    kpfiles: str | os.PathLike[str],
    skip_missing: bool = False,
    **options: Unpack[ConvertOptions],
) -> None:
    """Convert a table of contents with the kpfiles in the folder ``kpfiles``.

    Raises SourceError as ``KineticsSource`` does, else what ``convert_source`` raises.
    """
    from converters.conversion.convert import convert_source

    convert_source(KineticsSource(source, kpfiles, skip_missing=skip_missing), destination, **options)
