"""The definition of a joint layout, and functions that make one from short tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class JointLayout:
    """A joint layout: the names of the joints, in the order of the axis V, and how they are connected.

    ``edges`` are the bones, for drawing and for graphs. ``pairs`` are (left, right), as PYSKL's ``left_kp`` and
    ``right_kp``: a flip swaps them. Both contain positions on the axis V.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.joints)


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


def sides(text: str) -> tuple[str, ...]:
    """For each word, the name of the left joint and of the right joint."""
    return tuple(f"{side}_{word}" for word in text.split() for side in ("left", "right"))


def one_side(side: str, text: str) -> tuple[str, ...]:
    """For each word, the name of the joint on this side."""
    return tuple(f"{side}_{word}" for word in text.split())


def define(name: str, joints: tuple[str, ...], edges: str, more_pairs: Iterable[tuple[int, int]] = ()) -> JointLayout:
    """A joint layout from edges written as chains, such as ``0-1-2 0-3``, and names that contain left or right."""
    chains = [[int(joint) for joint in chain.split("-")] for chain in edges.split()]
    pairs = [(joints.index(left), joints.index(left.replace("left", "right"))) for left in joints if "left" in left]
    return JointLayout(
        name,
        joints,
        tuple(pair for chain in chains for pair in pairwise(chain)),
        tuple(sorted([*pairs, *more_pairs])),
    )


def moved(edges: str, by: int) -> str:
    """Edges written as chains, with ``by`` added to each position."""
    chains = ["-".join(str(int(joint) + by) for joint in chain.split("-")) for chain in edges.split()]
    return " ".join(chains)
