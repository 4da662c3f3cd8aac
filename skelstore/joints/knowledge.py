"""What is known about the joints of a data set: a layout that a person stated, or a guess from the shape of arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from skelstore.errors import JointLayoutError
from skelstore.format.values import Json
from skelstore.joints.catalogue import LAYOUTS, layout
from skelstore.joints.definition import JointLayout
from skelstore.wording import counted

_GUESSES: dict[tuple[int, int], tuple[str, str]] = {
    (15, 2): ("openpose-15", "JHMDB has 15 joints in another order"),
    (16, 2): ("mpii-16", "Human3.6M without its neck has 16 joints, too"),
    (17, 2): ("coco-17", "Human3.6M has 17 joints, too"),
    (18, 2): ("openpose-18", "other layouts of 18 joints exist"),
    (20, 3): ("kinect-20", "MSR Action3D has 20 joints in another order"),
    (21, 2): ("hand-21", "other orders of 21 hand joints exist"),
    (21, 3): ("hand-21", "other orders of 21 hand joints exist"),
    (22, 3): ("smpl-22", "other layouts of 22 joints exist"),
    (24, 3): ("smpl-24", "other layouts of 24 joints exist"),
    (25, 2): ("body-25", "NTU RGB+D projected onto the image has 25 joints, too, and so has body-25b"),
    (25, 3): ("ntu-25", "BODY_25 with the score as a third coordinate looks alike"),
    (26, 2): ("halpe-26", "other layouts of 26 joints exist"),
    (33, 2): ("mediapipe-33", "other layouts of 33 joints exist"),
    (33, 3): ("mediapipe-33", "other layouts of 33 joints exist"),
    (70, 2): ("openpose-face-70", "other layouts of 70 points exist"),
    (133, 2): ("wholebody-133", "other layouts of 133 joints exist"),
    (136, 2): ("halpe-136", "other layouts of 136 joints exist"),
    **{
        (points, coordinates): (f"mediapipe-face-{points}", f"other layouts of {points} points exist")
        for points in (468, 478)
        for coordinates in (2, 3)
    },
}
"""The guessed joint layout for each (V, number of coordinates), and the reason for doubt."""


class KnownJoints(NamedTuple):
    """What is known about the joints of a data set.

    ``layout`` is None if no joint layout fits. ``stated`` is true if a person stated it. Otherwise it was recognised,
    which is a guess, and ``reason`` says what the guess is based on. ``counts`` are the numbers of joints (V) in the
    data. ``derived`` names the joints that were computed from others.
    """

    layout: JointLayout | None
    stated: bool
    reason: str
    counts: tuple[int, ...]
    derived: tuple[str, ...]


def keypoint_shapes(fields: Iterable[tuple[int, tuple[int, ...]]]) -> list[tuple[int, int]]:
    """(V, number of coordinates) of the fields of ``keypoint``, given the number of ragged axes and the fixed axes.

    A compressed keypoint, [N, V, 3] with x, y and score, has two coordinates. Arrays of other forms are skipped.
    """
    known = [(ragged, fixed) for ragged, fixed in fields if ragged in (1, 2) and len(fixed) == 2]
    return [(fixed[0], fixed[1] if ragged == 2 else 2) for ragged, fixed in known]


def recognise(shapes: Iterable[tuple[int, int]]) -> KnownJoints:
    """The layout that keypoint arrays are taken for, from V and the number of coordinates of each: always a guess."""
    distinct = sorted(set(shapes))
    counts = tuple(sorted({joints for joints, _ in distinct}))
    if len(distinct) != 1:
        what = (
            "several shapes: " + ", ".join(f"{counted(v, 'joint')} in {c}D" for v, c in distinct)
            if distinct
            else "no keypoint"
        )
        return KnownJoints(None, False, what, counts, ())
    ((joints, dimensions),) = distinct
    what = f"{counted(joints, 'joint')} in {dimensions}D"
    if (joints, dimensions) not in _GUESSES:
        return KnownJoints(None, False, f"{what}, which is not a known layout", counts, ())
    name, doubt = _GUESSES[joints, dimensions]
    return KnownJoints(LAYOUTS[name], False, f"{what}; {doubt}", counts, ())


def stated(name: str, shapes: Iterable[tuple[int, int]], derived: Iterable[str] = ()) -> dict[str, Json]:
    """The value of ``joints`` in a store's source for a joint layout that a person stated.

    Raises JointLayoutError if the layout is unknown, or if keypoint arrays (``shapes`` as for ``recognise``) have
    another number of joints.
    """
    of = layout(name)
    if unlike := sorted({v for v, _ in shapes} - {len(of)}):
        raise JointLayoutError(
            f"the layout {name} has {len(of)} joints, but there are keypoints with {', '.join(map(str, unlike))}: "
            "state the layout that the keypoints have"
        )
    return {"layout": name, "derived": list(derived)}


def with_joints(source: dict[str, Json], shapes: Iterable[tuple[int, int]]) -> dict[str, Json]:
    """The source for a store: unchanged if it states a joint layout, else with the recognised layout, as a guess.

    ``shapes`` as for ``recognise``. A guess that is already in ``source``, perhaps from other data, is replaced.
    """
    if "joints" in source and not is_guess(source["joints"]):
        return source
    guess = recognise(shapes)
    kept = {key: value for key, value in source.items() if key != "joints"}
    if guess.layout is not None:
        kept["joints"] = {"layout": guess.layout.name, "derived": [], "guess": guess.reason}
    return kept


def is_guess(node: Json) -> bool:
    """Whether a store's ``joints`` were recognised rather than stated."""
    return isinstance(node, dict) and isinstance(node.get("guess"), str)


def known_joints(node: Json, shapes: Iterable[tuple[int, int]]) -> KnownJoints:
    """What is known about the joints: from ``node``, which is the ``joints`` of a store, or recognised if that is None.

    ``node`` is ignored if this version does not know its layout or cannot read it, or if it is a guess that does not
    fit the arrays.
    """
    guess = recognise(shapes)
    name = node.get("layout") if isinstance(node, dict) else None
    of = LAYOUTS.get(name) if isinstance(name, str) else None
    if of is None:
        return guess
    if is_guess(node):
        return KnownJoints(of, False, node["guess"], guess.counts, ()) if guess.counts == (len(of),) else guess
    derived = node.get("derived")
    marked = tuple(joint for joint in derived if joint in of.joints) if isinstance(derived, list) else ()
    return KnownJoints(of, True, "stated", guess.counts, marked)


def require_alike(first: KnownJoints, first_place: str, second: KnownJoints, second_place: str) -> None:
    """Raise JointLayoutError, naming both places, if two data sets cannot be combined.

    They cannot if their numbers of joints or their joint layouts differ. Data without keypoints can be combined with
    any data.
    """
    if not first.counts or not second.counts:
        return
    if first.counts == second.counts and first.layout == second.layout:
        return
    named = [f"{place} has {_describe(known)}" for known, place in ((first, first_place), (second, second_place))]
    raise JointLayoutError(
        f"{' and '.join(named)}: convert one of them to the joints of the other, or state the layout if it was "
        "recognised wrongly"
    )


def _describe(known: KnownJoints) -> str:
    if known.layout is None:
        return (
            f"{' and '.join(map(str, known.counts))} {'joint' if known.counts == (1,) else 'joints'} of no known layout"
        )
    return f"{known.layout.name} ({known.reason})"
