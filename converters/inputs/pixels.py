"""The x and y of a clip in pixels: whether they are fractions of the image, and its size, by which these are scaled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.inputs.field_rows import Form
from skelstore.errors import SourceError

_RANGE = (-1.0, 2.0)
"""Coordinates in this range may be fractions of the image: estimates reach a little beyond it. In pixels, all joints
would be in its corner."""


class Size(NamedTuple):
    """The size of the image in pixels."""

    height: int
    width: int


class Pixels:
    """Scales the coordinates of one clip to pixels, if they are fractions of the image.

    ``where`` is the name of the clip for messages. ``are_fractions`` says whether x and y are fractions; if it is None,
    that is recognised from the first joints. ``size`` is that of the image, if it is known.
    """

    def __init__(self, where: str, are_fractions: bool | None, size: Size | None) -> None:
        self._where = where
        self._are_fractions = are_fractions
        self._recognise = are_fractions is None
        self.size = size
        self._small = 0  # joints that may be fractions
        self._found = 0  # all joints

    def see(self, points: NDArray[np.float64]) -> None:
        """Look at joints [n, V, 3] before they are scaled.

        Raises SourceError if they are fractions and the size of the image is not known.
        """
        found = points[..., :2].any(axis=2)
        low, high = _RANGE
        small = ((points[..., :2] >= low) & (points[..., :2] <= high)).all(axis=2) & found
        self._small += int(np.count_nonzero(small))
        self._found += int(np.count_nonzero(found))
        if self._are_fractions is None and self._found:
            self._are_fractions = self._mostly_small
            if self._are_fractions and 4 * np.count_nonzero((points[..., :2] < 0).any(axis=2)) > self._found:
                raise SourceError(
                    f"{self._where}: x and y look like fractions from the middle of the image (-1 to 1); expected "
                    "pixels, or fractions from its upper left corner (0 to 1)"
                )
        if self._are_fractions and self.size is None:
            largest = float(np.abs(points[..., :2]).max(initial=0))
            raise SourceError(
                f"{self._where}: x and y are fractions of the image (up to {largest:.4g}), whose size is not in the "
                "file: give it, as --size HEIGHTxWIDTH (such as --size 1080x1920) or as height and width in a --table"
            )

    def scale(self, form: Form, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows [n, *form.trailing] of a field in pixels."""
        if self._are_fractions and self.size is not None and form.scaled:
            height, width = self.size
            values = values.copy()
            values[..., form.scaled[0] :: form.scaled[2]] *= width
            values[..., form.scaled[1] :: form.scaled[2]] *= height
        return values

    def check(self) -> None:
        """Raise SourceError if all joints together do not confirm what was recognised from the first ones."""
        if not self._recognise or self._are_fractions is None:
            return
        if not self._mostly_small if self._are_fractions else 2 * self._small >= self._found:
            raise SourceError(
                f"{self._where}: {self._small:,} of {self._found:,} joints may be fractions of the image, the "
                "others are pixels; expected one of the two in a clip"
            )

    @property
    def _mostly_small(self) -> bool:
        return 10 * self._small >= 9 * self._found
