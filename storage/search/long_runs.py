r"""Find long runs of base64 and hexadecimal digits in a text: pictures, vectors, files, signatures.
Pure.

Strategy: a check of every 16th byte rules out nearly all texts. Otherwise each byte is translated
to whether it can be part of a run, and runs are found as runs of equal bytes. A run may contain
line ends (after 60 to 80 characters each, as in certificates and mail), also as JSON escapes, and
slashes that JSON escapes.

Paths, lists of names and long words are excluded: a run has letters of both cases and digits in the
proportions of base64 and the punctuation of one of its two alphabets, or only hexadecimal digits of
one case.

Invariant: runs do not overlap, and depend only on the text. Standard: RFC 4648 §4, §5 and §8; RFC
2045 §6.8 and RFC 7468 §2 (lines).
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

MIN_RUN_BYTES: Final = 257
"""Keys, tokens and hashes are shorter than this."""
_STEP: Final = 16
_SAMPLES: Final = b"a" * (MIN_RUN_BYTES // _STEP)
_LONG: Final = b"a" * MIN_RUN_BYTES
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_CAN_STAND: Final = bytes(0x61 if byte in _ALPHABET + b"\\\r\n" else 0 for byte in range(256))
_IS_IN_ALPHABET: Final = bytes(0x61 if byte in _ALPHABET else 0 for byte in range(256))
_LINE_END: Final = re.compile(rb"(?<!\\)\\++(?:r\\++)?n|\r?\n")
_SLASH: Final = re.compile(rb"(?<!\\)\\++/")
_NO_RUN: Final = re.compile(rb"[\\\r\n](?:(?<=[\r\n])[\r\n]*+|(?<=\\)(?<!\\\\)\\*+(?:[nr]|(?!/)))")
"""The end of a run whose line ends are not those of base64: a line end, or a backslash that does
not escape a slash. The pattern begins with literal bytes, so that other bytes are skipped quickly.
"""
_BACKSLASH: Final = 0x5C
_LF: Final = 0x0A
_CR: Final = 0x0D
_LINE_LENGTHS: Final = range(60, 81)
_MIN_LINES: Final = 3
_JUDGED_BYTES: Final = 1024
"""Sample size of a run, taken at equal distances."""
_UPPER: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER: Final = _UPPER.lower()
_DIGITS: Final = b"0123456789"
_HEX: Final = re.compile(rb"[0-9a-f]++|[0-9A-F]++")
_PLUS: Final = 0x2B
_HYPHEN: Final = 0x2D
_FORWARD: Final = 0x2F
_UNDERSCORE: Final = 0x5F
_LEAST_LETTERS: Final = 16
"""At least one sixteenth must be letters of each case."""
_LEAST_DIGITS: Final = 50
_MOST_SIGNS: Final = 10
"""At most one tenth may be `+` and `/`, or `-` and `_`; paths with short names have more."""

Span = tuple[int, int]


def long_runs(text: bytes) -> list[Span]:
    """Return the runs of more than 256 bytes, as start and end offsets in order."""
    if len(text) < MIN_RUN_BYTES or _SAMPLES not in text[::_STEP].translate(_CAN_STAND):
        return []
    found: list[Span] = []
    flags = text.translate(_CAN_STAND)

    start = flags.find(_LONG)
    while start >= 0:
        stop = flags.find(b"\0", start)
        stop = len(text) if stop < 0 else stop
        found += [(start + first, start + last) for first, last in _runs_of(text[start:stop])]
        start = flags.find(_LONG, stop)

    return found


def _runs_of(stretch: bytes) -> Iterator[Span]:
    """Yield the runs in a sequence of bytes that can all be part of one."""
    has_ends = _BACKSLASH in stretch or _LF in stretch  # a pattern takes longer to tell
    if has_ends:
        line_end = _LINE_END.search(stretch)
    else:
        line_end = None
    if line_end is None:
        yield from _unbroken(stretch, 0, len(stretch))
        return

    stop = 0
    for start, end in _blocks(stretch, line_end[0]):
        yield from _unbroken(stretch, stop, start)
        if _is_coded(stretch[start:end].replace(line_end[0], b"")):
            yield start, end
        else:
            yield from _unbroken(stretch, start, end)
        stop = end

    yield from _unbroken(stretch, stop, len(stretch))


def _blocks(stretch: bytes, line_end: bytes) -> Iterator[Span]:
    """Yield blocks of neighbouring lines of equal length, each with the shorter line that ends it."""
    position = 0
    width = len(line_end)
    begin = -1
    block_length = 0

    for length, group in groupby(map(len, stretch.split(line_end))):
        count = sum(1 for _ in group)
        if begin >= 0:
            has_rest = count == 1 and 0 < length < block_length
            yield begin, position + length if has_rest else position - width
            begin = -1

        stop = position + count * (length + width)
        if length in _LINE_LENGTHS and count >= _MIN_LINES and stop - position >= MIN_RUN_BYTES:
            begin = position
            block_length = length
        position = stop

    if begin >= 0:
        yield begin, len(stretch)


def _unbroken(stretch: bytes, start: int, stop: int) -> Iterator[Span]:
    """Yield runs without line ends."""
    if stop - start < MIN_RUN_BYTES:
        return
    has_ends = _BACKSLASH in stretch or _LF in stretch or _CR in stretch
    if (
        has_ends
        and b"\\/" not in stretch
        and _LONG not in stretch[start:stop].translate(_IS_IN_ALPHABET)
    ):
        return  # the lines, most often of source code, are shorter than a run
    for begin, end in _between(_NO_RUN, stretch, start, stop) if has_ends else ((start, stop),):
        if end - begin >= MIN_RUN_BYTES and _is_coded(stretch[begin:end]):
            yield begin, end


def _between(ends: re.Pattern[bytes], text: bytes, start: int, stop: int) -> Iterator[Span]:
    for found in ends.finditer(text, start, stop):
        yield start, found.start()
        start = found.end()
    yield start, stop


def _is_coded(run: bytes) -> bool:
    """Whether a run is base64 or hexadecimal, judged by its characters."""
    if _BACKSLASH in run and (slash := _SLASH.search(run)) is not None:
        run = run.replace(slash[0], b"/")
    is_standard = _PLUS in run or _FORWARD in run
    is_url = _HYPHEN in run or _UNDERSCORE in run
    if len(run) < MIN_RUN_BYTES or (is_standard and is_url):
        return False

    judged = run[:: -(-len(run) // _JUDGED_BYTES)]
    letters = (
        len(judged) - len(judged.translate(None, _UPPER)),
        len(judged) - len(judged.translate(None, _LOWER)),
    )
    digits = len(judged) - len(judged.translate(None, _DIGITS))
    signs = len(judged) - sum(letters) - digits
    is_mixed = min(letters) * _LEAST_LETTERS >= len(judged) and digits * _LEAST_DIGITS >= len(
        judged
    )
    if is_mixed and signs * _MOST_SIGNS <= len(judged):
        return True

    has_both = digits * 4 >= len(judged) and sum(letters) * 8 >= len(judged)
    return has_both and _HEX.fullmatch(run) is not None
