"""All joint layouts, by name."""

from __future__ import annotations

from skelstore.errors import JointLayoutError
from skelstore.joints.bodies import BODIES
from skelstore.joints.definition import JointLayout
from skelstore.joints.parts import PARTS
from skelstore.wording import closest

LAYOUTS: dict[str, JointLayout] = {made.name: made for made in (*BODIES, *PARTS)}
"""The known joint layouts by name."""


def layout(name: str) -> JointLayout:
    """The joint layout with this name. Raises JointLayoutError, which lists the known names."""
    known = LAYOUTS.get(name)
    if known is None:
        expected = f"expected one of {', '.join(LAYOUTS)}{closest(name, LAYOUTS)}"
        raise JointLayoutError(f"joint layout {name!r} is not known; {expected}")
    return known
