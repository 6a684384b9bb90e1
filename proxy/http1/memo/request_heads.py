"""Request heads that were read before, as a whole or but for the values that differ in every request. Pure.

Strategy: a head that comes again as it was is looked up by its bytes, one that differs in what always does by what is
left of it (`varying_fields.py`). That was judged once with other values in the same places, and these are of a form in
which none matters for how a head is read. The invariant: what is given back says what `parse` says of the same bytes,
and is rendered to the same fields.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final

from proxy.http1.memo.head_memo import HeadMemo, remember
from proxy.http1.memo.varying_fields import GAP, LENGTH, VARIES, VaryingFields, take_only, with_gaps
from proxy.http1.request_head import RequestHead

Reading = tuple[RequestHead, int, tuple[bytes, ...]]
"""A head, the length of its body, -1 if it names none, and what fills the gaps in what it is rendered to, in order. A
plain tuple: it is made once for a head that repeats."""

_ID: Final = b"x-request-id"
_NAMES: Final = (
    *(b"authorization", b"b3", b"baggage", LENGTH, b"cookie", b"idempotency-key", b"if-modified-since"),
    *(b"if-none-match", b"range", b"sentry-trace", b"traceparent", b"tracestate", b"x-amzn-trace-id"),
    *(b"x-b3-parentspanid", b"x-b3-spanid", b"x-b3-traceid", b"x-cloud-trace-context", b"x-correlation-id"),
    *(b"x-datadog-parent-id", b"x-datadog-trace-id", _ID),
)
"""Their values differ from request to request, or from client to client."""
_OUR_COOKIE: Final = b"sidelog_session"
"""Cut out of a cookie, so one that may have it is read (P11)."""


class RequestHeads:
    """Reads heads, and remembers them: those that are alike share one immutable value."""

    __slots__ = ("_fields", "_templates", "_whole")

    def __init__(
        self, parse: Callable[[bytes], RequestHead], *, max_line_bytes: int, kept: Collection[bytes] = ()
    ) -> None:
        """Read blocks with `parse`, as `parse_request_head` takes them; longer lines are left to it.

        Args:
            parse: what it raises is raised each time.
            max_line_bytes: of one field.
            kept: lower-case names of fields that somebody reads, removes or sets in the heads that are given back.
        """
        self._whole: HeadMemo[Reading] = HeadMemo(partial(_whole, parse))
        self._fields = VaryingFields(_NAMES, kept=kept, max_line_bytes=max_line_bytes)
        self._templates: dict[bytes, _Template] = {}
        """By what is left of a head."""

    def read(self, block: bytes) -> Reading:
        """Return the head in a block, and what fills its gaps.

        Raises:
            Refused: as `parse` does.
        """
        reading = self._whole.known.get(block)
        if reading is not None:
            return reading
        left, names, values = self._fields.cut(block)
        if not values or _OUR_COOKIE in block:
            return self._whole.parse(block)
        template = self._templates.get(left)
        # Gaps of its own, in a block that is malformed, are no gaps.
        if template is not None and template.gaps == len(values):
            return template.fill(values)
        reading = self._whole.parse(block)
        template = _template_of(reading[0], left, names, values)
        if template is not None:
            remember(self._templates, left, template)
        return reading


def _whole(parse: Callable[[bytes], RequestHead], block: bytes) -> Reading:
    head = parse(block)
    return head, head.content_length, ()


class _Template:
    """A head with gaps, and which of the values that were cut out mean something here."""

    __slots__ = ("_head", "_id_at", "_length_at", "gaps")

    def __init__(self, head: RequestHead, gaps: int, length_at: int, id_at: int) -> None:
        """Fill the gaps of `head` with so many values; -1 where none of them is the length, none of the rest the id."""
        self.gaps = gaps
        self._head = head
        self._length_at = length_at
        self._id_at = id_at

    def fill(self, values: list[bytes]) -> Reading:
        """Return the reading with the values cut out of a head, which are used up: id and length come last."""
        length = self._head.content_length
        if self._length_at >= 0:
            length = int(values.pop(self._length_at))
        if self._id_at >= 0:
            values.append(values.pop(self._id_at))
        if self._length_at >= 0:
            values.append(b"%d" % length)
        return self._head, length, tuple(values)


def _template_of(head: RequestHead, left: bytes, names: list[bytes], values: list[bytes]) -> _Template | None:
    """Make a template of a head with some values cut out; None where one of them is not forwarded as it is."""
    if left.lower().count(b"\r\n%b:" % _ID) > 1:
        return None  # one counts, and it may be one that was not cut out
    gaps = len(values)
    names, values = [*names], [*values]
    length_at = take_only(LENGTH, names, values)
    id_at = take_only(_ID, names, values)
    lines = with_gaps(head.lines, names, values)
    if lines is None or head.is_websocket:
        return None
    length = VARIES if length_at >= 0 else head.content_length
    request_id = GAP if id_at >= 0 else head.request_id
    return _Template(
        replace(head, lines=lines, content_length=length, request_id=request_id, rendered={}), gaps, length_at, id_at
    )
