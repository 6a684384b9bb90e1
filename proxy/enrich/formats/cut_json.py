"""Read members of a JSON document that lacks its end or its beginning, by their depth.

Strategy: a document without its end is scanned from its first byte. One without its beginning is
scanned backwards from its last byte, over the reversed text: outside strings JSON has no backslash,
so the first quote without one before it opens the string. Containers that are still open at the cut
form the path to it, and only their own members are returned. Invariant: a name inside a string, or
inside a complete container, is never taken for a member of the document. Linear in the text, up to
`MAX_TOKENS` strings and brackets.
"""

import re
from collections.abc import Collection
from typing import Final

from proxy.enrich.formats.frames import split_array

MAX_TOKENS: Final = 200_000
"""Maximum number of tokens in a window, 0.2 µs each. A window with more is not read."""

Members = dict[bytes, bytes]
"""Name, without quotes and as written → value, as written."""

_FORWARD: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[{}\[\]]', re.DOTALL)
_BACKWARD: Final = re.compile(rb'"[^"]*+(?:"(?=\\)[^"]*+)*+("?)|[{}\[\]]')
_COLON: Final = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_SCALAR: Final = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9][0-9.eE+-]*+|true|false|null', re.DOTALL
)
_MAX_DEPTH: Final = 200


def members_at_start(
    data: bytes, names: Collection[bytes], max_tokens: int = MAX_TOKENS
) -> list[Members]:
    """Return the members of the containers that are open at the end of `data`, from the root
    inwards. Of repeated members the first counts.

    A complete document yields the members of its root. With more than `max_tokens` tokens, only the
    root's members before the limit are returned.
    """
    open_: list[Members] = []
    root: list[Members] = []
    # Member with an open container, per depth: name and start.
    pending: list[tuple[bytes, int]] = []

    for number, found in enumerate(_FORWARD.finditer(data)):
        token = found.group()
        if number > max_tokens:
            return open_[:1] if open_ and open_[0] else []
        if len(open_) > _MAX_DEPTH:
            return []

        if token in (b"{", b"["):
            open_.append({})
            pending.append((b"", -1))
            root = root or open_[:1]
        elif token in (b"}", b"]"):
            if not open_:
                break
            open_.pop()
            pending.pop()
            if not open_:
                break

            name, value_at = pending[-1]
            if value_at >= 0:
                open_[-1].setdefault(name, data[value_at : found.end()])
                pending[-1] = (b"", -1)
        elif (
            found[1]
            and open_
            and (colon := _COLON.match(data, found.end())) is not None
            and token[1:-1] in names
        ):
            pending[-1] = _take(data, token[1:-1], colon.end(), open_[-1])

    return open_ or root


def _take(data: bytes, name: bytes, at: int, members: Members) -> tuple[bytes, int]:
    """Store a scalar member; for a container return its name and start."""
    if data[at : at + 1] in (b"{", b"["):
        return name, at
    scalar = _SCALAR.match(data, at)
    if scalar is not None and scalar.end() < len(data):  # A number at the end may be cut.
        members.setdefault(name, scalar.group())
    return b"", -1


def members_at_end(data: bytes, names: Collection[bytes]) -> list[Members]:
    """Return the members of the containers that are open at the start of `data`, from the root
    inwards. Of repeated members the last counts.

    `data` must end with the document. A complete document yields the members of its root.
    """
    size = len(data)
    open_: list[Members] = []
    root: list[Members] = []
    starts: list[int] = []
    whole = (-1, -1)

    for number, found in enumerate(_BACKWARD.finditer(data[::-1])):
        token = found.group()
        end = size - found.start()
        if number > MAX_TOKENS or len(open_) > _MAX_DEPTH:
            return []

        if token in (b"}", b"]"):
            open_.append({})
            starts.append(end)
            root = root or open_[:1]
        elif token in (b"{", b"["):
            if not open_:
                return []
            open_.pop()
            whole = (end - 1, starts.pop())
            if not open_:
                break
        elif open_ and (colon := _COLON.match(data, end)) is not None:
            name = data[size - found.end() + 1 : end - 1]
            if found[1] and name in names and name not in open_[-1]:
                value = _value_at(data, colon.end(), whole)
                if value is not None:
                    open_[-1][name] = value

    return open_ or root


def _value_at(data: bytes, at: int, whole: tuple[int, int]) -> bytes | None:
    if at == whole[0]:
        return data[at : whole[1]]
    scalar = _SCALAR.match(data, at)
    return None if scalar is None else scalar.group()


def elements_at_end(data: bytes) -> list[tuple[int, int]]:
    """Return the spans of the complete objects of an array; `data` must end with the array."""
    size = len(data)
    spans: list[tuple[int, int]] = []
    ends: list[int] = []

    for number, found in enumerate(_BACKWARD.finditer(data[::-1])):
        token = found.group()
        end = size - found.start()
        if number > MAX_TOKENS:
            return []

        if token in (b"}", b"]"):
            ends.append(end)
        elif token in (b"{", b"["):
            if len(ends) <= 1:
                break
            closed = ends.pop()
            if len(ends) == 1 and token == b"{":
                spans.append((end - 1, closed))

    return spans[::-1]


def elements_at_start(data: bytes, names: Collection[bytes]) -> list[bytes]:
    """Return the complete elements of the first array with one of some names in the root of a
    document.
    """
    depth = 0
    for number, found in enumerate(_FORWARD.finditer(data)):
        token = found.group()
        if number > MAX_TOKENS:
            break

        depth += (token in (b"{", b"[")) - (token in (b"}", b"]"))
        if depth == 1 and token[1:-1] in names:
            colon = _COLON.match(data, found.end())
        else:
            colon = None
        if colon is not None and data.startswith(b"[", colon.end()):
            return [frame.data for frame in split_array(data[colon.end() :])]

    return []


def write_members(members: Members) -> bytes:
    """Join members to a JSON document of their own."""
    return b"{%b}" % b",".join(b'"%b":%b' % member for member in members.items())
