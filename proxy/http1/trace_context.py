"""Trace context (W3C, level 1): check that of a request, and make one if it is missing.

A context made here is derived from the record's id, a UUID of version 7, so worker, in-flight table
and collector compute the same before anything is stored. The trace id is the whole id; the parent
id is its last eight bytes, which begin with the variant's bit and are therefore never zero.
"""

import re
from typing import Final

from proxy.http1.field_lines import name_of
from proxy.http1.request_head import RequestHead

TRACEPARENT: Final = re.compile(
    rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?"
)
"""Version, trace id, parent id and flags; ids of zeros are invalid (§3.2.2)."""
_NAME: Final = b"traceparent"
TRACE_FIELDS: Final = frozenset((_NAME, b"tracestate"))


def drop_invalid_context(head: RequestHead) -> bool:
    """Remove an invalid trace context from a head (§3.2, §3.3); return True if the head has no
    context then.
    """
    values = [line[len(_NAME) + 1 :].strip(b" \t") for line in head.lines if name_of(line) == _NAME]
    if len(values) == 1 and TRACEPARENT.fullmatch(values[0]):
        return False
    head.lines = [line for line in head.lines if name_of(line) not in TRACE_FIELDS]
    return True


def context_of(record_id: bytes) -> tuple[str, str]:
    """Return the trace id and the parent id of the context made for an exchange."""
    return record_id.hex(), record_id[8:].hex()


def traceparent_line(record_id: bytes) -> bytes:
    """Return the traceparent line made for an exchange, with its CRLF. `01` means that it is
    recorded.
    """
    return b"traceparent: 00-%b-%b-01\r\n" % tuple(part.encode() for part in context_of(record_id))
