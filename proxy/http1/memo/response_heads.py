"""Response heads that were read before, as a whole or but for the values that differ in every response. Pure.

The other direction of `request_heads.py`, with the same invariant: what is given back is what `parse` gives of the same
bytes.
"""

from collections.abc import Callable, Collection
from typing import Final

from proxy.http1.memo.head_memo import HeadMemo, remember
from proxy.http1.memo.varying_fields import LENGTH, VaryingFields, as_format, take_only, with_gaps
from proxy.http1.response_head import ResponseHead

_NAMES: Final = (
    *(b"age", b"cf-ray", LENGTH, b"content-range", b"date", b"etag", b"expires", b"last-modified", b"location"),
    *(
        b"openai-processing-ms",
        b"ratelimit-remaining",
        b"ratelimit-reset",
        b"request-id",
        b"server-timing",
        b"set-cookie",
    ),
    *(b"traceparent", b"traceresponse", b"x-amzn-requestid", b"x-amzn-trace-id", b"x-correlation-id"),
    *(b"x-envoy-upstream-service-time", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"x-request-id"),
    *(b"x-response-time", b"x-runtime"),
)
"""Their values differ from response to response."""


class ResponseHeads:
    """Reads heads, and remembers them: equal ones share one immutable value."""

    __slots__ = ("_fields", "_templates", "_whole")

    def __init__(self, parse: Callable[[bytes], ResponseHead], *, kept: Collection[bytes] = ()) -> None:
        """Read with `parse`, whose errors are raised each time; `kept`: names of fields that it removes or sets."""
        self._whole = HeadMemo(parse)
        self._fields = VaryingFields(_NAMES, kept=kept)
        self._templates: dict[bytes, _Template] = {}
        """By what is left of a head."""

    def read(self, raw: bytes) -> ResponseHead:
        """Return a head, status line to empty line.

        Raises:
            UpstreamError: as `parse` does.
        """
        head = self._whole.known.get(raw)
        if head is not None:
            return head
        left, names, values = self._fields.cut(raw)
        if not values:
            return self._whole.parse(raw)
        template = self._templates.get(left)
        # Gaps of its own, in a head that is malformed, are no gaps.
        if template is not None and template.gaps == len(values):
            return template.fill(values)
        head = self._whole.parse(raw)
        template = _template_of(head, names, values)
        if template is not None:
            remember(self._templates, left, template)
        return head


class _Template:
    """A head with gaps, and where its length is among the values that were cut out."""

    __slots__ = ("_head", "_length_at", "_prefix", "gaps")

    def __init__(self, head: ResponseHead, prefix: bytes, gaps: int, length_at: int) -> None:
        """Fill the gaps of `prefix`, a format, with so many values; -1 where none of them is the length."""
        self.gaps = gaps
        self._head = head
        self._prefix = prefix
        self._length_at = length_at

    def fill(self, values: list[bytes]) -> ResponseHead:
        """Return the head with the values cut out of one, which are used up: the length comes last."""
        head = self._head
        length, framing = head.content_length, head.framing
        if self._length_at >= 0:
            length = int(values.pop(self._length_at))
            if framing:
                framing = b"Content-Length: %d\r\n" % length
        prefix = self._prefix % tuple(values) + framing
        return ResponseHead(
            head.status_line, head.status, head.has_no_body, head.is_http10, head.is_keep_alive, head.keep_alive_s,
            length, head.is_chunked, prefix, framing, head.is_event_stream, head.is_websocket,
        )  # fmt: skip


def _template_of(head: ResponseHead, names: list[bytes], values: list[bytes]) -> _Template | None:
    """Make a template of a head with some values cut out; None where one of them is not forwarded as it is."""
    gaps = len(values)
    names, values = [*names], [*values]
    length_at = take_only(LENGTH, names, values)
    lines = with_gaps(head.fields.split(b"\r\n"), names, values)
    if lines is None or head.status < 200:
        return None
    return _Template(head, as_format(head.status_line + b"\r\n".join(lines)), gaps, length_at)
