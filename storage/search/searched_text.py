"""Select the searched part of a stored text, for the index and for searches alike. Pure.

Strategy: nothing of media is searched, and only the readable text of other binary data. Of a long
run of base64 or hexadecimal digits within a text, only the beginning is searched, as long as the
longest word.

Invariant: a word of the searched part, in any reading, occurs in the text as it is stored.
"""

from collections.abc import Iterable, Iterator

from storage.record import Body
from storage.search.long_runs import long_runs
from storage.search.octets import readable_runs
from storage.search.words import MAX_WORD_CHARACTERS


def lines_of(head: bytes) -> list[bytes]:
    """Split a head into lines; most of them occur in other records too."""
    return head.split(b"\r\n")


def own_texts(texts: Iterable[str | None], data: bytes | None) -> list[bytes]:
    """Return the searched texts of a record's own columns: path, query and error, and its data."""
    found = [text.encode("utf-8", "replace") for text in texts if text]
    if data:
        found.append(without_long_runs(data))
    return found


def searched_windows(body: Body) -> Iterator[bytes]:
    """Yield the searched part of a body's two windows, without empty ones."""
    return map(without_long_runs, readable_windows(body))


def readable_windows(body: Body) -> Iterator[bytes]:
    """Yield the text of a body's two windows, long runs included, without empty ones."""
    if body.content == "media":
        return
    for window in (body.head, body.tail):
        if body.content == "octets":
            text = _joined_runs(window)
        else:
            text = window
        if text:
            yield text


def _joined_runs(data: bytes) -> bytes:
    return b"\n".join([data[start:stop] for start, stop in readable_runs(data)])


def without_long_runs(text: bytes) -> bytes:
    """Shorten each long run of base64 or hexadecimal digits to the longest length of a word."""
    runs = long_runs(text)
    if not runs:
        return text

    pieces: list[bytes] = []
    kept = 0
    for start, stop in runs:
        pieces += text[kept : start + MAX_WORD_CHARACTERS], b" "
        kept = stop
    return b"".join((*pieces, text[kept:]))
