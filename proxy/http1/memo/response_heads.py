"""The memo of response heads. Dates, entity tags, ids, cookies and lengths vary."""

from collections.abc import Callable, Collection
from typing import Final

from proxy.http1.memo.head_templates import HeadTemplates, Template
from proxy.http1.memo.varying_fields import LENGTH, VaryingFields, as_format, take_only, with_gaps
from proxy.http1.response_head import ResponseHead

_NAMES: Final = (
    b"age",
    b"cf-ray",
    LENGTH,
    b"content-range",
    b"date",
    b"etag",
    b"expires",
    b"last-modified",
    b"location",
    b"openai-processing-ms",
    b"ratelimit-remaining",
    b"ratelimit-reset",
    b"request-id",
    b"server-timing",
    b"set-cookie",
    b"traceparent",
    b"traceresponse",
    b"x-amzn-requestid",
    b"x-amzn-trace-id",
    b"x-correlation-id",
    b"x-envoy-upstream-service-time",
    b"x-ratelimit-remaining",
    b"x-ratelimit-reset",
    b"x-request-id",
    b"x-response-time",
    b"x-runtime",
)
"""Fields with values that differ from response to response."""


class ResponseHeads(HeadTemplates[ResponseHead]):
    """Reads response heads, from the status line to the empty line."""

    __slots__ = ()

    def __init__(
        self, parse: Callable[[bytes], ResponseHead], *, kept: Collection[bytes] = ()
    ) -> None:
        """Begin empty.

        Args:
            parse: reads unknown heads; its errors are raised each time.
            kept: lower-case names of fields that it removes or sets.
        """
        super().__init__(parse, VaryingFields(_NAMES, kept=kept))

    def _template_of(
        self, head: ResponseHead, left: bytes, names: list[bytes], values: list[bytes]
    ) -> Template[ResponseHead] | None:
        gaps = len(values)
        length_at = take_only(LENGTH, left, names, values)
        lines = with_gaps(head.fields.split(b"\r\n"), names, values)
        if lines is None or head.status < 200:
            return None
        return _Template(head, as_format(head.status_line + b"\r\n".join(lines)), gaps, length_at)


class _Template(Template[ResponseHead]):
    """A response head with gaps. One of them may be the content length."""

    __slots__ = ("_head", "_length_at", "_prefix")

    def __init__(self, head: ResponseHead, prefix: bytes, gaps: int, length_at: int) -> None:
        """Fill `prefix` with `gaps` values.

        Args:
            head: the parsed head; its other attributes are taken over.
            prefix: the format of its status line and fields.
            gaps: number of values.
            length_at: index of the content length among them; -1 without one.
        """
        super().__init__(gaps)
        self._head = head
        self._prefix = prefix
        self._length_at = length_at

    def fill(self, values: list[bytes]) -> ResponseHead:
        head = self._head
        length = head.content_length
        framing = head.framing

        if self._length_at >= 0:
            length = int(values.pop(self._length_at))
            if framing:
                framing = b"Content-Length: %d\r\n" % length

        prefix = self._prefix % tuple(values) + framing
        return ResponseHead(
            head.status_line, head.status, head.has_no_body, head.is_http10, head.is_keep_alive, head.keep_alive_s,
            length, head.is_chunked, prefix, framing, head.is_event_stream, head.is_websocket,
        )  # fmt: skip
