"""Find readable text in binary data. Pure.

A run of eight readable bytes (`storage.search.readable_bytes`) counts as text, like strings within
protocol buffers; shorter runs occur by chance.

Invariant: equal data has equal runs, for the index and for searches.
"""

import re
from typing import Final

MIN_READABLE_BYTES: Final = 8
"""Least length of a run that counts as text: random data has one in 5 KB."""
_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 64
_ASCII: Final = bytes(range(0x80))
_READABLE: Final = b"\t\n\v\f\r\x1b" + bytes(range(0x20, 0x7F))
_CHARACTER: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""A UTF-8 character beyond ASCII (RFC 3629 §4, ignoring surrogates), as in `readable_bytes`."""

Span = tuple[int, int]


def readable_runs(data: bytes) -> list[Span]:
    """Return the readable runs of at least `MIN_READABLE_BYTES`, as start and end offsets in order."""
    # Import numpy, which takes 20 MB, only for bodies that are not text.
    from storage.search.readable_bytes import runs_in

    return runs_in(data, MIN_READABLE_BYTES, has_characters=_has_characters(data))


def unreadable_share(data: bytes) -> float:
    """Return the share of bytes that are not readable, from 8 samples of 64 bytes if there are
    more.

    It is 0.6 for random or compressed data. For text in a charset other than UTF-8 it is up to 0.1,
    or the share of its bytes beyond ASCII.
    """
    sample = sample_of(data)
    unreadable = len(sample.translate(None, _READABLE)) - sum(map(len, _CHARACTER.findall(sample)))
    return unreadable / max(1, len(sample))


def sample_of(data: bytes) -> bytes:
    """Return samples at equal distances, including the first and the last bytes."""
    if len(data) <= _SAMPLES * _SAMPLE_BYTES:
        return data
    last = len(data) - _SAMPLE_BYTES
    starts = [last * number // (_SAMPLES - 1) for number in range(_SAMPLES)]
    return b"".join([data[start : start + _SAMPLE_BYTES] for start in starts])


def _has_characters(data: bytes) -> bool:
    """Whether to recognise characters beyond ASCII: at least half of such bytes in a sample belong
    to one.

    In random data an eighth does by chance. Recognising them takes longer than everything else.
    """
    sample = sample_of(data)
    high_bytes = len(sample.translate(None, _ASCII))
    return 0 < high_bytes <= 2 * sum(map(len, _CHARACTER.findall(sample)))
