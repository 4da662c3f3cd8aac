"""What is written below a drawing: the class, the name of the video, and the number of the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from skelstore.format.schema import video_name
from skelstore.wording import escape, shown

_MOST_LABELS = 5
_LONGEST = 300


class Caption(NamedTuple):
    """The class with its label, the name of the video, and the number of its frames; texts may be empty."""

    title: str
    name: str
    total: int

    def frame(self, number: int) -> str:
        """The text for a frame."""
        return f"frame {number:,} of {self.total:,}"


def caption_of(annotation: Mapping[Any, Any], class_names: Sequence[str] | None, total: int) -> Caption:
    """The caption of an annotation, whose label may be an integer, or several. Characters that cannot be printed are
    escaped."""
    name = video_name(dict(annotation))
    return Caption(_title(annotation.get("label"), class_names), escape("" if name is None else name[:_LONGEST]), total)


def _title(label: Any, class_names: Sequence[str] | None) -> str:
    if label is None:
        return ""
    if isinstance(label, np.ndarray):
        label = label.ravel()[: _MOST_LABELS + 1].tolist()
    labels = label if isinstance(label, (list, tuple)) else [label]
    more = ", …" if len(labels) > _MOST_LABELS else ""
    return escape(", ".join(_class(one, class_names) for one in labels[:_MOST_LABELS]) + more)


def _class(label: Any, class_names: Sequence[str] | None) -> str:
    if isinstance(label, (int, np.integer)) and class_names is not None and 0 <= label < len(class_names):
        return f"{class_names[int(label)][:_LONGEST]} ({int(label)})"
    return f"class {shown(label)}"
