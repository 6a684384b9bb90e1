"""The shape of a head: lines that are known, in their places, and between them others of which the name is known.

Heads of one client differ in a few lines, always the same ones: ids, cookies, credentials. What the others say is put
together once for all of them. Invariant: a shape reads a head as it is read line by line, or not at all.
"""

from collections.abc import Sequence
from typing import Final

from proxy.enrich.http.field_lines import FieldLineReader, Line, LineReader
from proxy.enrich.http.head_facts import REQUEST_ID, HeadFacts, facts_of
from proxy.enrich.http.head_patterns import HeadPattern, constant
from proxy.http1.trace_context import TRACEPARENT

_TRACE: Final = b"traceparent"
_REQUEST: Final = b"x-request-id"
_VARYING: Final = frozenset((b"", _TRACE, _REQUEST))
"""Names of the lines that may vary in a shape; the empty one is that of all without a column."""


class HeadShape:
    """The common part of heads with the same known lines."""

    __slots__ = ("_common", "_kept", "_varying", "uses")

    def __init__(self, kept: list[bytes], varying: Sequence[tuple[int, LineReader, bytes]], common: HeadFacts) -> None:
        """Make one.

        Args:
            kept: The redacted lines; those that vary are replaced.
            varying: The place of each line that varies, what reads it, and its name, of those that have columns.
            common: What the other lines say.
        """
        self._kept = kept
        self._varying = varying
        self._common = common
        self.uses = 0
        """Heads that were read."""

    def read(self, lines: list[bytes]) -> HeadFacts | None:
        """Read a head, given in lines, of which all but those that vary are known; None when it is not of this shape.

        8 us instead of 11 with ten headers of which three vary (bench/micro, collector, getvar).
        """
        kept, common = self._kept.copy(), self._common
        trace_id, span_id, request_id = common.trace_id, common.span_id, common.request_id
        for place, reader, expected in self._varying:
            line = reader.read(lines[place])
            if line is None:
                return None
            kept[place], name, value = line
            if name != expected:
                return None
            if name == _TRACE:
                trace = TRACEPARENT.fullmatch(value)
                trace_id, span_id = (trace[1].decode(), trace[2].decode()) if trace else (None, None)
            elif name:
                request_id = value.decode() if REQUEST_ID.fullmatch(value) else None
        self.uses += 1
        return HeadFacts(
            b"\r\n".join(kept), common.host, common.user_agent, trace_id, span_id, request_id,
            common.content_type, common.content_encoding, common.mcp_session, common.mcp_version,
            common.llm_request_id,
        )  # fmt: skip

    def pattern(self, lines: list[bytes]) -> HeadPattern | None:
        """Return the pattern of heads that are written as one of this shape is; None where its lines have none."""
        patterns = [constant(raw, redacted) for raw, redacted in zip(lines, self._kept, strict=True)]
        groups = 0
        trace_at = request_at = -1
        for place, reader, name in self._varying:
            pattern = reader.pattern(lines[place])
            if pattern is None or (name and not pattern.groups):  # an id that a setting calls secret
                return None
            patterns[place] = pattern
            if name == _TRACE:
                trace_at = groups + 1  # behind the version
            elif name:
                request_at = groups
            groups += pattern.groups
        return HeadPattern(patterns, trace_at, request_at, self._common)


def shape_of(lines: list[bytes], known: Sequence[Line | None], reader: FieldLineReader) -> HeadShape | None:
    """Return the shape of a head that has each field with a column at most once; None when what varies is one of them.

    Args:
        lines: Of the head, the first of them empty.
        known: What is known of each.
        reader: Which knows how the others are read.
    """
    kept, found, varying = list(lines), {}, []
    for place, (raw, line) in enumerate(zip(lines[1:], known[1:], strict=True), 1):
        if line is not None:
            kept[place], name, value = line
            if name:
                found[name] = value
            continue
        line_reader = reader.reader_of(raw)
        line = line_reader.read(raw)
        if line is None or line[1] not in _VARYING:
            return None
        kept[place] = b""
        varying.append((place, line_reader, line[1]))
    return HeadShape(kept, varying, facts_of(b"", found))
