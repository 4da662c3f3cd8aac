"""Kinetics-Skeleton: a JSON file per clip, as ST-GCN published them.

A file holds ``{"data": [{"frame_index": 1, "skeleton": [{"pose": [x0, y0, x1, y1, …], "score": [s0, …]}]}, …],
"label": "flipping pancake", "label_index": 129}`` (yysijie/st-gcn, feeder/feeder_kinetics.py and
tools/kinetics_gendata.py). In the published set, x and y are fractions of the image, and V is 18 (OpenPose). A joint
that was not found is 0, 0 with the score 0. Persons are not tracked. Beside a folder ``kinetics_train`` is
``kinetics_train_label.json``: ``{id: {"has_skeleton": true, "label": str, "label_index": int}}``.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from converters.dialects.dialect import POSE_OPTIONS, Dialect, recorded_pose_options
from converters.inputs.candidate import Candidate
from converters.inputs.clip_files import read_chunks
from converters.inputs.detections import Detections
from converters.inputs.json_elements import begins_like_json, elements
from converters.inputs.listing import Entry, Listing, Video
from converters.inputs.number_rows import require_numbers
from converters.inputs.pose_clips import PoseClips
from converters.inputs.table_limits import MOST_ROWS
from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.format.values import Json
from skelstore.wording import shown

NAME = "kinetics-skeleton"
SUFFIX = ".json"
SPLITS = {"kinetics_train": "train", "kinetics_val": "val", "kinetics_test": "test"}
"""Folder of clips -> their split."""

_LABEL_FILE = re.compile(r"kinetics_[a-z]+_label\.json", re.ASCII)
_TAIL_BYTES = 4096
_TAIL = re.compile(rb'"label"\s*:\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*,\s*"label_index"\s*:\s*(\d{1,9})\s*\}\s*\Z')
"""The end of a clip: its class and label."""
_MOST_LABEL = 100_000


class _Label(NamedTuple):
    """The label of a clip and the name of its class."""

    number: int
    name: str | None


class KineticsSkeletonFiles(PoseClips):
    """Source of a ``.json`` file of Kinetics-Skeleton, or of all of them below a folder or in a zip file.

    The name of a clip is that of its file. Labels and class names are those of the label files, else those of the
    clips; folders ``kinetics_train`` and ``kinetics_val`` are splits. Options and errors are those of ``PoseClips``; a
    table or ``label_by`` replaces labels and splits. Raises SourceError, too, if a label file is damaged or classes
    have several labels.
    """

    dialect = NAME
    lists_frames = True
    notes = ("box_score is the mean of the scores of the joints: Kinetics-Skeleton does not score persons",)
    scores_persons = False
    names = ("pose", "score")
    _own: _Label | None = None
    """The label of the clip that was read last."""

    def _clips(self) -> list[Entry]:
        clips = [entry for entry in super()._clips() if not _LABEL_FILE.fullmatch(PurePosixPath(entry.file).name)]
        stems = Counter(_id(entry) for entry in clips)
        return [entry._replace(name=_id(entry)) if stems[_id(entry)] == 1 else entry for entry in clips]

    def _label(self, listing: Listing) -> Listing:
        """The listing with labels of the label files, or of the ends of clips, unless a table or names give labels."""
        self._class_names: dict[int, str] = {}
        self._is_labelled = listing.label_by is not None or any(v.row.label is not None for v in listing.videos)
        if self._is_labelled:
            return listing
        folders = sorted({PurePosixPath(video.entry.file).parent for video in listing.videos})
        labels: dict[PurePosixPath, dict[str, _Label]] = {}
        tables = list(listing.tables)
        for folder in folders:
            labels[folder], files = self._read_label_file(folder)
            tables += files
        videos = []
        for video in listing.videos:
            folder = PurePosixPath(video.entry.file).parent
            label = labels[folder].pop(_id(video.entry), None) or self._label_at_end(video.entry)
            split = SPLITS.get(self._name_of(folder))
            row = video.row
            if label is not None:
                self._check_class(self._where(video.entry), label)
                row = replace(row, label=label.number)
            videos.append(video._replace(row=row if split is None or row.splits else replace(row, splits=(split,))))
        self._without_file = sum(map(len, labels.values()))
        classes = [self._class_names.get(index) for index in range(max(self._class_names, default=-1) + 1)]
        complete = [name for name in classes if name is not None]
        if len(complete) == len(classes):
            listing = replace(listing, classes=complete)
        return replace(listing, videos=videos, tables=tables)

    def _layout(self, joints: int) -> str | None:
        return "openpose-18" if joints == 18 else None

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        where = self._where(entry)
        frames = 0
        last = -1
        top: dict[str, Any] = {}
        for element in elements(self._files.chunks(entry.file), where):
            if element.key != "data":
                if element.key not in ("label", "label_index"):
                    detections.not_kept([element.key or "elements"])
                else:
                    top[element.key] = element.value
                continue
            if element.position is None and element.value == []:
                frames = 0
                top["data"] = True
                continue
            top["data"] = True
            place = element.place
            frame = self._frame(where, place, element.value, last)
            last = frame
            frames += 1
            if frames == 1:
                detections.see_frame(frame)
            if len(element.value) > 2:
                detections.not_kept(element.value.keys() - {"frame_index", "skeleton"})
            for i, person in enumerate(element.value["skeleton"]):
                self._add(where, f"{place}.skeleton[{i}]", frame, person, detections)
        if last >= 0:
            detections.see_frame(last)
        if "data" not in top:
            raise SourceError(f"{where} has no list 'data'; expected an object with data, label and label_index")
        self._own = _label_of(where, top)
        return frames

    def _more(self, video: Video) -> dict[str, Any]:
        own, label = self._own, video.row.label
        if self._is_labelled:
            return {}
        if own is not None and label not in (None, own.number):
            raise SourceError(
                f"{self._where(video.entry)}: label_index is {own.number}, but {label} in the label file; expected the "
                "same"
            )
        more: dict[str, Any] = {} if own is None or label is not None else {"label": own.number}
        name = self._class_names.get(label) if label is not None else own and own.name
        return more | ({"class_name": name} if name is not None and not self._listing.classes else {})

    def description(self) -> dict[str, Json]:
        """As for ``PoseClips``; ``labels_without_clip`` is the number of ids in label files that have no file."""
        without = 0 if self._is_labelled else self._without_file
        return super().description() | ({"labels_without_clip": without} if without else {})

    def _name_of(self, folder: PurePosixPath) -> str:
        """The name of a folder of clips; "" for the top of a zip file."""
        return folder.name or ("" if self._files.is_zip else self._folder.name)

    def _check_class(self, where: str, label: _Label) -> None:
        if label.name is not None and self._class_names.setdefault(label.number, label.name) != label.name:
            raise SourceError(
                f"{where}: the label {label.number} is {shown(label.name)} here and "
                f"{shown(self._class_names[label.number])} elsewhere; expected one name per class"
            )

    def _read_label_file(self, folder: PurePosixPath) -> tuple[dict[str, _Label], list[Path]]:
        """The labels in ``<folder>_label.json`` beside a folder, by id, and the file; empty without such a file."""
        name = f"{folder.name}_label.json"
        inside = (folder.parent / name).as_posix()
        if folder.name and inside in self._files.sizes:
            chunks, where = self._files.chunks(inside), self._files.where(inside)
            files = self._files.files([inside])
        else:
            beside = self._folder.with_name(f"{self._folder.name}_label.json")
            if folder.name or self._files.is_zip or not beside.is_file():
                return {}, []
            chunks, where, files = read_chunks(beside), str(beside), [beside]
        labels: dict[str, _Label] = {}
        for element in elements(chunks, where):
            if len(labels) >= MOST_ROWS:
                raise SourceError(f"{where} has more than {MOST_ROWS:,} labels: convert the clips in parts")
            if element.key is None or element.position is not None or type(element.value) is not dict:
                raise SourceError(
                    f"{where}: {element.place} is {shown(element.value)}; expected an object with label and label_index"
                )
            label = _label_of(f"{where}: {element.key[:80]}", element.value)
            if label is not None:
                labels[element.key] = label
        return labels, files

    def _label_at_end(self, entry: Entry) -> _Label | None:
        """The label at the end of a clip on disk, None if it is not there."""
        if self._files.is_zip:
            return None
        with open(self._folder / entry.file, "rb", opener=open_regular) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            match = _TAIL.search(file.read())
        if match is None:
            return None
        try:
            return _Label(int(match[2]), json.loads(match[1]))
        except ValueError:
            return None

    def _frame(self, where: str, place: str, frame: object, last: int) -> int:
        """The number of a frame, which has a list of persons."""
        if type(frame) is not dict or type(frame.get("skeleton")) is not list:
            raise SourceError(f"{where}: {place} is {shown(frame)}; expected an object with frame_index and skeleton")
        number = frame.get("frame_index")
        if type(number) is not int or not last < number < 2**31 - 1:
            raise SourceError(
                f"{where}: {place}.frame_index is {shown(number)}; expected an integer above {last}, in order"
            )
        return number

    def _add(self, where: str, place: str, frame: int, person: object, detections: Detections) -> None:
        """Add a person, or leave out one without joints."""
        if type(person) is not dict or "pose" not in person or "score" not in person:
            raise SourceError(f"{where}: {place} is {shown(person)}; expected an object with pose and score")
        if len(person) > 2:
            detections.not_kept(person.keys() - {"pose", "score"})
        pose, scores = person["pose"], person["score"]
        if pose == [] == scores:
            detections.leave_out()
            return
        if type(scores) is not list:
            require_numbers(scores, f"{where}: {place}.score")
        detections.add(place, frame, pose, joint_scores=scores)


def _id(entry: Entry) -> str:
    return PurePosixPath(entry.file).stem


def _label_of(where: str, members: dict[str, Any]) -> _Label | None:
    """The label and class name in an object, None if it has none: no index, or -1."""
    index, name = members.get("label_index"), members.get("label")
    if index is None or (type(index) is int and index == -1):
        return None
    if type(index) is not int or not 0 <= index <= _MOST_LABEL or not (name is None or isinstance(name, str)):
        raise SourceError(
            f"{where}: label_index is {shown(index)} and label {shown(name)}; expected an integer from 0 to "
            f"{_MOST_LABEL:,}, and the name of a class"
        )
    return _Label(index, name)


def recognise(candidate: Candidate) -> bool:
    """Whether it is a JSON file that begins like a clip, or a folder or zip file with such a file."""
    return any(
        all(key in head for key in (b'"data"', b'"frame_index"', b'"skeleton"')) and begins_like_json(head)
        for head in candidate.heads(SUFFIX)
    )


DIALECT = Dialect(
    NAME,
    "Kinetics-Skeleton's clips as JSON, as ST-GCN published them",
    "JSON of Kinetics-Skeleton: a file per clip, a folder or a zip file of them",
    recognise=recognise,
    open=KineticsSkeletonFiles,
    options=POSE_OPTIONS,
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded_pose_options,
)
