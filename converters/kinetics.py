"""Kinetics-400: a table of contents and, beside it, the skeletons.

PYSKL keeps them in kpfiles, ``{frame_dir: {'keypoint': [N, V, 3]}, …}``, which ``raw_file`` names
(tools/data/README.md); MMAction2 in one pickle a video, ``<frame_dir>.pkl`` (mmaction/datasets/pose_dataset.py,
``get_data_info``). Both put the values of the kpfile behind those of the table of contents, and so does this module.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.annotation_file import AnnotationFile
from converters.conversion import ConvertOptions, convert_source
from converters.listing import walk
from converters.pickle_arrays import short
from converters.pickle_file import PickleFile
from converters.source import checked_annotation, storable_name
from skelstore import values
from skelstore.errors import SourceError
from skelstore.layouts import Annotation
from skelstore.parts import Origin
from skelstore.values import Json

NAME = "kinetics"
_MAX_OPEN = 16
_SHOWN_MISSING = 20


class _Place(NamedTuple):
    """Where the skeletons of a video are: the kpfile, and their key in it (None: the whole file)."""

    entry: int
    file: str
    key: str | None
    position: int
    size: int


class KineticsSource:
    """Source of a table of contents joined with its kpfiles.

    Raises SourceError if a ``raw_file`` or ``frame_dir`` leads outside of the kpfiles' folder, or if skeletons are
    missing, naming all such videos; with ``skip_missing`` those are left out, and ``description`` says which.
    """

    dialect = NAME

    def __init__(
        self, path: str | os.PathLike[str], kpfiles: str | os.PathLike[str], *, skip_missing: bool = False
    ) -> None:
        self.path = Path(path)
        self._contents = AnnotationFile(path, NAME)
        self._folder = Path(kpfiles)
        if not self._folder.is_dir():
            raise SourceError(f"{self._folder} is not a folder; --kpfiles takes the folder of the kpfiles")
        self._root = self._folder.resolve()
        self._kpfiles: dict[str, PickleFile] = {}
        self._used: OrderedDict[str, PickleFile] = OrderedDict()  # those that may be open, the latest at the end
        self._key_positions: dict[str, dict[str, int]] = {}
        self._resolved: dict[str, str | None] = {}
        self._left_out: list[Json] = []
        try:
            self._places = self._find_all()
            if self._left_out and not skip_missing:
                raise SourceError(self._missing_sentence())
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def sizes(self) -> NDArray[np.int64]:
        return np.array([place.size for place in self._places], np.int64)

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        place = self._places[index]
        annotation, _ = self._contents.video(place.entry)
        if place.key is None:
            with PickleFile(self._folder / place.file) as pickle:
                value = pickle.root()
        else:
            value = self._open(place.file).value(place.key)
        shown = "the file" if place.key is None else repr(place.key)
        pack = checked_annotation(value, self._folder / place.file, shown)
        for key in pack:
            if key in annotation:
                raise SourceError(
                    f"{self.path}: {self._contents.place(place.entry)} has {key!r}, and so has its kpfile "
                    f"{place.file}: take it out of one of the two"
                )
        return annotation | pack, Origin(storable_name(place.file, self._folder), place.position, len(pack))

    def files(self, start: int, stop: int) -> list[Path]:
        files = dict.fromkeys(place.file for place in self._places[start:stop])
        return [self.path, *(self._folder / file for file in files)]

    def settings(self) -> Json:
        return None

    def place(self, index: int) -> str:
        return self._contents.place(self._places[index].entry)

    def splits(self) -> dict[Any, Any]:
        return self._contents.splits()

    def description(self) -> dict[str, Json]:
        """As of the table of contents; and the layout of the kpfiles, and the videos that were left out."""
        contents = self._contents.description()
        files = {place.file for place in self._places}
        return {
            **contents,
            "size": contents["size"] + sum((self._folder / file).stat().st_size for file in files),
            "kpfiles": "video" if all(place.key is None for place in self._places) else "many",
            "left_out": self._left_out,
        }

    def close(self) -> None:
        self._contents.close()
        while self._used:
            self._used.popitem()[1].close()

    def _find_all(self) -> list[_Place]:
        places = []
        for i in range(len(self._contents)):
            annotation, _ = self._contents.video(i)
            found = self._find(i, annotation)
            if isinstance(found, _Place):
                places.append(found)
            else:
                name = _identifier(annotation)
                known = values.encode(name) if isinstance(name, str) else None
                self._left_out.append({"index": i, "name": known, "reason": found})
        return places

    def _missing_sentence(self) -> str:
        shown = ""
        for entry in self._left_out[:_SHOWN_MISSING]:
            name = entry["name"]
            known = self._contents.place(entry["index"]) if name is None else short(values.decode(name))
            shown += f"\n  {known} ({entry['reason']})"
        if (more := len(self._left_out) - _SHOWN_MISSING) > 0:
            shown += f"\n  … and {more} more"
        return (
            f"{self.path}: the skeletons of {len(self._left_out)} of {len(self._contents)} videos are missing; bring "
            f"their kpfiles, or leave them out with --skip-missing:{shown}"
        )

    def _find(self, index: int, annotation: Annotation) -> _Place | str:
        """Where the skeletons of a video are, or why they are nowhere."""
        name = _identifier(annotation)
        if not isinstance(name, str):
            return "it has no frame_dir, by which its skeletons would be found"
        raw_file = annotation.get("raw_file")
        if isinstance(raw_file, str):
            key = annotation["frame_dir"] if isinstance(annotation.get("frame_dir"), str) else name
            file = self._resolve(index, raw_file)
            if file is None:
                return f"its kpfile {short(raw_file)} is not in {self._folder}"
            return self._place_in(index, file, key) or f"its kpfile {file} does not have it"
        if (file := self._inside(index, f"{name}.pkl")) is not None:
            return _Place(index, file, None, 0, os.path.getsize(self._folder / file))
        file = self._catalogue.get(name)
        if file is None:
            return f"neither a file {short(name + '.pkl')} nor a kpfile that has it is in {self._folder}"
        return self._place_in(index, file, name) or f"its kpfile {file} does not have it"

    def _place_in(self, index: int, file: str, key: str) -> _Place | None:
        position = self._positions(file).get(key)
        if position is None:
            return None
        pickle = self._open(file)
        return _Place(index, file, key, position, pickle.size // len(pickle.keys))

    def _resolve(self, index: int, raw_file: str) -> str | None:
        """The kpfile that a ``raw_file`` names: it, or the longest end of it, below the kpfiles' folder."""
        if raw_file not in self._resolved:
            parts = PurePosixPath(raw_file.replace("\\", "/")).parts
            tails = ("/".join(parts[start:]) for start in range(len(parts)))
            found = (file for tail in tails if (file := self._inside(index, tail, raw_file)) is not None)
            self._resolved[raw_file] = next(found, None)
        return self._resolved[raw_file]

    def _inside(self, index: int, path: str, shown: str | None = None) -> str | None:
        """The path if it is a file below the kpfiles' folder, else None. Raises SourceError if it leads out of it."""
        parts = PurePosixPath(path).parts
        outside = ".." in parts
        if not outside:
            if PurePosixPath(path).is_absolute() or not os.path.isfile(self._folder / path):
                return None
            outside = self._root not in (self._folder / path).resolve().parents
        if outside:
            raise SourceError(
                f"{self.path}: {self._contents.place(index)}: {short(shown or path)} leads outside of {self._folder}; "
                "kpfiles are read from that folder only"
            )
        return path

    @cached_property
    def _catalogue(self) -> dict[str, str]:
        """Every key of every pickle below the kpfiles' folder -> its file."""
        catalogue: dict[str, str] = {}
        for path in sorted(walk(self._folder, (".pkl",))):
            if self._root in path.resolve().parents:
                file = path.relative_to(self._folder).as_posix()
                for key in self._positions(file):
                    catalogue.setdefault(key, file)
        return catalogue

    def _positions(self, file: str) -> dict[str, int]:
        if file not in self._key_positions:
            keys = self._open(file).keys
            self._key_positions[file] = {key: i for i, key in enumerate(keys) if isinstance(key, str)}
        return self._key_positions[file]

    def _open(self, file: str) -> PickleFile:
        """A kpfile, indexed: that is done once, for the parts in all processes read its videos in any order."""
        pickle = self._kpfiles.get(file)
        if pickle is None:
            pickle = self._kpfiles[file] = PickleFile(self._folder / file)
        self._used[file] = pickle
        self._used.move_to_end(file)
        if len(self._used) > _MAX_OPEN:
            self._used.popitem(last=False)[1].close()
        return pickle

    def __getstate__(self) -> dict[str, Any]:
        # What has found the videos is as large as the indexes, and not needed to read them.
        state = {**self.__dict__, "_used": OrderedDict(), "_key_positions": {}}
        state.pop("_catalogue", None)
        return state


def _identifier(annotation: Annotation) -> object:
    """By which MMAction2 finds the skeletons of a video: ``filename`` if it has one, else ``frame_dir``."""
    return annotation.get("filename", annotation.get("frame_dir"))


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
    convert_source(KineticsSource(source, kpfiles, skip_missing=skip_missing), destination, **options)
