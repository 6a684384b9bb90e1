"""ClickHouse's Native format for rows: blocks of columns, each with its name and type. Pure.

Strategy: a column of numbers is one array, so that neither side handles its values one by one; the
server stores columns as they arrive. Bytes have the type `Array(UInt8)` or `FixedString`, text has
`String`. Bytes that were written as `String` are read as text with surrogates (PEP 383); it encodes
to the same bytes.

Invariant: `read_blocks` returns the values that `write_columns` wrote. A value that does not fit
its column is refused. Source: https://clickhouse.com/docs/interfaces/formats/Native, without the
block info of the TCP protocol.
"""

import re
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any, Final, NamedTuple

from storage.varint import varint

assert sys.byteorder == "little", "the format is little-endian"

_CODES: Final = {
    "UInt8": "B", "UInt16": "H", "UInt32": "I", "UInt64": "Q", "Int8": "b", "Int16": "h", "Int32": "i", "Int64": "q",
    "Float32": "f", "Float64": "d", "Date": "H", "DateTime": "I", "Bool": "B",
}  # fmt: skip
_PARAMETRIC: Final = re.compile(r"(Nullable|FixedString|Array|Tuple|LowCardinality)\((.*)\)")
_PLACES: Final = ("UInt8", "UInt16", "UInt32", "UInt64")
"""Integer types of dictionary indices, by their code."""
_PLACE_MASK: Final = 0xFF
_SEPARATOR: Final = re.compile(r", (?![^(]*\))")
"""Separates the types of a tuple; tuples are never nested."""
_EMPTY: Final = {"String": ""}


class NotNative(Exception):
    """The server's answer is not in this format, or has a type that sidelog never asks for."""


class Column(NamedTuple):
    """A column to encode."""

    name: str
    type: str
    values: Sequence[Any]


Chunks = list[bytes]
"""Bytes to send, in pieces."""


class Written(NamedTuple):
    """Encoded columns, to be combined with others in a block."""

    names: tuple[str, ...]
    rows: int
    chunks: Chunks


def write_columns(columns: Sequence[Column]) -> Written:
    """Encode columns of the same length.

    Raises:
        ValueError: A value does not fit its column.
        TypeError: The same.
        OverflowError: The same.
    """
    out: Chunks = []
    rows = len(columns[0].values) if columns else 0
    for name, type, values in columns:
        assert len(values) == rows, f"bug: column {name} is longer than the first, or shorter"
        out.append(_string(name.encode()) + _string(type.encode()))
        _write(out, type, values)

    return Written(tuple(column.name for column in columns), rows, out)


def block_of(*parts: Written) -> bytes:
    """Return one block of encoded columns of the same length."""
    width = sum(len(part.names) for part in parts)
    rows = parts[0].rows
    assert all(part.rows == rows for part in parts), "bug: columns of one block differ in length"
    # Joined once: bodies are copied no more often than that.
    return b"".join(chain((varint(width), varint(rows)), *(part.chunks for part in parts)))


def read_blocks(data: bytes) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names of an answer's columns, and its rows.

    Raises:
        NotNative: The answer is invalid or truncated.
    """
    reader = _Reader(data)
    names: list[str] = []

    rows: list[tuple[Any, ...]] = []
    try:
        while not reader.is_at_end:
            width = reader.varint()
            height = reader.varint()
            columns = [reader.column(height) for _ in range(width)]
            names = [name for name, _ in columns]
            rows += zip(*(values for _, values in columns), strict=True)
    except (IndexError, ValueError, struct.error) as error:
        raise NotNative(
            f"an answer of {len(data)} bytes cannot be read at {reader.at}: {error}"
        ) from error

    return names, rows


class _Reader:
    """A cursor in an answer."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.at = 0

    @property
    def is_at_end(self) -> bool:
        return self.at >= len(self._data)

    def varint(self) -> int:
        value = 0
        shift = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def take(self, length: int) -> memoryview:
        if length > len(self._data) - self.at:
            raise ValueError(f"{length} bytes are missing")
        part = self._data[self.at : self.at + length]
        self.at += length
        return part

    def column(self, height: int) -> tuple[str, Sequence[Any]]:
        name = self.text()
        type = self.text()
        return name, self.values(type, height)

    def text(self) -> str:
        return str(self.take(self.varint()), "utf-8", "surrogateescape")

    def values(self, type: str, height: int) -> Sequence[Any]:
        if type in _CODES:
            numbers = array(_CODES[type])
            numbers.frombytes(self.take(height * numbers.itemsize))
            return numbers.tolist()

        if type == "String":
            return [self.text() for _ in range(height)]
        if type == "Nothing":
            self.take(height)
            return [None] * height

        kind, inner = _parts(type)
        return _READERS[kind](self, inner, height)

    def nullable(self, type: str, height: int) -> Sequence[Any]:
        nulls = self.take(height).tobytes()
        values = self.values(type, height)
        if any(nulls):
            return [None if null else value for null, value in zip(nulls, values, strict=True)]
        return values

    def fixed(self, length: str, height: int) -> Sequence[bytes]:
        return [self.take(int(length)).tobytes() for _ in range(height)]

    def arrays(self, type: str, height: int) -> Sequence[Any]:
        ends = self.values("UInt64", height)
        starts = [0, *ends[:-1]][:height]  # a server may send a block without rows
        if type == "UInt8":
            data = self.take(ends[-1] if ends else 0)
            return [data[start:end].tobytes() for start, end in zip(starts, ends, strict=True)]
        values = self.values(type, ends[-1] if ends else 0)
        return [list(values[start:end]) for start, end in zip(starts, ends, strict=True)]

    def repeated(self, type: str, height: int) -> Sequence[Any]:
        if not height:
            return []
        _version, kind, different = self.values("UInt64", 3)
        values = self.values(type, different)
        [rows] = self.values("UInt64", 1)
        return [values[place] for place in self.values(_PLACES[kind & _PLACE_MASK], rows)]

    def tuples(self, types: str, height: int) -> Sequence[Any]:
        return list(
            zip(*(self.values(type, height) for type in _SEPARATOR.split(types)), strict=True)
        )


