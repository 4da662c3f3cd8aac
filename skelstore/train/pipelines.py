"""Pipelines of PYSKL and MMAction2 that begin with a frame sampler, run so that only the sampled frames are read.

Both frameworks name the steps alike: an optional DecompressPose, a frame sampler, and PoseDecode, which takes the
sampled frames as float32.
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
"""UniformSampleFrames looks at the skeletons, too, but that does not change what it draws: it mixes indices with
themselves."""
LATER = ("keypoint", "keypoint_score", "frame_inds")
"""What is read when the frames are known, or needed only to know them."""
VIDEO = "skelstore.video"
"""Where an annotation without these keeps the video to read them from."""


def deferred(selection: Selection, position: int) -> dict[str, Any]:
    """An item of a selection without its skeletons, for a `SampledPipeline`."""
    lazy = selection.lazy(position)
    annotation = selection.with_anno_inds({name: lazy[name] for name in lazy if name not in LATER})
    return annotation | {VIDEO: (selection, position)}


class SampledPipeline:
    """Transforms, applied one after the other to what `deferred` gives; the results are those of the whole annotation.

    Raises ValueError if they do not begin with [DecompressPose,] a frame sampler and PoseDecode.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        rest = list(transforms)
        names = [type(transform).__name__ for transform in rest]
        self._decompress: Any = rest.pop(0) if names[:1] == ["DecompressPose"] else None
        begins = names[self._decompress is not None :][:2]
        if len(begins) < 2 or begins[0] not in SAMPLERS or begins[1] != "PoseDecode":
            raise ValueError(
                f"read_sampled needs a pipeline that begins with [DecompressPose,] one of {', '.join(SAMPLERS)}, and "
                f"PoseDecode; this one begins with {', '.join(names[:3]) or 'nothing'}"
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
