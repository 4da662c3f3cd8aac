"""COCO's keypoints as JSON: an index of the file, and a source that reads one clip at a time."""

from converters.dialects.poses.coco.source import DIALECT, NAME, SUFFIX, CocoFiles

__all__ = ["DIALECT", "NAME", "SUFFIX", "CocoFiles"]
