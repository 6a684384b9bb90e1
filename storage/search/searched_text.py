"""What of a stored text is searched: the one definition for the index, and for those who look into
a text. Pure.

Strategy: octets are no text. Of media nothing is searched, of other octets what reads as text, and
of a long run of base64 or hexadecimal digits within a text its beginning: so much as one word may
have.

Invariant: a word of what is searched, in any reading, is a part of the text as it is stored.
"""

from collections.abc import Iterator

from storage.record import Body
from storage.search.long_runs import long_runs
from storage.search.octets import readable_runs
from storage.search.words import MAX_WORD_CHARACTERS


def lines_of(head: bytes) -> list[bytes]:
    """Cut a head into its lines, of which most are also those of other records."""
    return head.split(b"\r\n")


def searched_windows(body: Body) -> Iterator[bytes]:
    """List what is searched of the two windows of a body; nothing that is empty."""
    return map(without_long_runs, readable_windows(body))


def readable_windows(body: Body) -> Iterator[bytes]:
    """List what of the two windows is text, long runs included; nothing that is empty."""
    if body.content == "media":
        return
    for window in (body.head, body.tail):
        text = _joined_runs(window) if body.content == "octets" else window
        if text:
            yield text


def _joined_runs(data: bytes) -> bytes:
    return b"\n".join([data[start:stop] for start, stop in readable_runs(data)])


def without_long_runs(text: bytes) -> bytes:
    """Cut each long run of base64 or hexadecimal digits to the length of a word, which ends there."""
    runs = long_runs(text)
    if not runs:
        return text

    pieces: list[bytes] = []
    kept = 0
    for start, stop in runs:
        pieces += text[kept : start + MAX_WORD_CHARACTERS], b" "
        kept = stop
    return b"".join((*pieces, text[kept:]))
