"""Annotations whose joints are easy to find in a picture, and finding them there again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.float64]


def scattered(
    frames: int = 6, persons: int = 1, joints: int = 4, image: tuple[int, int] = (240, 320), seed: int = 0
) -> dict[str, Any]:
    """A dense annotation whose joints are at least 30 pixels apart and 15 from the edges of the image (height, width).

    No layout has 4 joints, so that no bones are drawn.
    """
    random = np.random.default_rng(seed)
    height, width = image
    cells = [(x, y) for x in range(15, width - 15, 45) for y in range(15, height - 15, 45)]
    keypoint = np.zeros((persons, frames, joints, 2), np.float32)
    for frame in range(frames):
        chosen = random.choice(len(cells), persons * joints, replace=False)
        places = np.array(cells)[chosen] + random.uniform(0, 14, (persons * joints, 2))
        keypoint[:, frame] = places.reshape(persons, joints, 2)
    return {
        "frame_dir": "scattered",
        "label": 1,
        "img_shape": image,
        "total_frames": frames,
        "keypoint": keypoint,
        "keypoint_score": np.ones(keypoint.shape[:3], np.float32),
    }


def blobs(marked: NDArray[np.bool_], weights: NDArray[np.float64] | None = None) -> Places:
    """The centre (x, y) of each connected region of pixels, where pixel i covers i to i + 1; [n, 2], sorted."""
    left = {(int(y), int(x)) for y, x in np.argwhere(marked)}
    centres = []
    while left:
        region, near = [], [left.pop()]
        while near:
            y, x = near.pop()
            region.append((y, x))
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= around
            near += around
        ys, xs = np.array(region).T
        mass = np.ones(len(region)) if weights is None else weights[ys, xs]
        centres.append(((xs + 0.5) @ mass / mass.sum(), (ys + 0.5) @ mass / mass.sum()))
    return np.array(sorted(centres)).reshape(-1, 2)


def dots(image: NDArray[Any], size: tuple[int, int], least: int = 60) -> Places:
    """The centres of dots on white in the drawing, which has this width and height and begins at (0, 0)."""
    inner = image[2 : size[1] - 2, 2 : size[0] - 2].astype(float)
    ink = 255 - inner.min(-1)
    return blobs(ink >= least, ink) + 2


def check_places(found: Places, expected: Places, within: float = 1.0) -> None:
    """Check that each expected place was found, and nothing else."""
    expected = np.asarray(expected, np.float64).reshape(-1, 2)
    assert len(found) == len(expected), (found, expected)
    for place in expected:
        assert np.abs(found - place).max(1).min() <= within, (place, found)


def decoded(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a gif or mp4, decoded by FFmpeg, as RGB [H, W, 3]."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def write_film(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    rate: int = 25,
    turned: int = 0,
    mirrored: bool = False,
    pixel_ratio: Fraction = Fraction(1),
) -> Path:
    """Write RGB frames [H, W, 3] as an mp4.

    Players mirror it left to right if it is ``mirrored``, and then turn it clockwise by 0, 90, 180 or 270 degrees. The
    pixels of the stored frames are ``pixel_ratio`` times as wide as they are high.
    """
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"crf": "10", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_ratio
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    if turned or mirrored:
        a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turned]
        set_matrix(path, (-a, -b, c, d) if mirrored else (a, b, c, d))
    return path


def set_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Write the matrix of the track header (ISO 14496-12, 8.3.2): 9 numbers, 40 bytes after the version."""
    a, b, c, d = (round(0x10000 * number) for number in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 0x40000000], ">i4").tobytes()
    path.write_bytes(data)
