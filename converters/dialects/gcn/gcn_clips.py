"""Clips of the GCN code bases in a file each: a folder of .npy [C, T, V, M] or [1, C, T, V, M].

Programs that run ST-GCN on single clips write them, for example as the input of its ``demo``. The labels are in a table
or in the names of folders. Only --from or --channels makes a folder one of these: the shape of a .npy does not say
which axes it has, and one in another order is refused as [M, T, V, C] (`inputs.axes`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from converters.dialects.dialect import CHANNELS, KEEP_PADDING, LABEL_BY, SKIP_MISSING, TABLE, Dialect, recorded_missing
from converters.inputs.array_file import npy_header, read_npy_and_head
from converters.inputs.axes import other_reading
from converters.inputs.candidate import Candidate
from converters.inputs.gcn_clip import ARRAY_HEADER, ARRAY_SHAPE, has_scores, keypoints_of, refuse_derived
from converters.inputs.listing import Entry, ListedFiles, Video, files_below, list_videos
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json

if TYPE_CHECKING:
    from skelstore import Store

NAME = "gcn-clips"
SUFFIX = ".npy"

_EXPECTED = "expected [C, T, V, M] or [1, C, T, V, M] with 2 or 3 coordinates C"


class GcnClips(ListedFiles):
    """Source of all .npy files below a folder, or of those that a table lists, in its order.

    ``table`` and ``label_by`` give labels and splits, as for a folder of arrays; the name of a clip is its path without
    suffix. ``channels`` and ``keep_padding`` are those of ``StGcnSource``. With ``skip_missing``, rows of the table
    whose files are missing are left out and recorded.

    Raises SourceError that reports all files with another shape, missing files and repeated names.
    """

    dialect = NAME

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        table: str | os.PathLike[str] | None = None,
        label_by: str | None = None,
        channels: str | None = None,
        keep_padding: bool = False,
        skip_missing: bool = False,
    ) -> None:
        self.path = self._folder = absolute(path)
        has_scores(channels, 3, 0)  # refuses an unknown word
        self._channels = channels
        self._keep_padding = keep_padding
        entries = [self._entry(file) for file in files_below(self.path, (SUFFIX,))]
        self._listing = list_videos(
            self.path,
            entries,
            table=table,
            label_by=label_by,
            skip_missing=skip_missing,
            unique=True,
            check=self._wrong_headers,
        )

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """``frame_dir``, ``label`` and other columns of the table; ``keypoint`` [M, T, V, C], ``keypoint_score``
        [M, T, V] if the third channel is the score, ``total_frames``; ``person_rows`` if the first person is one of
        zeros and another is not; ``array_shape``, and ``array_header`` if it is not as NumPy writes it. Arrays have the
        dtype of the file.
        """
        from converters.outputs.array_writer import new_array

        video = self._listing.videos[index]
        file = self.path / video.entry.file
        clip, head = read_npy_and_head(file)
        coordinates, _, joints, _ = _shape(file, clip.shape, clip.dtype.kind)
        scored = has_scores(self._channels, coordinates, joints)
        points = keypoints_of(
            clip.reshape(clip.shape[-4:]).transpose(3, 1, 2, 0), keep_padding=self._keep_padding, scored=scored
        )
        points[ARRAY_SHAPE] = clip.shape
        if head != new_array(clip.shape, clip.dtype).head:
            points[ARRAY_HEADER] = head.decode("latin-1")
        annotation: Annotation = {"frame_dir": video.name, **video.row.keys()}
        for key in points.keys() & annotation.keys():
            raise SourceError(f"{file}: {key!r} is a column of the table; expected it from the array")
        return annotation | points, Origin(video.entry.file, 0, len(points))

    def settings(self) -> Json:
        return [self._listing.label_by, self._channels, self._keep_padding]

    def description(self) -> dict[str, Json]:
        """As for the listing; and ``channels`` and ``keep_padding`` if they were given."""
        options: dict[str, Json] = {"channels": self._channels, "keep_padding": self._keep_padding}
        return super().description() | {key: value for key, value in options.items() if value}

    def close(self) -> None:
        """Do nothing: no file stays open between clips."""

    def _entry(self, file: str) -> Entry:
        name = PurePosixPath(file).with_suffix("").as_posix()
        return Entry(file, None, name, max((self.path / file).stat().st_size, 1))

    def _wrong_headers(self, videos: list[Video]) -> list[str]:
        """A problem per file that is no clip, or too large a one, or whose channels are not those stated.

        Reads only headers.
        """
        from skelstore.train.clips import MOST_BYTES

        problems = []
        for video in videos:
            file = self.path / video.entry.file
            try:
                refuse_derived(file)
                header = npy_header(file)
                coordinates, _, joints, _ = _shape(file, header.shape, header.dtype.kind)
                has_scores(self._channels, coordinates, joints)
                if (size := header.size * header.dtype.itemsize) > MOST_BYTES:
                    raise SourceError(
                        f"{file} has {size:,} bytes of values; expected one clip, of at most {MOST_BYTES:,}"
                    )
            except SourceError as error:
                text = str(error)
                problems.append(text if text.startswith(str(file)) else f"{file}: {text}")
        return problems


def _shape(file: Path, shape: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """C, T, V, M. Raises SourceError if an array of this shape and kind is no clip."""
    clip = shape[1:] if len(shape) == 5 and shape[0] == 1 else shape
    if len(clip) != 4 or kind not in "iuf" or clip[0] not in (2, 3) or 0 in clip:
        reading = other_reading(shape) if kind in "iuf" else None
        hint = f": {reading.sentence()}" if reading is not None else ""
        raise SourceError(f"{file} has the shape {shape}; {_EXPECTED}{hint}")
    if clip[-1] == 3 and clip[0] == 2 and other_reading(clip) is None:
        raise SourceError(
            f"{file} has the shape {shape}, which looks like [M, T, V, C] of two persons: convert its folder with "
            "--from arrays"
        )
    return clip


def recognise(candidate: Candidate) -> bool:
    """Whether ``--channels`` is given with a folder of .npy files and no pickles."""
    return "channels" in candidate.given and candidate.has(SUFFIX) and not candidate.has(".pkl")


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    kept = {"keep_padding": bool(source.get("keep_padding")), "channels": source.get("channels")}
    return recorded_missing(source) | kept


def _export(store: Store, out: Path, *, force: bool = False, advance: Callable[[int], None] | None = None) -> None:
    from converters.outputs.gcn_clips import export_gcn_clips

    export_gcn_clips(store, out, force=force, advance=advance)


DIALECT = Dialect(
    NAME,
    "clips of ST-GCN in a .npy each, [C, T, V, M]",
    "a folder of .npy [C, T, V, M]",
    recognise=recognise,
    open=GcnClips,
    options=(TABLE, LABEL_BY, CHANNELS, KEEP_PADDING, SKIP_MISSING),
    takes_folder=True,
    suffixes=(SUFFIX,),
    export=_export,
    recorded=recorded,
)
