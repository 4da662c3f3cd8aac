"""The values of a pickle as a template is made: each value on the stack of the machine is a node.

``builder`` returns the function that builds the value from the literals of another value that fits the template.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from operator import itemgetter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters.pickles.arrays import PendingDtype
from converters.pickles.template import BUFFER, DATA, INTEGER, OWN, SHARED, TEXT, Build, Literals


class UnlikeError(Exception):
    """The value has something that templates do not support."""


class Node:
    def builder(self) -> Build:
        raise UnlikeError

    def fix(self) -> object:
        """Have the same value in all values that fit; return it."""
        raise UnlikeError


class LiteralNode(Node):
    """A literal, with its ``place`` among those that are read.

    One that is ``fixed`` becomes a part of the constant bytes. For kind OWN, whose bytes differ, its ``source``, the
    node in the memo, does.
    """

    def __init__(self, kind: int, value: object = None, own: int = 0, source: Node | None = None) -> None:
        self.kind = kind
        self.value = value
        self.own = own
        self.source = source
        self.fixed = kind == SHARED and value is not None and type(value) is not str
        self.place = -1

    @property
    def constant(self) -> bool:
        return self.fixed and self.kind != OWN

    def fix(self) -> object:
        if self.value is None and self.source is None:  # not known, or long
            raise UnlikeError
        self.fixed = True
        return self.source.fix() if self.source is not None else self.value

    @property
    def plain(self) -> bool:
        """Whether it is read, and is data by itself."""
        if self.fixed or self.kind == BUFFER:
            return False
        source = self.source
        return (
            source is None or isinstance(source, TupleNode) or (isinstance(source, LiteralNode) and source.kind == TEXT)
        )

    def builder(self) -> Build:
        if not self.plain:
            raise UnlikeError
        return itemgetter(self.place)


class AtomNode(Node):
    """None, True or False."""

    def __init__(self, value: object) -> None:
        self.value = value

    def fix(self) -> object:
        return self.value

    def builder(self) -> Build:
        return lambda found: self.value


class TupleNode(Node):
    def __init__(self, items: list[Node]) -> None:
        self.items = items

    def fix(self) -> tuple[object, ...]:
        return tuple([item.fix() for item in self.items])

    def integers(self) -> slice | None:
        """The places of its items, which are all integers; otherwise None."""
        kinds = {item.kind if isinstance(item, LiteralNode) and not item.fixed else -1 for item in self.items}
        return _places(self.items) if kinds == {INTEGER} else None

    def builder(self) -> Build:
        places = _places(self.items)
        if places is not None:
            return lambda found: tuple(found[places])
        builders = [item.builder() for item in self.items]
        return lambda found: tuple([build(found) for build in builders])


class ListNode(Node):
    def __init__(self) -> None:
        self.items: list[Node] = []

    def builder(self) -> Build:
        builders = [item.builder() for item in self.items]
        return lambda found: [build(found) for build in builders]


class DictNode(Node):
    def __init__(self) -> None:
        self.keys: list[object] = []
        self.values: list[Node] = []

    def add(self, keys: list[Node], values: list[Node]) -> None:
        self.keys += [key.fix() for key in keys]
        self.values += values

    def builder(self) -> Build:
        keys = self.keys
        places = _places(self.values)
        if places is not None:
            return lambda found: dict(zip(keys, found[places], strict=True))
        items = [(key, value.builder()) for key, value in zip(keys, self.values, strict=True)]
        return lambda found: {key: build(found) for key, build in items}


class TextNode(Node):
    """Bytes that protocol 2 writes as text."""

    def __init__(self, text: Node) -> None:
        if not (isinstance(text, LiteralNode) and text.kind == TEXT):
            raise UnlikeError
        self.text = text

    def builder(self) -> Build:
        place = self.text.place
        return lambda found: found[place].encode("latin-1")


class DtypeNode(Node):
    def __init__(self, dtype: object) -> None:
        self.dtype = dtype

    def fix(self) -> object:
        return self.dtype


class UnsetNode(Node):
    """An array that waits for its state."""


class ArrayNode(Node):
    def __init__(self, shape: Node, dtype: Node, order: Literal["C", "F"], data: Node) -> None:
        self.dtype = _complete(_fixed_dtype(dtype))
        if self.dtype.kind == "U" or not isinstance(shape, TupleNode):
            raise UnlikeError
        self.shape = shape
        self.order = order
        self.data = data

    def builder(self) -> Build:
        places = self.shape.integers() if self.shape.items else slice(0, 0)
        if places is None:
            raise UnlikeError
        return partial(_build_array, self.dtype, self.order, places, _data_builder(self.data))


class ScalarNode(Node):
    def __init__(self, make: Callable[[tuple[object, ...], int], object], dtype: Node, data: Node) -> None:
        self.make = make
        self.dtype = _fixed_dtype(dtype)
        _complete(self.dtype)
        self.data = data

    def builder(self) -> Build:
        make, dtype, data = self.make, self.dtype, _data_builder(self.data)
        return lambda found: make((dtype, data(found)), 0)


def _build_array(
    dtype: np.dtype[Any], order: Literal["C", "F"], places: slice, data: Build, found: Literals
) -> NDArray[np.generic]:
    """The array whose lengths of axes are at these places. Raises ValueError if the machine would find a fault."""
    shape = found[places]
    raw = data(found)
    if dtype.itemsize * prod(shape) != len(raw):
        raise ValueError
    return np.ndarray(shape, dtype, raw, 0, None, order)


def _data_builder(data: Node) -> Build:
    if isinstance(data, LiteralNode) and data.kind in (DATA, BUFFER) and not data.fixed:
        return itemgetter(data.place)
    if isinstance(data, TextNode):
        return data.builder()
    raise UnlikeError


def _fixed_dtype(node: Node) -> PendingDtype:
    dtype = node.fix()
    if type(dtype) is not PendingDtype:
        raise UnlikeError
    return dtype


def _complete(dtype: PendingDtype) -> np.dtype[np.generic]:
    if dtype.foreign or dtype.dtype is None:
        raise UnlikeError
    return dtype.dtype


def _places(items: list[Node]) -> slice | None:
    """The places of literals that are read one after another; None for other nodes."""
    places = [item.place if isinstance(item, LiteralNode) and item.plain else -1 for item in items]
    if not places or places[0] < 0 or places != list(range(places[0], places[0] + len(places))):
        return None
    return slice(places[0], places[0] + len(places))
