"""HTTP messages in a body: what TRACE sends back, parts of a batch, several in a row (RFC 9112 §10)."""

import re
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Final

_START: Final = re.compile(
    rb"^(?:[A-Za-z-]{3,32} [^\s]{1,8192} HTTP/(?:1\.[01]|2)|HTTP/(?:1\.[01]|2) [1-5][0-9]{2}(?: [^\r\n]{0,1000})?)\r?$",
    re.MULTILINE,
)
_HEAD_ENDS: Final = re.compile(rb"\r?\n\r?\n")


def messages_of(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each message's head, its empty line included, and what follows it up to the next one."""
    starts = chain((0,), (found.start() for found in _START.finditer(text, 1)), (len(text),))
    for start, stop in pairwise(starts):
        end = _HEAD_ENDS.search(text, start, stop)
        cut = stop if end is None else end.end()
        yield text[start:cut], text[cut:stop]
