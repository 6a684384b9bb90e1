"""Write parameters into statements as literals, for servers without parameters. Pure.

Strategy: a statement names its parameters `$1`, `$2` and so on; each becomes a literal. In text
every byte is escaped that is not printable ASCII, so that no server reads it differently. Bytes and
floats are written as hexadecimal digits, to preserve every bit.

Invariant: `SELECT $1` returns the value. Values without a type on the server are refused before
anything is sent.
"""

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

_MARK: Final = re.compile(r"\$(\d+)")
_PLAIN: Final = re.compile(rb"[^ !\"#$%&()-\[\]-~]")
"""Any byte that must be escaped: all but printable ASCII without quote and backslash."""
_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 63) - 1


def render(sql: str, parameters: Sequence[Any] = ()) -> str:
    """Return a statement with its parameters as literals.

    Args:
        sql: Has `$` only in the names of parameters, none of them within quotes.
        parameters: Each is named at least once: null, boolean, number, text, bytes, or a sequence of numbers.

    Raises:
        ValueError: A value has no literal: a number of more than 64 bits, a lone surrogate, an empty sequence.
        TypeError: A value has another type.
    """
    unused = set(range(1, len(parameters) + 1))

    def write(mark: re.Match[str]) -> str:
        number = int(mark[1])
        assert 0 < number <= len(parameters), (
            f"bug: a statement names ${number} of {len(parameters)} parameters"
        )
        unused.discard(number)
        return literal(parameters[number - 1])

    written = _MARK.sub(write, sql)
    assert not unused, f"bug: a statement names no {sorted(unused)}"
    return written


def literal(value: Any) -> str:
    """Return one value as a literal of ClickHouse's SQL; see `render`."""
    write = _WRITERS.get(type(value))
    if write is None:
        raise TypeError(f"a {type(value).__name__} has no literal")
    return write(value)


def identifier(name: str) -> str:
    """Return the quoted name of a database or table; raises as `render` does."""
    return f"`{_escaped(name).replace('`', _escape_byte(b'`'))}`"


def _integer(value: int) -> str:
    if not _LEAST <= value <= _MOST:
        raise ValueError(f"{value} is not a number of 64 bits")
    # The server parses the digits without the sign, and would find the least number too large by
    # one.
    if value == _LEAST:
        return f"toInt64('{value}')"
    return str(value)


def _float(value: float) -> str:
    # Version 18 reads no denormal numbers.
    return f"reinterpretAsFloat64({_bytes(struct.pack('<d', value))})"


def _text(value: str) -> str:
    return f"'{_escaped(value)}'"


def _bytes(value: bytes) -> str:
    return f"unhex('{value.hex()}')"


def _numbers(values: Sequence[int]) -> str:
    if not values:
        raise ValueError("an empty sequence has no literal")
    if not all(type(value) is int for value in values):
        raise TypeError("a sequence of anything but whole numbers has no literal")
    return f"({', '.join(map(_integer, values))})"


def _escaped(text: str) -> str:
    return _PLAIN.sub(lambda found: _escape_byte(found[0]).encode(), text.encode()).decode("ascii")


def _escape_byte(byte: bytes) -> str:
    return f"\\x{byte.hex().upper()}"


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    type(None): lambda value: "NULL",
    bool: lambda value: str(int(value)),
    int: _integer,
    float: _float,
    str: _text,
    bytes: _bytes,
    list: _numbers,
    tuple: _numbers,
}
