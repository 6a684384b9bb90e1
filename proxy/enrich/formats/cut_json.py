"""Read members of a JSON document that lacks its end or its beginning, by structure: at which depth
they stand.

Strategy: a document that was cut off is scanned from its first byte, one that begins in the middle
from its last byte backwards, over the reversed text: outside strings JSON has no backslash, so the
first quote without one before it opens the string. What remains open at the cut is the chain of
containers around it; only their own members are returned. Invariant: a name inside a string, or
inside a container that is whole, is never taken for a member of the document. Linear in the text,
at most `MAX_TOKENS` strings and brackets.
"""

import re
from collections.abc import Collection
from typing import Final

from proxy.enrich.formats.frames import split_array

MAX_TOKENS: Final = 200_000
"""Of one window, 0.2 µs each: what has more of them within its megabyte is not read."""

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
    """Return the members of the containers that are open where `data` ends, from the root inwards;
    the first counts.

    A document that is whole gives the members of its root; one of more tokens those before.
    """
    open_: list[Members] = []
    root: list[Members] = []
    # Member whose container is open: name and start, per depth.
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
    """Take a scalar at once; of a container return where it begins."""
    if data[at : at + 1] in (b"{", b"["):
        return name, at
    scalar = _SCALAR.match(data, at)
    if scalar is not None and scalar.end() < len(data):  # a number at the end may be cut
        members.setdefault(name, scalar.group())
    return b"", -1


def members_at_end(data: bytes, names: Collection[bytes]) -> list[Members]:
    """Return the members of the containers that were open where `data` begins, from the root
    inwards; the last counts.

    `data` must end where the document ends; of a document that is whole the members of its root are
    returned.
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
    """Return where the objects of an array begin and end that are whole; `data` ends where the
    array does.
    """
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
    """Return the elements that are whole of the first array of some names that the root of a
    document has.
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
    """Write members as the document they would be alone."""
    return b"{%b}" % b",".join(b'"%b":%b' % member for member in members.items())
