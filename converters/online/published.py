"""The data sets that PYSKL and MMAction2 publish, as their documents list them.

Names and URLs are those of https://github.com/kennymckormick/pyskl, tools/data/README.md, and
https://github.com/open-mmlab/mmaction2, tools/data/skeleton/README.md, as of 2025-03 and version 1.2.0; the names of
the splits are those that the configs in the same repositories use. Neither states the size or a checksum of a file.
"""

from __future__ import annotations

from dataclasses import dataclass

_PYSKL = "https://download.openmmlab.com/mmaction/pyskl/data"
_MMACTION2 = "https://download.openmmlab.com/mmaction/v1.0/skeleton/data"

_NTU60 = ("xsub_train", "xsub_val", "xview_train", "xview_val")
_NTU120 = ("xsub_train", "xsub_val", "xset_train", "xset_val")
_XSUB = ("xsub_train", "xsub_val")
_VAL = ("train", "val")
_FIRST = ("train1", "test1")

_HRNET = "2D by HRNet"
_KINECT = "3D by Kinect"
_CONTENTS = "table of contents: convert it with --kpfiles, the folder of the kpfiles"
_PYSKL_KPFILES = f"{_CONTENTS} (PYSKL's link to them is reported to be dead)"
_MMACTION2_KPFILES = (
    f"{_CONTENTS}, k400_kpfiles_2d.zip of https://openxlab.org.cn/datasets/OpenMMLab/Kinetics400-skeleton"
)
_BOXES = "with --boxes pyskl:gym_gt_bboxes, the boxes of the athletes are joined"


@dataclass(frozen=True)
class Published:
    """A file that others publish.

    ``joints`` is the joint layout (None: no keypoints), ``splits`` the splits that upstream's configs use (it may have
    more). ``size`` in bytes and ``sha256`` are None if the documents state none.
    """

    name: str
    url: str
    title: str
    joints: str | None
    splits: tuple[str, ...] = ()
    note: str = ""
    size: int | None = None
    sha256: str | None = None


def _pyskl(path: str, title: str, splits: tuple[str, ...], note: str = "", joints: str | None = "coco-17") -> Published:
    name = path.rpartition("/")[2].removesuffix(".pkl")
    return Published(f"pyskl:{name}", f"{_PYSKL}/{path}", title, joints, splits, note)


def _mmaction2(name: str, title: str, splits: tuple[str, ...], note: str = "", joints: str = "coco-17") -> Published:
    return Published(f"mmaction2:{name}", f"{_MMACTION2}/{name}.pkl", title, joints, splits, note)


PUBLISHED: dict[str, Published] = {
    entry.name: entry
    for entry in (
        _pyskl("nturgbd/ntu60_hrnet.pkl", f"NTU RGB+D, {_HRNET}", _NTU60),
        _pyskl("nturgbd/ntu60_3danno.pkl", f"NTU RGB+D, {_KINECT}", _NTU60, joints="ntu-25"),
        _pyskl("nturgbd/ntu120_hrnet.pkl", f"NTU RGB+D 120, {_HRNET}", _NTU120),
        _pyskl("nturgbd/ntu120_3danno.pkl", f"NTU RGB+D 120, {_KINECT}", _NTU120, joints="ntu-25"),
        _pyskl("gym/gym_hrnet.pkl", f"FineGYM, {_HRNET}", _VAL, _BOXES),
        _pyskl("gym/gym_gt_bboxes.pkl", "FineGYM, boxes of the athletes", (), "for --boxes", joints=None),
        _pyskl("ucf101/ucf101_hrnet.pkl", f"UCF101, {_HRNET}", _FIRST),
        _pyskl("hmdb51/hmdb51_hrnet.pkl", f"HMDB51, {_HRNET}", _FIRST),
        _pyskl("diving48/diving48_hrnet.pkl", f"Diving48, {_HRNET}", ("train", "test")),
        _pyskl("k400/k400_hrnet.pkl", f"Kinetics-400, {_HRNET}", _VAL, _PYSKL_KPFILES),
        _mmaction2("ntu60_2d", f"NTU RGB+D, {_HRNET}", _XSUB),
        _mmaction2("ntu60_3d", f"NTU RGB+D, {_KINECT}", _XSUB, joints="ntu-25"),
        _mmaction2("ntu120_2d", f"NTU RGB+D 120, {_HRNET}", _XSUB),
        _mmaction2("ntu120_3d", f"NTU RGB+D 120, {_KINECT}", _XSUB, joints="ntu-25"),
        _mmaction2("gym_2d", f"FineGYM, {_HRNET}", _VAL, _BOXES),
        _mmaction2("ucf101_2d", f"UCF101, {_HRNET}", _FIRST),
        _mmaction2("hmdb51_2d", f"HMDB51, {_HRNET}", _FIRST),
        _mmaction2("diving48_2d", f"Diving48, {_HRNET}", ()),
        _mmaction2("k400_2d", f"Kinetics-400, {_HRNET}", _VAL, _MMACTION2_KPFILES),
    )
}
"""Name of each file, as ``convert`` takes it -> the file."""

PUBLISHERS = tuple(dict.fromkeys(name.partition(":")[0] for name in PUBLISHED))


def as_json(entry: Published) -> dict[str, object]:
    """An entry for ``skelstore datasets --json``."""
    return {**vars(entry), "splits": list(entry.splits), "note": entry.note or None}


def as_lines(entry: Published) -> list[str]:
    """An entry for ``skelstore datasets``."""
    splits = f"; splits {', '.join(entry.splits)}" if entry.splits else "; splits not stated" if entry.joints else ""
    joints = f"; joints {entry.joints}" if entry.joints else ""
    size = [f"{entry.size:,} bytes"] if entry.size is not None else []
    checksum = [f"sha256 {entry.sha256}"] if entry.sha256 is not None else []
    return [
        f"{entry.name}: {entry.title}{joints}{splits}",
        f"    {', '.join((entry.url, *size, *checksum))}",
        *([f"    {entry.note}"] if entry.note else []),
    ]
