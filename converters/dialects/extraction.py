"""The output of pose extraction: annotations, one per file or in lists, whose labels and splits are kept elsewhere.

MMAction2's ntu_pose_extraction.py writes one annotation per file. PYSKL's custom_2d_skeleton.py writes a list, and one
list per process (``tmp/part_0.pkl`` …); with ``--compress``, keypoints are [N, V, 3] with ``frame_inds``. Its
annotations have labels only if its list of videos has them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Unpack

from converters.conversion.source import checked_annotation
from converters.dialects.dialect import LABEL_BY, SKIP_MISSING, TABLE, Dialect, recorded_missing
from converters.inputs.annotation_file import describe_top, open_pickle
from converters.inputs.candidate import Candidate
from converters.inputs.listing import Entry, ListedFiles, filename_of, files_below, list_videos
from converters.inputs.video_table import refuse
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin, video_name

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

NAME = "extraction"


class ExtractedFiles(ListedFiles):
    """Source of one pickle, or of all ``*.pkl`` below a folder. Each holds an annotation or a list of annotations.

    ``table`` is a CSV or Parquet file (`inputs.video_table`); ``label_by`` takes label and split from ``folders``
    or ``ntu`` names instead. Their values replace those of the annotations. With ``skip_missing``, rows of the table
    whose videos are missing are left out and recorded. Raises SourceError that reports all missing videos, repeated
    names and files that hold something else.
    """

    dialect = NAME

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        table: str | os.PathLike[str] | None = None,
        label_by: str | None = None,
        skip_missing: bool = False,
    ) -> None:
        self.path = absolute(path)
        self._folder = self.path if self.path.is_dir() else self.path.parent
        self._lists: dict[str, PickleFile] = {}
        self._open: PickleFile | None = None
        files = files_below(self.path, (".pkl",)) if self.path.is_dir() else [self.path.name]
        try:
            self._listing = list_videos(
                self.path, self._entries(files), table=table, label_by=label_by, skip_missing=skip_missing
            )
        finally:
            self.close()

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        entry, row = self._listing.videos[index]
        annotation = self._annotation(entry) | row.keys()
        return annotation, Origin(entry.file, entry.position or 0, len(annotation))

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def _entries(self, files: list[str]) -> list[Entry]:
        """The annotations of the files. Raises SourceError that reports all files that hold something else."""
        entries: list[Entry] = []
        problems: list[str] = []
        for file in files:
            try:
                entries += self._entries_of(file)
            except SourceError as error:
                problems.append(str(error))
        refuse(str(self.path), problems)
        return entries

    def _entries_of(self, file: str) -> list[Entry]:
        pickle = open_pickle(self._folder / file, whole=True)
        if pickle.root_kind == "list":
            self._lists[file] = self._use(pickle)
            sizes = pickle.element_sizes().tolist()
            entries = [Entry(file, position, None, size) for position, size in enumerate(sizes)]
            return [self._with_names(entry, self._annotation(entry)) for entry in entries]
        with pickle:
            if pickle.root_kind != "dict" or "annotations" in pickle.keys:
                raise SourceError(
                    f"{pickle.path} holds {describe_top(pickle)}; expected an annotation or a list of them"
                )
            annotation = checked_annotation(pickle.root(), pickle.path, "the file")
        return [self._with_names(Entry(file, None, None, pickle.size), annotation)]

    @staticmethod
    def _with_names(entry: Entry, annotation: Annotation) -> Entry:
        return entry._replace(name=video_name(annotation), filename=filename_of(annotation))

    def _annotation(self, entry: Entry) -> Annotation:
        path = self._folder / entry.file
        if entry.position is not None:
            value = self._use(self._lists[entry.file]).element(entry.position)
            return checked_annotation(value, path, f"[{entry.position}]")
        with PickleFile(path) as pickle:
            return checked_annotation(pickle.root(), path, "the file")

    def _use(self, pickle: PickleFile) -> PickleFile:
        """The pickle of a list, as the only open one: there may be more lists than a process can open files."""
        if self._open is not pickle:
            self.close()
            self._open = pickle
        return pickle


def recognise(candidate: Candidate) -> bool:
    """Whether it is a folder whose first pickle is a list or, if labels are given, annotations other than a data set.

    If labels are given, a folder whose first pickle cannot be read, or is a whole data set, is recognised, too: opening
    it reports all such files.
    """
    if not candidate.labelled:
        return candidate.is_folder and candidate.top == "list"
    if candidate.top == "dict" or candidate.refusal is not None:
        return candidate.is_folder
    return candidate.top in ("list", "annotation")


DIALECT = Dialect(
    NAME,
    "the output of pose extraction, with labels and splits from a table or from names",
    "pickles of annotations or of lists of annotations",
    recognise=recognise,
    open=ExtractedFiles,
    options=(TABLE, LABEL_BY, SKIP_MISSING),
    takes_folder=None,
    suffixes=(".pkl",),
    recorded=recorded_missing,
)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    table: str | os.PathLike[str] | None = None,
    label_by: str | None = None,
    skip_missing: bool = False,
    **options: Unpack[ConvertOptions],
) -> None:
    """Convert a file or folder. Raises SourceError as ``ExtractedFiles`` does, else what ``convert_source`` raises."""
    from converters.conversion.convert import convert_source

    extracted = ExtractedFiles(source, table=table, label_by=label_by, skip_missing=skip_missing)
    convert_source(extracted, destination, **options)
