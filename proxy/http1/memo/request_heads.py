"""The memo of request heads. Ids, cookies, credentials and lengths vary.

A template is rendered for its upstream once, with its gaps; those are filled for each request.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final

from proxy.http1.memo.head_templates import HeadTemplates, Template
from proxy.http1.memo.varying_fields import GAP, LENGTH, VARIES, VaryingFields, take_only, with_gaps
from proxy.http1.request_head import RequestHead

Reading = tuple[RequestHead, int, tuple[bytes, ...]]
"""A head, its content length (-1 without one), and the values for the gaps of the rendered head, in
order. A plain tuple, as it is created once for a head that repeats.
"""

_ID: Final = b"x-request-id"
_NAMES: Final = (
    b"authorization",
    b"b3",
    b"baggage",
    LENGTH,
    b"cookie",
    b"idempotency-key",
    b"if-modified-since",
    b"if-none-match",
    b"range",
    b"sentry-trace",
    b"traceparent",
    b"tracestate",
    b"x-amzn-trace-id",
    b"x-b3-parentspanid",
    b"x-b3-spanid",
    b"x-b3-traceid",
    b"x-cloud-trace-context",
    b"x-correlation-id",
    b"x-datadog-parent-id",
    b"x-datadog-trace-id",
    _ID,
)
"""Fields with values that differ from request to request, or from client to client."""
_OUR_COOKIE: Final = b"sidelog_session"
"""Marker of a head with our session cookie: it is parsed, since the cookie is removed (P11)."""


class RequestHeads(HeadTemplates[Reading]):
    """Reads request heads from the version on, the blocks that `parse_request_head` takes."""

    __slots__ = ()

    def __init__(
        self,
        parse: Callable[[bytes], RequestHead],
        *,
        max_line_bytes: int,
        kept: Collection[bytes] = (),
    ) -> None:
        """Begin empty.

        Args:
            parse: reads unknown heads; its errors are raised each time.
            max_line_bytes: the longest line that it takes.
            kept: lower-case names of fields that callers read, remove or set in the returned heads.
        """
        fields = VaryingFields(_NAMES, kept=kept, max_line_bytes=max_line_bytes, unless=_OUR_COOKIE)
        super().__init__(partial(_whole, parse), fields)

    def _template_of(
        self, head: Reading, left: bytes, names: list[bytes], values: list[bytes]
    ) -> Template[Reading] | None:
        request, length, _ = head
        gaps = len(values)
        length_at = take_only(LENGTH, left, names, values)
        id_at = take_only(_ID, left, names, values)
        lines = with_gaps(request.lines, names, values)
        if lines is None or request.is_websocket:
            return None

        request = replace(
            request,
            lines=lines,
            content_length=VARIES if length_at >= 0 else length,
            request_id=GAP if id_at >= 0 else request.request_id,
            rendered={},
        )
        return _Template(request, gaps, length_at, id_at)


def _whole(parse: Callable[[bytes], RequestHead], block: bytes) -> Reading:
    head = parse(block)
    return head, head.content_length, ()


class _Template(Template[Reading]):
    """A request head with gaps. Among the values, the id and then the length go to the end.

    `Route.render` has their gaps there: it writes both fields itself, after the others.
    """

    __slots__ = ("_head", "_id_at", "_length_at")

    def __init__(self, head: RequestHead, gaps: int, length_at: int, id_at: int) -> None:
        """Fill `head` with `gaps` values.

        Args:
            head: the head with gaps.
            gaps: number of values.
            length_at: index of the content length among them; -1 without one.
            id_at: index of the request id among the rest; -1 without one.
        """
        super().__init__(gaps)
        self._head = head
        self._length_at = length_at
        self._id_at = id_at

    def fill(self, values: list[bytes]) -> Reading:
        length = self._head.content_length
        if self._length_at >= 0:
            length = int(values.pop(self._length_at))
        if self._id_at >= 0:
            values.append(values.pop(self._id_at))
        if self._length_at >= 0:
            values.append(b"%d" % length)
        return self._head, length, tuple(values)
