"""What a server's answer means: its error as one of the storage errors, by ClickHouse's own codes.
Pure.

Strategy: only what is about a value of the statement is refused for good; anything else, what is
not known yet included, may go away, so that no record is given up for an error of the server, of
its disk or of ours. Source: ClickHouse, src/Common/ErrorCodes.cpp; codes are never reused.
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
"""A table is there already; of a replicated one: another than that to be made, or with the same
name of a replica.
"""
_IS_NOT_THERE: Final = frozenset({60, 81})
"""An unknown table, or database."""
_UNFINISHED: Final = frozenset({341})
_IS_LATE: Final = frozenset({395, 469})
"""A constraint does not hold; of version 18, a value was refused while it was made."""
_DENIED: Final = frozenset({192, 193, 194, 497, 516})
"""Unknown user, wrong password, required password, not enough privileges, authentication failed."""
_MAX_TEXT: Final = 500
_TAIL: Final = re.compile(r"(?:, e\.what\(\) = .*| \(version .*\))$", re.DOTALL)


class Away(StorageUnavailable):
    """No connection can be made to any host: nothing was sent."""


class OutOfTime(StorageUnavailable):
    """The server ended a statement that took longer than it was given."""


class AlreadyThere(StorageUnavailable):
    """The table to be made is there already: another sidecar made it."""


class Unfinished(StorageUnavailable):
    """A replica that is away has not done it yet, and will when it is back; all others have."""


class NotThere(StorageUnavailable):
    """A table, or the database, is not there."""


class Late(StorageUnavailable):
    """Rows were refused whose numbers are too low or too high for the server's clock; none was
    stored.
    """


_KINDS: Final = (
    (_OUT_OF_TIME, OutOfTime),
    (_IS_THERE, AlreadyThere),
    (_IS_NOT_THERE, NotThere),
    (_UNFINISHED, Unfinished),
    (_IS_LATE, Late),
)


def error_of(body: bytes, status: int) -> StorageError:
    """Read the answer to a statement that failed."""
    code = code_of(body)
    text = _text(body)
    for codes, kind in _KINDS:
        if code in codes:
            return kind(f"clickhouse: {text}")
    if code in _ABOUT_A_VALUE:
        return StorageRejected(f"clickhouse refused a value: {text}")
    if code in _DENIED:
        return StorageUnavailable(f"clickhouse does not let this user in: {text}")

    return StorageUnavailable(f"clickhouse: {text or f'status {status} without a word'}")


def code_of(body: bytes) -> int | None:
    """Read the code of an error, None where something else answered, such as a proxy."""
    found = _CODE.search(body[:_MAX_TEXT])
    return None if found is None else int(found[1])


def _text(body: bytes) -> str:
    return _TAIL.sub("", body[:_MAX_TEXT].decode(errors="replace").strip())
