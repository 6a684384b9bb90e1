"""Octets that are no text: which of them read as text all the same. Pure.

Of octets a run of eight bytes that read as text is one (`storage.search.readable_bytes`), as
strings within protocol buffers are; shorter ones are chance.

Invariant: the same octets have the same runs wherever it is asked.
"""

import re
from typing import Final

MIN_READABLE_BYTES: Final = 8
"""Of a run that is taken for text: random octets have one in 5 KB."""
_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 64
_ASCII: Final = bytes(range(0x80))
_READABLE: Final = b"\t\n\v\f\r\x1b" + bytes(range(0x20, 0x7F))
_CHARACTER: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""Of UTF-8, beyond ASCII (RFC 3629 §4, without regard to surrogates); the same below."""

Span = tuple[int, int]


def readable_runs(data: bytes) -> list[Span]:
    """Find the runs of `MIN_READABLE_BYTES` and more that read as text: where each starts and
    stops, in order.
    """
    # It brings numpy along, 20 MB, which only bodies that are no text need.
    from storage.search.readable_bytes import runs_in

    return runs_in(data, MIN_READABLE_BYTES, has_characters=_has_characters(data))


def unreadable_share(data: bytes) -> float:
    """Return which share of the bytes does not read as text, of 8 samples of 64 bytes where there
    are more.

    That of random or compressed data is 0.6, of text in another charset than UTF-8 up to 0.1, or
    all that is no ASCII.
    """
    sample = sample_of(data)
    unreadable = len(sample.translate(None, _READABLE)) - sum(map(len, _CHARACTER.findall(sample)))
    return unreadable / max(1, len(sample))


def sample_of(data: bytes) -> bytes:
    """Take samples at equal distances, the first and the last bytes among them."""
    if len(data) <= _SAMPLES * _SAMPLE_BYTES:
        return data
    last = len(data) - _SAMPLE_BYTES
    starts = [last * number // (_SAMPLES - 1) for number in range(_SAMPLES)]
    return b"".join([data[start : start + _SAMPLE_BYTES] for start in starts])


def _has_characters(data: bytes) -> bool:
    """Whether characters beyond ASCII are looked for: most of such bytes in a sample belong to
    some.

    In random octets an eighth does by chance. To look takes longer than all else.
    """
    sample = sample_of(data)
    high_bytes = len(sample.translate(None, _ASCII))
    return 0 < high_bytes <= 2 * sum(map(len, _CHARACTER.findall(sample)))
