"""Running PYSKL and MMAction2 pipelines that start with a frame sampler, on the sampled frames alone.

Both frameworks use the same names for the steps: an optional DecompressPose, a frame sampler, and PoseDecode, which
returns the sampled frames as float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import FrameIndexError
from skelstore.read.decompression import squeezed_total
from skelstore.read.store import Decompressed
from skelstore.train.selection import Selection
from skelstore.wording import counted

Transform = Callable[[dict[str, Any]], Any]

SAMPLERS = ("UniformSampleFrames", "UniformSample")
"""Supported frame samplers. UniformSampleFrames also looks at the skeletons, but that does not change the frames that
it draws: it mixes indices with themselves."""

LATER = ("keypoint", "keypoint_score", "frame_inds")
"""Fields that are read after the frames are sampled, or that are needed only to find the frames."""

VIDEO = "skelstore.video"
"""Key under which an annotation without these fields holds the video to read them from."""


def without_skeletons(selection: Selection, position: int) -> dict[str, Any]:
    """The item of a selection at a position, without its skeletons, for a `SampledPipeline`."""
    lazy = selection.lazy(position)
    annotation = selection.with_anno_inds({name: lazy[name] for name in lazy if name not in LATER})
    return annotation | {VIDEO: (selection, position)}


class SampledPipeline:
    """Applies transforms in order to what `without_skeletons` returns; the results equal those of a whole annotation.

    Raises ValueError if the transforms do not start with [DecompressPose,] a frame sampler and PoseDecode.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        rest = list(transforms)
        names = [type(transform).__name__ for transform in rest]
        self._decompress: Any = rest.pop(0) if names[:1] == ["DecompressPose"] else None
        begins = names[self._decompress is not None :][:2]
        if len(begins) < 2 or begins[0] not in SAMPLERS or begins[1] != "PoseDecode":
            raise ValueError(
                f"read_sampled needs a pipeline that starts with [DecompressPose,] one of {', '.join(SAMPLERS)}, and "
                f"PoseDecode; this one starts with {', '.join(names[:3]) or 'nothing'}"
            )
        self._sampler, _, *self.transforms = rest

    def __call__(self, results: dict[str, Any]) -> Any:
        selection, position = results.pop(VIDEO)
        sampled: dict[str, Any] = {}

        def sample(frames: int) -> NDArray[Any]:
            squeezes = self._decompress is not None and self._decompress.squeeze
            total = squeezed_total(frames) if squeezes else results["total_frames"]
            if total != frames:
                raise FrameIndexError(
                    f"{selection.store.path}: the video at position {position} has total_frames {total} and a keypoint "
                    f"of {counted(frames, 'frame')}"
                )
            sampled.update(self._sampler({**results, "total_frames": total}))
            inds = sampled["frame_inds"]
            sampled["frame_inds"] = inds if inds.ndim == 1 else np.squeeze(inds)  # as PoseDecode does
            chosen: NDArray[Any] = sampled["frame_inds"] + sampled.get("offset", 0)
            return chosen

        store = selection.store
        if self._decompress is None:
            keys = [name for name in ("keypoint", "keypoint_score") if name in store.lazy(position)]
            read = store.read_one(position, fields=keys, frames=sample)
        else:
            options = {"squeeze": self._decompress.squeeze, "max_person": self._decompress.max_person}
            read = Decompressed(store, box_thr=selection.box_thr, **options).read_one(position, frames=sample)
        if "num_person" in read:
            sampled.setdefault("num_person", read["num_person"])
        for name in ("keypoint", "keypoint_score"):
            if name in read:
                sampled[name] = read[name].astype(np.float32)
        return self._rest(sampled)

    def _rest(self, results: Any) -> Any:
        for transform in self.transforms:
            results = transform(results)
            if results is None:
                return None
        return results
