"""Map a server's error to one of the storage errors, by ClickHouse's own codes. Pure.

Strategy: only errors about a value of the statement are permanent (`StorageRejected`). All others,
unknown ones included, may pass, so that no record is given up for an error of the server, of its
disk or of ours. Source: ClickHouse, src/Common/ErrorCodes.cpp; codes are never reused.
"""

import re
from typing import Final

from storage.errors import StorageError, StorageRejected, StorageUnavailable

_CODE: Final = re.compile(rb"Code: (\d{1,9})\b")
_ABOUT_A_VALUE: Final = frozenset({
    6,  # cannot parse text
    27,  # cannot parse input
    38,  # cannot parse a date
    69,  # argument out of bound
    70,  # cannot convert a type
    72,  # cannot parse a number
    128,  # too large an array
    131,  # too large a string
})  # fmt: skip
_OUT_OF_TIME: Final = frozenset({159})
_IS_THERE: Final = frozenset({57, 122, 253})
"""The table exists already. For a replicated table: with another definition, or with the same
replica name.
"""
_IS_NOT_THERE: Final = frozenset({60, 81})
"""The table or the database is unknown."""
_UNFINISHED: Final = frozenset({341})
_IS_LATE: Final = frozenset({395, 469})
"""A constraint does not hold; in version 18, the default of a column raised an error."""
_DENIED: Final = frozenset({192, 193, 194, 497, 516})
"""Unknown user, wrong password, required password, not enough privileges, authentication failed."""
_MAX_TEXT: Final = 500
_TAIL: Final = re.compile(r"(?:, e\.what\(\) = .*| \(version .*\))$", re.DOTALL)


class Away(StorageUnavailable):
    """No host could be connected to, so nothing was sent."""


class OutOfTime(StorageUnavailable):
    """The server ended a statement at its time limit."""


class AlreadyThere(StorageUnavailable):
    """The table to create exists already: another sidecar created it."""


class Unfinished(StorageUnavailable):
    """All replicas have run the statement, except for one that is away and will do so when it is
    back.
    """


class NotThere(StorageUnavailable):
    """A table, or the database, does not exist."""


class Late(StorageUnavailable):
    """Rows were refused because their numbers are too far from the server's clock; none was stored."""


_KINDS: Final = (
    (_OUT_OF_TIME, OutOfTime),
    (_IS_THERE, AlreadyThere),
    (_IS_NOT_THERE, NotThere),
    (_UNFINISHED, Unfinished),
    (_IS_LATE, Late),
)


def error_of(body: bytes, status: int) -> StorageError:
    """Return the storage error for the answer to a failed statement."""
    code = code_of(body)
    text = _text(body)
    for codes, kind in _KINDS:
        if code in codes:
            return kind(f"clickhouse: {text}")
    if code in _ABOUT_A_VALUE:
        return StorageRejected(f"clickhouse refused a value: {text}")
    if code in _DENIED:
        return StorageUnavailable(f"clickhouse does not let this user in: {text}")

    return StorageUnavailable(f"clickhouse: {text or f'status {status} without an error message'}")


def code_of(body: bytes) -> int | None:
    """Return the code of an error; None if the answer is not ClickHouse's, such as a proxy's."""
    found = _CODE.search(body[:_MAX_TEXT])
    if found is None:
        return None
    return int(found[1])


def _text(body: bytes) -> str:
    return _TAIL.sub("", body[:_MAX_TEXT].decode(errors="replace").strip())
