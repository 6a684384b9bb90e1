"""Read heads: the fields that a record has columns for, and the redacted form of the whole head.

Clients and upstreams repeat the lines of their heads, so what is known of lines is remembered (`field_lines.py`). A
head that came before as a whole, apart from its first line, is not even split; of one whose known lines came together
before, only the others are read (`head_shape.py`), and where many of them did, those are found without splitting it
(`head_patterns.py`). All memories are bounded in entries and in the size of each.
"""

from collections.abc import Sequence
from typing import Final

from proxy.enrich.http.field_lines import WANTED, FieldLineReader, Line
from proxy.enrich.http.head_facts import HeadFacts, facts_of, field_of, parse_head
from proxy.enrich.http.head_patterns import MAX_PATTERN_HEAD_BYTES, HeadPatterns
from proxy.enrich.http.head_shape import HeadShape, shape_of
from proxy.enrich.http.sights import Sights
from proxy.enrich.redact.redactor import Redactor

MAX_MEMO_HEADS: Final = 2048
MAX_MEMO_HEAD_BYTES: Final = 2048
"""With the limit of heads at most about 12 MiB, texts and objects included."""
MAX_SHAPES: Final = 512
"""With the limit of heads at most about 2 MiB."""
PATTERN_AFTER: Final = 64
"""Heads of a shape that are read before its pattern is made, which takes as long as reading them did."""
_PATTERN_AGAIN: Final = 1024
"""The same of one that was pushed out."""


class HeadReader:
    """Reads heads, from the CRLF that ends the first line on. Not thread-safe."""

    def __init__(self, redactor: Redactor, pattern_after: int = PATTERN_AFTER) -> None:
        """Make one that knows nothing; `pattern_after` heads of a shape its pattern is made."""
        self._redactor = redactor
        self._pattern_after = pattern_after
        self._memo: dict[bytes, HeadFacts] = {}
        self._shapes: dict[tuple[Line | None, ...], HeadShape | None] = {}
        """Known lines in their places → the shape; None for heads that must be read line by line."""
        self._patterns = HeadPatterns()
        self._sights = Sights()
        self._lines = FieldLineReader(redactor)

    def read(self, block: bytes) -> HeadFacts:
        facts = self._memo.get(block)
        if facts is None:
            facts = self._read(block)
            # A head that comes once costs 1 us less, and pushes none out (bench/micro, collector).
            if self._sights.seen_before(hash(block)) and len(block) <= MAX_MEMO_HEAD_BYTES:
                if len(self._memo) >= MAX_MEMO_HEADS:
                    self._memo.clear()
                self._memo[block] = facts
        return facts

    def _read(self, block: bytes) -> HeadFacts:
        facts = self._patterns.read(block)
        if facts is not None:
            return facts
        lines = block.removesuffix(b"\r\n\r\n").split(b"\r\n")
        known = tuple(map(self._lines.known.get, lines))
        shape = self._shapes.get(known)
        facts = None if shape is None else shape.read(lines)
        if shape is None or facts is None:
            return self._read_lines(block, lines, known)
        if shape.uses % _PATTERN_AGAIN == self._pattern_after and len(block) <= MAX_PATTERN_HEAD_BYTES:
            self._learn_pattern(block, lines, shape, facts)
        return facts

    def _learn_pattern(self, block: bytes, lines: list[bytes], shape: HeadShape, facts: HeadFacts) -> None:
        pattern = shape.pattern(lines)
        if pattern is not None and pattern.read(block) == facts:
            self._patterns.learn(block, pattern)

    def _read_lines(self, block: bytes, lines: list[bytes], known_lines: Sequence[Line | None]) -> HeadFacts:
        """Read a head line by line, and learn its shape where its lines allow one."""
        kept = [lines[0]]
        found: dict[bytes, bytes] = {}
        names: list[bytes] = []
        for raw, known in zip(lines[1:], known_lines[1:], strict=True):
            line = known or self._lines.read(raw)
            if line is None:
                return self._read_malformed(block)
            redacted, name, value = line
            kept.append(redacted)
            if name:
                names.append(name)
                is_listed = name in found and name != b"x-request-id"  # the last id counts, as it does for the upstream
                found[name] = found[name] + b", " + value if is_listed else value
        if len(names) == len(found) and len(block) <= MAX_MEMO_HEAD_BYTES:
            self._learn(lines, known_lines)
        return facts_of(b"\r\n".join(kept), found)

    def _learn(self, lines: list[bytes], known: Sequence[Line | None]) -> None:
        key = tuple(known)
        if key in self._shapes or not self._sights.seen_before(hash(key)):
            return
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        self._shapes[key] = shape_of(lines, known, self._lines)

    def _read_malformed(self, block: bytes) -> HeadFacts:
        """Read the head of a refused request, whose lines may be folded or end in any way."""
        redacted = self._redactor.redact_head(block)
        _, fields = parse_head(redacted)
        found = {name: value for name in WANTED if (value := field_of(fields, name)) is not None}
        return facts_of(redacted.removesuffix(b"\r\n\r\n"), found)