_READERS: Final[dict[str, Callable[[_Reader, str, int], Sequence[Any]]]] = {
    "Nullable": _Reader.nullable,
    "FixedString": _Reader.fixed,
    "Array": _Reader.arrays,
    "Tuple": _Reader.tuples,
    "LowCardinality": _Reader.repeated,
}


def _write(out: Chunks, type: str, values: Sequence[Any]) -> None:
    if type in _CODES:
        out.append(array(_CODES[type], values).tobytes())
    elif type == "String":
        _write_strings(out, values)
    else:
        kind, inner = _parts(type)
        _WRITERS[kind](out, inner, values)


def _write_strings(out: Chunks, values: Sequence[str | bytes]) -> None:
    # A whole column takes 0.2 µs a value, one by one 0.7.
    encoded = [value if isinstance(value, bytes) else value.encode() for value in values]
    lengths = list(map(len, encoded))
    prefixes = map(varint if max(lengths, default=0) >= _SHORT else _PREFIXES.__getitem__, lengths)
    out.extend(chain.from_iterable(zip(prefixes, encoded, strict=True)))


def _write_nullable(out: Chunks, type: str, values: Sequence[Any]) -> None:
    nulls = values.count(None)
    if nulls == len(values):
        # A null is zeros in every type: an empty text, or a number.
        out.append(b"\1" * nulls + bytes(nulls * _width(type)))
    elif not nulls:
        out.append(bytes(len(values)))
        _write(out, type, values)
    else:
        empty = bytes(_width(type)) if type.startswith("FixedString") else _EMPTY.get(type, 0)
        out.append(bytes([value is None for value in values]))
        _write(out, type, [empty if value is None else value for value in values])


def _width(type: str) -> int:
    """Return the number of bytes that a null of a column type takes in the native format."""
    if type in _CODES:
        return array(_CODES[type]).itemsize
    if type == "String":
        return 1
    return int(_parts(type)[1])


def _write_fixed(out: Chunks, length: str, values: Sequence[bytes]) -> None:
    wrong = set(map(len, values)) - {int(length)}
    if wrong:
        raise ValueError(f"{min(wrong)} bytes do not fill a column of {length}")
    out.extend(values)


def _write_arrays(out: Chunks, type: str, values: Sequence[Any]) -> None:
    out.append(array("Q", accumulate(map(len, values))).tobytes())
    if type == "UInt8":
        out.extend(values)
    else:
        _write(out, type, [item for value in values for item in value])


_WRITERS: Final[dict[str, Callable[[Chunks, str, Sequence[Any]], None]]] = {
    "Nullable": _write_nullable,
    "FixedString": _write_fixed,
    "Array": _write_arrays,
}


def _parts(type: str) -> tuple[str, str]:
    found = _PARAMETRIC.fullmatch(type)
    if found is None:
        raise NotNative(f"type {type} is not supported")
    return found[1], found[2]


def _string(text: bytes) -> bytes:
    return varint(len(text)) + text


_SHORT: Final = 4096
_PREFIXES: Final = tuple(map(varint, range(_SHORT)))
"""Encoded lengths of short texts."""
