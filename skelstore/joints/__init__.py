"""Joint layouts: which joint is at which position of the axis V.

``LAYOUTS`` has the names, edges and left-right pairs of the joint layouts used in skeleton action recognition.
``convert`` converts between them where a conversion is defined, and ``recognise`` guesses a layout from the shape of
an array. Left and right are those of the person. The modules ``bodies`` and ``parts`` name the origin of each
definition.
"""

from skelstore.joints.catalogue import LAYOUTS, layout
from skelstore.joints.conversion import Converted, convert
from skelstore.joints.definition import JointLayout
from skelstore.joints.knowledge import (
    KnownJoints,
    is_guess,
    keypoint_shapes,
    known_joints,
    recognise,
    require_alike,
    stated,
    with_joints,
)

__all__ = [
    "LAYOUTS",
    "Converted",
    "JointLayout",
    "KnownJoints",
    "convert",
    "is_guess",
    "keypoint_shapes",
    "known_joints",
    "layout",
    "recognise",
    "require_alike",
    "stated",
    "with_joints",
]
