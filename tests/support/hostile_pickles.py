"""Pickles that attack their reader, each with a name.

``python -m tests.support.hostile_pickles`` writes the small ones to ``tests/converters/hostile``, where they are kept
to be tried on other readers too. ``… FOLDER`` writes all of them to that folder.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import re
import struct
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

KEPT = Path(__file__).parents[1] / "converters" / "hostile"
"""Where the small ones are kept."""
SMALL = 8192
"""Largest size of a small one, in bytes."""
MARKER = "pickle_was_run"
"""File that attacks that run something would create in the working directory."""
COMMAND = f"touch {MARKER}"
UNIMPORTED = "this"
"""A module of the standard library that nothing else imports."""
EXTENSION = ("os", "system", 0xF0)
"""The global that the attack by extension code expects to be registered."""


FRIENDS = (
    ("nt", "system"),
    ("os", "popen"),
    ("os", "execvp"),
    ("subprocess", "Popen"),
    ("subprocess", "getoutput"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("builtins", "open"),
    ("builtins", "__import__"),
    ("__builtin__", "apply"),
    ("importlib", "import_module"),
    ("runpy", "run_path"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("functools", "partial"),
    ("types", "FunctionType"),
    ("marshal", "loads"),
    ("ctypes", "CDLL"),
    ("pickle", "Unpickler"),
    ("copyreg", "add_extension"),
    ("socket", "create_connection"),
    ("shutil", "rmtree"),
    ("webbrowser", "open"),
    ("timeit", "timeit"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "getlincoef"),
    ("numpy", "memmap"),
    ("numpy", "fromfile"),
    ("numpy", "genfromtxt"),
    ("torch.storage", "_load_from_bytes"),
)
"""Other globals that run, import or read what the file says."""


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def whole(*parts: bytes, protocol: int = 4) -> bytes:
    return bytes((0x80, protocol)) + b"".join(parts) + b"."


def old(*parts: bytes) -> bytes:
    """A pickle of protocol 2, which sets memo slots by number."""
    return whole(*parts, protocol=2)


def put(slot: int) -> bytes:
    return b"r" + struct.pack("<I", slot)


def get(slot: int) -> bytes:
    return b"j" + struct.pack("<I", slot)


def annotated(*parts: bytes) -> bytes:
    """The parts as an element of the list under "annotations", where an attack would hide."""
    return whole(b"}(", text("annotations"), b"](", *parts, b"eu")


def dtype(code: str = "f4", order: str = "<", state: bytes = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00") -> bytes:
    return name("numpy", "dtype") + text(code) + b"\x89\x88\x87R(K\x03" + text(order) + state + b"tb"


def integer(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes((len(data),)) + data


def array(
    shape: tuple[int, ...] = (2,), kind: bytes = dtype(), data: bytes = b"C\x08abcdefgh", order: bytes = b"\x89"
) -> bytes:
    made = name("numpy._core.multiarray", "_reconstruct") + name("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
    return made + b"(K\x01(" + b"".join(map(integer, shape)) + b"t" + kind + order + data + b"tb"


def buffered(shape: tuple[int, ...], data: bytes, order: bytes = text("C")) -> bytes:
    held = b"\x96" + struct.pack("<Q", len(data)) + data
    return (
        name("numpy._core.numeric", "_frombuffer")
        + b"("
        + held
        + dtype()
        + b"("
        + b"".join(map(integer, shape))
        + b"t"
        + order
        + b"tR"
    )


def calls() -> Iterator[tuple[str, bytes]]:
    """Attempts to import or run something."""
    system, arguments = name("os", "system"), text(COMMAND) + b"\x85"
    yield "os.system by GLOBAL and REDUCE", b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR."
    yield "os.system by STACK_GLOBAL and REDUCE", whole(system, arguments, b"R")
    yield "posix.system, in an annotation", annotated(name("posix", "system"), arguments, b"R")
    yield "os.system by INST", b"(S'" + COMMAND.encode() + b"'\nios\nsystem\n."
    yield "os.system by OBJ", b"(cos\nsystem\nS'" + COMMAND.encode() + b"'\no."
    yield "os.system by NEWOBJ", whole(system, arguments, b"\x81")
    yield "os.system by NEWOBJ_EX", whole(system, arguments, b"}\x92")
    yield "os.system by BUILD", whole(name("types", "SimpleNamespace"), b")R}(", text("__setstate__"), system, b"ub")
    for module, attribute in FRIENDS:
        yield f"{module}.{attribute}", annotated(b"}", text("label"), name(module, attribute), arguments, b"Rs")
    yield "a state for os.system", whole(system, text(COMMAND), b"b")
    yield "an extension code", whole(b"\x82\xf0", arguments, b"R", protocol=2)
    yield "a 2-byte extension code", whole(b"\x83\xf0\x00", arguments, b"R", protocol=2)
    yield "a 4-byte extension code", whole(b"\x84\xf0\x00\x00\x00", arguments, b"R", protocol=2)
    yield "a persistent id", b"Pmodule\n."
    yield "a binary persistent id", whole(text("module"), b"Q")
    yield "an out-of-band buffer", whole(b"\x97", protocol=5)
    yield "a read-only out-of-band buffer", whole(b"\x97\x98", protocol=5)
    yield "a dotted name", whole(name("numpy", "core.os.system"), arguments, b"R")
    yield "a dotted name of an allowed module", whole(name("numpy._core.multiarray", "os.system"), arguments, b"R")
    yield "an allowed name with its dot elsewhere", whole(name("numpy._core", "multiarray.sys"), arguments, b"R")
    yield "builtins.eval", whole(name("builtins", "eval"), text(f"open({MARKER!r}, 'w')") + b"\x85R")
    yield "builtins.getattr", whole(name("builtins", "getattr"), name("os", "path"), text("join"), b"\x86R")
    yield "a module that would be imported", whole(name(UNIMPORTED, "s"))
    yield "the same by text", f"c{UNIMPORTED}\ns\n.".encode()
    yield "a codec that would be imported", whole(name("_codecs", "encode"), text("x"), text("rot13"), b"\x86R")
    for codec in ("zlib", "base64", "idna", "unicode_escape", "Latin1", "latin1\0", ""):
        called = (name("_codecs", "encode"), text("x"), text(codec), b"\x86R")
        yield f"bytes from the codec {codec.encode()!r}", annotated(*called)
    yield "a codec with a handler of errors", whole(
        name("_codecs", "encode"), text("x"), text("latin1"), text("xmlcharrefreplace"), b"\x87R"
    )  # fmt: skip
    yield "codecs.lookup", whole(name("codecs", "lookup"), text("rot13"), b"\x85R")
    yield "bytes from another codec", whole(name("_codecs", "encode"), text("x"), text("utf-16"), b"\x86R")
    yield "an object that is a class", whole(name("numpy", "ndarray"))
    yield "a dtype as a value", annotated(dtype())
    yield "a function among values", annotated(b"}(", text("keypoint"), name("numpy._core.multiarray", "scalar"), b"u")
    yield "a function in a tuple", annotated(b"}(", text("keypoint"), name("os", "system"), b"K\x01\x86u")
    yield "a bytearray as a value", annotated(b"\x96\x01\0\0\0\0\0\0\0x")
    yield "a name with a line break", annotated(b"}", name("os\nline", "system\x1b[2J"), b"Ns")
    yield "a name of 120 zeros", annotated(b"}", name("o" + "\0" * 100, "system"), b"Ns")
    yield "a name of 4,000 characters", annotated(b"}", name("o" * 4000, "system"), b"Ns")
    yield "an unpickler within", whole(name("pickle", "loads"), b"C\x02N.\x85R")
    yield "numpy.load", whole(name("numpy", "load"), text("/etc/passwd"), b"\x85R")
    yield "an ndarray made directly", whole(name("numpy", "ndarray"), b"(K\x02K\x02tK\x08\x86R")
    yield "a call of a text", whole(text("os.system"), arguments, b"R")
    yield "a call of a list", whole(b"]", arguments, b"R")
    yield "a call with no tuple", whole(system, text(COMMAND), b"R")
    yield "NEWOBJ of an int", whole(b"K\x01)\x81")
    yield "a state for a dict", whole(b"}}(", text("__class__"), b"K\x01ub")
    yield "a state for a list", whole(b"]}b")
    yield "a set", whole(b"\x8f(K\x01\x90")
    yield "a frozenset", whole(b"(K\x01\x91")
    yield "a set of protocol 2", whole(b"cbuiltins\nset\n](K\x01e\x85R", protocol=2)
    yield "a complex number", whole(name("builtins", "complex"), b"G", struct.pack(">d", 1), b"K\x00\x86R")
    yield "a global whose name is a number", whole(b"K\x01K\x02\x93")
    yield "a text as a list", whole(text("abc"), b"(K\x01e")
    yield "a tuple as a dict", whole(b")(K\x01K\x02u")


SUBCLASSES = (("numpy.ma", "MaskedArray"), ("numpy", "recarray"), ("numpy", "matrix"), ("numpy", "char.chararray"))
"""Subclasses of arrays, which have their own state and code."""


def arrays() -> Iterator[tuple[str, bytes]]:
    """Arrays that crash NumPy or are not plain numbers."""
    fields = (
        text("|") + b"N" + text("a") + b"\x85}" + text("a") + dtype("f8") + integer(1 << 40) + b"\x86sK\x08K\x01K\x10t"
    )
    yield (
        "a field far outside the item",
        annotated(array(kind=name("numpy", "dtype") + text("V8") + b"\x89\x88\x87R(K\x03" + fields + b"b")),
    )
    names = b"N" + text("a") + b"\x85}" + text("a") + dtype("f8") + integer(1 << 40) + b"\x86sK\x04K\x01K\x10"
    yield "fields in a plain dtype", annotated(array(kind=dtype("f4", "<", names)))
    yield (
        "a subarray in a plain dtype",
        annotated(array(kind=dtype("f4", "<", dtype() + b"K\x02\x86NNK\x04K\x04K\x00"))),
    )
    held = text("|") + b"N" + text("a") + b"\x85}" + text("a") + dtype("f8") + b"K\x00\x86sK\x08K\x01K\x10t"
    structured = name("numpy", "dtype") + text("V8") + b"\x89\x88\x87R(K\x03" + held + b"b"
    yield "a structured array", annotated(array((1,), structured))
    for module, attribute in SUBCLASSES:
        made = array().replace(name("numpy", "ndarray"), name(module, attribute))
        yield f"an array of the class {module}.{attribute}", annotated(made)
    masked = name("numpy.ma", "MaskedArray") + name("numpy", "ndarray") + b"K\x00\x85" + text("b") + b"tR"
    state = b"(K\x01K\x02\x85" + dtype() + b"\x89C\x08abcdefghC\x02\0\0Ntb"
    yield "a masked array", annotated(name("numpy.ma.core", "_mareconstruct"), b"(", masked, state)
    yield "objects over raw bytes", annotated(array(kind=dtype("O8", "|"), data=b"C\x10" + b"A" * 16))
    yield "objects in a list", annotated(array(kind=dtype("O8", "|"), data=b"](K\x01K\x02e"))
    yield "a void array", annotated(array(kind=dtype("V4", "|")))
    yield "dates", annotated(array(kind=dtype("M8", "<"), data=b"C\x10" + b"A" * 16))
    yield "complex numbers", annotated(array((1,), dtype("c8")))
    yield "an array of text", annotated(array((1,), dtype("U2", "<", b"NNNK\x08K\x04K\x08")))
    yield "an array of bytes", annotated(array(kind=dtype("S4", "|", b"NNNK\x04K\x01K\x00")))
    yield "a scalar of dates", annotated(name("numpy._core.multiarray", "scalar"), dtype("M8"), b"C\x08abcdefgh\x86R")
    yield "a dtype of another size", annotated(array(kind=dtype("f4", "<", b"NNNK\x10K\x04K\x00")))
    yield (
        "a dtype aligned to nothing",
        annotated(array(kind=dtype("f4", "<", b"NNNJ\xff\xff\xff\xffJ\xf0\xff\xff\xffK\x00"))),
    )
    yield "a dtype of an odd size", annotated(array(kind=dtype("f3")))
    yield "a dtype with a long number", annotated(array(kind=dtype("f" + "9" * 30)))
    yield "a dtype with a comma", annotated(array(kind=dtype("f4,f4")))
    yield "a dtype of another order", annotated(array(kind=dtype("f4", ">>")))
    yield (
        "a dtype of an order that is an array",
        annotated(
            array(kind=name("numpy", "dtype") + text("f4") + b"\x89\x88\x87R(K\x03" + array() + b"NNNK\x04K\x04K\x00tb")
        ),
    )
    yield (
        "a dtype of a size that is an array",
        annotated(array(kind=dtype("f4", "<", b"NNN" + array() + b"K\x04K\x00"))),
    )
    yield "an order of an array that is an array", annotated(array(order=array()))
    yield "a dtype without a state", annotated(array(kind=name("numpy", "dtype") + text("f4") + b"\x89\x88\x87R"))
    yield "a dtype of two states", annotated(array(kind=dtype() + b"(K\x03" + text("<") + b"NNNK\x04K\x04K\x00tb"))
    yield "a dtype that is a number", annotated(array(kind=b"K\x04"))
    yield "a memmap", annotated(array().replace(name("numpy", "ndarray"), name("numpy", "memmap")))
    yield "more data than the shape", annotated(array((1,)))
    yield "less data than the shape", annotated(array((3,)))
    yield "a negative length", annotated(array((-2,)))
    yield "two negative lengths", annotated(array((-1, -2)))
    yield "a length that wraps around", annotated(array((1 << 62, 2, 2)))
    yield "an enormous shape of nothing", annotated(array((1 << 62, 0), data=b"C\x00"))
    yield "an enormous shape", annotated(array((1 << 40,)))
    yield "a length of 2000 bits", annotated(array((1 << 1999,)))
    yield "a shape that is a list", annotated(array().replace(b"(\x8a\x01\x02t", b"](\x8a\x01\x02e"))
    yield "a shape of True", annotated(array().replace(b"(\x8a\x01\x02t", b"K\x02\x88\x86"))
    yield "a shape of floats", annotated(array().replace(b"(\x8a\x01\x02t", b"G@\0\0\0\0\0\0\0\x85"))
    yield "33 axes", annotated(array((1,) * 32 + (2,)))
    yield "an array without its data", annotated(array().rsplit(b"(K\x01", 1)[0])
    made, state = array().rsplit(b"(K\x01", 1)
    yield "an array that is its own data", whole(made, b"\x94(K\x01", state.replace(b"C\x08abcdefgh", b"h\x00"))
    yield "data of two arrays", annotated(array() + b"(K\x01K\x02\x85" + dtype() + b"\x89C\x08abcdefghtb")
    yield "data that are wide text", annotated(array(data=text("Ā" * 8)))
    yield "data that are a number", annotated(array(data=b"K\x08"))
    yield "a buffer shorter than the shape", annotated(buffered((3,), b"abcdefgh"))
    yield "a buffer in an unknown order", annotated(buffered((2,), b"abcdefgh", text("A")))
    yield "axes out of range", annotated(buffered((2,), b"abcdefgh", text("K") + b"K\x07\x85"))
    yield "axes twice", annotated(buffered((2, 1), b"abcdefgh", text("K") + b"K\x00K\x00\x86"))
    yield "an order that is an array", annotated(buffered((2,), b"abcdefgh", array()))
    yield "a codec that is an array", annotated(name("_codecs", "encode"), text("x"), array(), b"\x86R")
    yield (
        "a scalar of too many bytes",
        annotated(name("numpy._core.multiarray", "scalar"), dtype(), b"C\x08abcdefgh\x86R"),
    )
    yield (
        "a scalar beyond Unicode",
        annotated(
            name("numpy._core.multiarray", "scalar"),
            dtype("U1", "<", b"NNNK\x04K\x04K\x08"),
            b"C\x04\xff\xff\xff\xff\x86R",
        ),
    )


def lengths() -> Iterator[tuple[str, bytes]]:
    """Lengths, indices and frames beyond the data."""
    for opcode, width in ((b"X", "<I"), (b"B", "<I"), (b"\x8d", "<Q"), (b"\x8e", "<Q"), (b"\x96", "<Q"), (b"T", "<I")):
        for size in (1000, (1 << 31) - 1, (1 << 31) + 7, (1 << 64) - 1):
            if size < 1 << (8 * struct.calcsize(width)):
                yield f"opcode {opcode!r} of {size} bytes", whole(opcode, struct.pack(width, size), protocol=5)
    for opcode in (b"\x8c", b"C", b"U", b"\x8a"):
        yield f"opcode {opcode!r} of 255 bytes", whole(opcode, b"\xff", b"abc")
    yield "an integer of 2 GiB", whole(b"\x8b\xff\xff\xff\x7f")
    yield "an integer of -1 bytes", whole(b"\x8b\xff\xff\xff\xff")
    yield "an integer of 1 MiB", whole(b"\x8b\x00\x00\x10\x00" + b"\x7f" * (1 << 20))
    yield "an integer of 100,000 digits", b"L" + b"9" * 100_000 + b"L\n."
    yield "an integer of 100,000 digits as INT", b"I" + b"9" * 100_000 + b"\n."
    yield "a float of 100,000 digits", b"F" + b"9" * 100_000 + b"\n."
    yield "an integer with a line of text", b"I12abc\n."
    yield "an integer in underscores", b"I1_0\n."
    for line in ("I010", "I0777", "I-010", "I+1", "I-0", "I000", "I 5", "L010L", "L+1L", "L-0L"):
        yield f"the integer {line}, which readers do not agree on", f"{line}\n.".encode()
    yield "a float beyond all floats", b"F1e999\n."
    yield "a memo index of 2**32-1", whole(b"Nr\xff\xff\xff\xff", protocol=2)
    yield "a memo index of 2**32-1, read", whole(b"j\xff\xff\xff\xff", protocol=2)
    yield "a memo index of 100 digits", b"Np" + b"9" * 100 + b"\n."
    yield "a memo index of -1", b"Np-1\n."
    yield "a memo slot that is not set", whole(b"](h\x07e")
    yield "a memo slot that is set later", whole(b"](h\x01", text("a"), b"\x94", text("b"), b"\x94e")
    yield "a memo slot set twice", whole(b"]q\x00(Nq\x00e", protocol=2)
    yield "a mark put into the memo", whole(b"N\x94(\x94Nt\x86")
    yield "a frame beyond the file", whole(b"\x95", struct.pack("<Q", 1 << 40), b"N")
    yield "a frame of 2**64-1 bytes", whole(b"\x95", struct.pack("<Q", (1 << 64) - 1), b"N")
    yield "an opcode beyond its frame", whole(b"\x95", struct.pack("<Q", 3), text("abc"))
    yield "a frame in a frame", whole(b"\x95", struct.pack("<Q", 11), b"\x95", struct.pack("<Q", 2), b"N")
    yield "the end before the frame's", whole(b"\x95", struct.pack("<Q", 2), b"N") + b"N"
    yield "protocol 6", whole(b"N", protocol=6)
    yield "protocol 255", whole(b"N", protocol=255)
    yield "a second header", whole(b"](\x80\x04Ne")
    yield "bytes after the end", whole(b"N") + b"x"
    yield "two pickles", whole(b"N") * 2
    yield "no end", b"\x80\x04N"
    yield "no value", whole()
    yield "two values", whole(b"NN")
    yield "a mark left over", whole(b"N(")
    yield "too few values", whole(b"N\x86")
    yield "values from under a mark", whole(b"N(N\x86t")
    yield "a key without a value", whole(b"}(", text("a"), b"u")
    yield "a POP", whole(b"NN0")
    yield "a DUP", whole(b"N2\x86")
    yield "a POP_MARK", whole(b"N(N1")
    yield "an unknown opcode", whole(b"N\xfe")
    yield "text that is not UTF-8", whole(b"\x8c\x02\xff\xfe")
    yield "text with half an escape", b"V\\u12\n."
    yield "a line that does not end", b"Vabc"
    yield "a string that does not close", b"S'abc\n."
    yield "a string with an unknown escape", b"S'\\q'\n."


def containers() -> Iterator[tuple[str, bytes]]:
    """Containers that contain themselves, and invalid keys."""
    yield "a list in itself", whole(b"]\x94h\x00a")
    yield "a list in itself, all at once", whole(b"]\x94(h\x00h\x00e")
    yield "a list in itself, through a tuple", whole(b"]\x94h\x00\x85a")
    yield "a list in itself, through a call that drops it", whole(b"]\x94", name("a", "b"), b"h\x00\x85\x94Rah\x01a")
    yield "a dict in itself", whole(b"}\x94", text("a"), b"h\x00s")
    yield (
        "a list of annotations in an annotation",
        whole(b"}(", text("annotations"), b"]\x94(}", text("a"), b"h\x00seu"),
    )
    yield "the file in an annotation", whole(b"}\x94(", text("annotations"), b"](}", text("a"), b"h\x00seu")
    yield "a shared list that grows", whole(b"](]\x94h\x00K\x01ae")
    yield "a shared dict that grows", whole(b"](}\x94h\x00", text("a"), b"K\x01se")
    yield "an annotation that grows another", whole(b"}(", text("annotations"), b"](]\x94h\x00(K\x01eeu")
    yield "a tuple as a key", whole(b"}K\x01K\x02\x86Ns")
    yield "a tuple as a key within", annotated(b"}K\x01\x85Ns")
    yield "a class as a key", annotated(b"}", name("os", "system"), b"Ns")
    yield "a list as a key", whole(b"}]Ns")
    yield "an array as a key", annotated(b"}", array(), b"Ns")
    yield "a key twice", annotated(b"}(", text("a"), b"N", text("a"), b"Nu")
    yield "a key of the file twice", whole(b"}(", text("a"), b"N", text("a"), b"Nu")
    yield "1 and True as keys", whole(b"}(K\x01N\x88Nu")


def heavy() -> Iterator[tuple[str, bytes]]:
    """Attacks that cost time or memory unless they are stopped."""
    collisions = b"".join(integer(number * ((1 << 61) - 1)) + b"N" for number in range(30_000))
    yield "30,000 colliding keys", annotated(b"}(", collisions, b"u")
    yield "30,000 colliding keys of the file", whole(b"}(", collisions, b"u")
    single = b"".join(integer(number * ((1 << 61) - 1)) + b"Ns" for number in range(30_000))
    yield "30,000 colliding keys one by one", annotated(b"}", single)
    slots = b"".join(integer((number + 1) * ((1 << 61) - 1)) + put(number + 10) for number in range(9_900))
    again = b"}(" + b"".join(get(number + 10) + b"N" for number in range(9_900)) + b"u"
    yield "14 times 9,900 colliding keys", old(b"](}", text("k"), b"(", slots, b"ts", again * 14, b"e")
    large = text("a" * 400_000)
    yield (
        "a text of 400,000 characters 300,000 times",
        old(b"](}", text("x"), b"](", large, b"q\5", b"h\5" * 300_000, b"ese"),
    )
    held = whole(
        b"](}",
        text("x"),
        b"](",
        array((100_000,), dtype("u1", "|"), b"B" + struct.pack("<I", 100_000) + bytes(100_000)),
    )
    yield "an array of 100,000 bytes 200,000 times", held[:-1] + b"\x94" + b"h\x00" * 200_000 + b"ese."
    shared = b"".join(b"}(" + text("frame_dir") + text(f"v{number}") + text("x") + b"h\1u" for number in range(5_000))
    yield "5,000 videos with one list of 100,000", old(b"](}", text("k"), b"]q\1(", b"N" * 100_000, b"es", shared, b"e")
    chain = b"".join(b"]" + put(number) + get(number - 1) + b"a" for number in range(1, 12_000))
    yield "12,000 lists, each in the next", old(b"](]q\0", chain, b"e")
    yield "50,000 empty dicts in tuples", old(b"](}", text("x"), b"](", b"}\x85\x85" * 50_000, b"ese")
    yield "1,000,000 nested tuples", whole(b")", b"\x85" * 1_000_000)
    yield "1,000,000 nested lists", whole(b"]" * 1_000_000, b"a" * 999_999)
    yield "1,000,000 nested lists in an annotation", annotated(b"]" * 1_000_000, b"a" * 999_999)
    yield "300,000 nested tuples as a key", annotated(b"}", b")" + b"\x85" * 300_000, b"Ns")
    yield "300,000 nested lists", whole(b"]" * 300_000, b"a" * 299_999)
    yield "300,000 nested dicts", whole(b"}" + b"N}" * 299_999, b"s" * 299_999)
    yield "1,000,000 nested tuples with a class in them", whole(name("os", "system"), b"\x85" * 1_000_000)
    yield "1,000,000 nested tuples of OBJ", whole(b"(" * 1_000_000, b")", b"t" * 1_000_000)
    yield "5,000,000 marks", whole(b"(" * 5_000_000)
    yield "10,000,000 values on the stack", whole(b"(", b"N" * 10_000_000, b"t")
    yield "10,000,000 empty lists on the stack", whole(b"](", b"]" * 10_000_000, b"e")
    for kind, fold in (("lists", b"]\x94(h%ch%ce"), ("tuples", b"h%ch%c\x86\x94")):
        levels = b"".join(fold % (level, level) for level in range(60))
        yield f"2**60 {kind} out of 60, one in another", whole(b"(](Ne\x94", levels, b"t")
        yield f"2**60 {kind} out of 60, as annotations", whole(b"}(", text("a"), b"](](Ne\x94", levels, b"eu")
    parts = b"".join(b"h%ch%c\x86\x94" % (level, level) for level in range(60))
    yield "2**60 tuples with a class in them", whole(b"(", name("os", "system"), b"\x94", parts, b"t")
    tuples = b"".join(b"(" + b"h" + bytes((level,)) + b"h" + bytes((level,)) + b"t\x94" for level in range(60))
    shape = array().replace(b"(\x8a\x01\x02t", b"(h\x3bt")
    yield "an array of a shape of 2**60 tuples", whole(b"(N\x85\x94", tuples, shape, b"t")
    big = text("x" * 1_000_000)
    yield "100,000 times a large list", whole(b"(](", b"N" * 1000, b"e\x94", b"h\x00" * 100_000, b"t")
    yield (
        "a chain of 50,000 annotations",
        whole(
            b"}(",
            text("a"),
            b"](](Ne\x94",
            b"".join(b"](j%be\x94" % struct.pack("<I", i) for i in range(50_000)),
            b"eu",
        ),
    )
    yield "a chain of 50,000 annotations, each needing the one before", whole(
        b"}(", text("a"), b"](N\x85\x94",
        b"".join(b"(j%bN\x85\x94t" % struct.pack("<I", i) for i in range(50_000)), b"eu",
    )  # fmt: skip
    yield "a class at the end of large text", whole(b"(", big * 20, name("os", "system"), b"t")
    yield (
        "300,000 memo slots out of sequence",
        whole(b"(", b"".join(b"Nr" + struct.pack("<I", 2 * i + 5) for i in range(300_000)), b"t", protocol=2),
    )
    yield "a line of 30 MB", b"S'" + b"a" * 30_000_000
    yield (
        "10,000 lists in the dict",
        whole(
            b"}",
            b"".join(b"(" + text(f"{i}") + b"](NNeu" for i in range(10_000)),
            text("z"),
            name("os", "system"),
            b"s",
        ),
    )


def compressed() -> Iterator[tuple[str, bytes]]:
    """50 MB of a pickle in a few kB, in every common form of compression."""
    data = pickle.dumps(["annotation"] + [None] * 10, 4) + bytes(50_000_000)
    yield "a gzip bomb", gzip.compress(data, 1)
    yield "a bzip2 bomb", bz2.compress(data, 1)
    yield "an xz bomb", lzma.compress(data, preset=0)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", data)
    yield "a zip bomb", held.getvalue()


def every() -> Iterator[tuple[str, bytes]]:
    """All attacks."""
    for group in (calls, arrays, lengths, containers, heavy, compressed):
        yield from group()


def small() -> list[tuple[str, bytes]]:
    """All that are small enough to be kept as files, including a few that are costly unless they are stopped."""
    return [(title, data) for title, data in every() if len(data) <= SMALL]


def file_name(title: str) -> str:
    """File name of an attack."""
    return re.sub(r"[^\w.+-]+", "_", title) + ".pkl"


def write_to(folder: Path, attacks: Iterable[tuple[str, bytes]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for title, data in attacks:
        (folder / file_name(title)).write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write_to(Path(sys.argv[1]), every())
    else:
        write_to(KEPT, small())
