"""Export of a store to a Kinetics table of contents with kpfiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from converters.outputs.document import write_document, write_value
from converters.outputs.origins import origins
from converters.outputs.output import new_file, new_folder
from converters.pickles.writer import PickleWriter
from skelstore import Store
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation
from skelstore.format.values import Json
from skelstore.write import disk

VIDEOS_PER_FILE = 1000
"""Default number of videos per kpfile."""

_KPFILE_KEYS = ("keypoint", "keypoint_score")
"""Keys of a video that go into its kpfile if the store was not made from kpfiles."""


class _Kpfile(NamedTuple):
    """A kpfile: its path relative to the folder, and the positions of its videos, in order."""

    file: str
    positions: list[int]


def export_kinetics(
    store: Store,
    out: Path,
    folder: Path,
    document: Json,
    videos_per_file: int | None,
    *,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the table of contents to ``out`` and the kpfiles into ``folder``.

    If ``videos_per_file`` is None and the store was made from kpfiles, the same kpfiles are written again, also with
    one per video. Otherwise ``videos_per_file`` videos (default ``VIDEOS_PER_FILE``) go into each kpfile, in the order
    of the store, and ``raw_file`` names the new kpfiles.

    Raises SourceError if a video has no name, if two videos of a kpfile have the same name, or if ``out`` or the store
    is in ``folder``; StoreExistsError and StoreError as ``new_folder`` does.
    """
    _refuse_inside(folder, out, *[store.path] if isinstance(store.path, Path) else [])
    from_kpfiles = [origin if store.source.get("dialect") == "kinetics" else None for origin in origins(store)]
    counts = [origin.keys if origin else None for origin in from_kpfiles]
    one_each = store.source.get("kpfiles") == "video" and videos_per_file is None
    raw_files: dict[int, str] = {}
    if videos_per_file is None and None not in counts:
        grouped: dict[str, list[tuple[int, int]]] = {}
        for position, origin in enumerate(from_kpfiles):
            assert origin is not None
            grouped.setdefault(origin.file, []).append((origin.position, position))
        kpfiles = [_Kpfile(file, [p for _, p in sorted(videos)]) for file, videos in grouped.items()]
    else:
        size = VIDEOS_PER_FILE if videos_per_file is None else videos_per_file
        kpfiles = [
            _Kpfile(f"kpfile_{n:05}.pkl", list(range(start, min(start + size, len(store)))))
            for n, start in enumerate(range(0, len(store), size))
        ]
        raw_files = {p: (folder / kpfile.file).as_posix() for kpfile in kpfiles for p in kpfile.positions}
    with new_file(out, force=force) as file, new_folder(folder.absolute(), force=force) as partial:
        for kpfile in kpfiles:
            target = partial / kpfile.file
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as output:
                if one_each:
                    write_value(output, _pack(store, kpfile.positions[0], counts[kpfile.positions[0]]))
                else:
                    _write_kpfile(PickleWriter(output), store, kpfile, counts)
                output.flush()
                os.fsync(output.fileno())
            if advance:
                advance(len(kpfile.positions))
        write_document(file, document, store.splits, _contents(store, counts, raw_files))
        # Remove the old table of contents before the kpfiles change, once the new files are on disk. So whatever
        # happens in between, no table of contents is beside the kpfiles of another export.
        file.flush()
        os.fsync(file.fileno())
        out.unlink(missing_ok=True)
        disk.sync_folder(out.parent)


def _refuse_inside(folder: Path, *paths: Path) -> None:
    for path in paths:
        if path.resolve().is_relative_to(folder.resolve()):
            raise SourceError(f"{path} is in {folder}, which is only for kpfiles: give another folder")


def _write_kpfile(writer: PickleWriter, store: Store, kpfile: _Kpfile, counts: list[int | None]) -> None:
    written: set[str] = set()
    with writer.streamed_dict():
        for position in kpfile.positions:
            name = store.name(position)
            if name is None or name in written:
                found = "no frame_dir" if name is None else f"the frame_dir {name!r} of another video"
                raise SourceError(
                    f"{store.path}: the video at position {position} has {found}; a kpfile needs a unique one"
                )
            written.add(name)
            writer.key(name)
            writer.value(_pack(store, position, counts[position]))
    writer.stop()


def _kpfile_keys(keys: list[object], count: int | None) -> list[object]:
    """The keys of a video that go into its kpfile: the last ``count`` keys, or the skeletons if ``count`` is None."""
    return [key for key in keys if key in _KPFILE_KEYS] if count is None else keys[len(keys) - count :]


def _pack(store: Store, position: int, count: int | None) -> Annotation:
    """The part of an annotation that goes into a kpfile."""
    video = store.lazy(position)
    return {key: video[key] for key in _kpfile_keys(list(video), count)}


def _contents(store: Store, counts: list[int | None], raw_files: dict[int, str]) -> Iterator[Annotation]:
    """The entries of the table of contents: annotations without the keys in kpfiles, with new ``raw_files`` if any."""
    for position, count in enumerate(counts):
        video = store.lazy(position)
        packed = set(_kpfile_keys(list(video), count))
        annotation = {key: video[key] for key in video if key not in packed}
        if position in raw_files:
            annotation["raw_file"] = raw_files[position]
        yield annotation
