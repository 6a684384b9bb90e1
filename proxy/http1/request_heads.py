"""Request heads that were read before, as a whole or but for the lines that differ in every request. Pure.

Strategy: a head that comes again as it was is looked up by its bytes. In most traffic each has a trace id, a request id
or a cookie of its own: those values are cut out by name, and what is left, which repeats, is looked up instead. It was
judged once with other values in the same places, and these are of a form in which none matters for how a head is read.

The invariant: what is given back says what `parse` says of the same bytes, and is rendered to the same fields.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final

from proxy.http1.head_memo import MAX_MEMO_BYTES, MAX_MEMO_HEADS, HeadMemo
from proxy.http1.request_head import RequestHead

VARIES: Final = -2
"""Length of the body in a head with gaps; it is one of them."""
GAP: Final = b"\0"
"""Stands in a head for what was cut out of it: no head that is well-formed has one."""

Reading = tuple[RequestHead, int, tuple[bytes, ...]]
"""A head, the length of its body, -1 if it names none, and what fills the gaps in what it is rendered to, in order. A
plain tuple: it is made once for a head that repeats."""

_VARYING: Final = (
    *(b"authorization", b"b3", b"baggage", b"content-length", b"cookie", b"idempotency-key", b"if-modified-since"),
    *(b"if-none-match", b"range", b"sentry-trace", b"traceparent", b"tracestate", b"x-amzn-trace-id"),
    *(b"x-b3-parentspanid", b"x-b3-spanid", b"x-b3-traceid", b"x-cloud-trace-context", b"x-correlation-id"),
    *(b"x-datadog-parent-id", b"x-datadog-trace-id", b"x-request-id"),
)
"""Names of the fields whose values differ from request to request, or from client to client."""
_FORMS: Final = {b"content-length": rb"(?=[0-9]{1,18}\r)", b"x-request-id": rb"(?=[\w.-]{1,128}\r)"}
"""Of values that mean something here: one of the form is as good as any other."""
_LENGTH: Final = b"content-length:"
_ID: Final = b"x-request-id:"
_OUR_COOKIE: Final = b"sidelog_session"
"""Cut out of a cookie, so one that may have it is read (P11)."""


class RequestHeads:
    """Reads heads, and remembers them: those that are alike share one immutable value."""

    __slots__ = ("_split", "_templates", "_whole")

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
        self._templates: dict[bytes, _Template] = {}
        """By what is left of a head; with the memo's limits, 2 MiB of keys."""
        self._split = _pattern(kept, min(max_line_bytes, MAX_MEMO_BYTES)).split

    def read(self, block: bytes) -> Reading:
        """Return the head in a block, and what fills its gaps.

        Raises:
            Refused: as `parse` does.
        """
        reading = self._whole.known.get(block)
        if reading is not None:
            return reading
        parts = self._split(block)
        if len(parts) == 1 or _OUR_COOKIE in block:
            return self._whole.parse(block)
        names, values = parts[1::3], parts[2::3]
        parts[2::3] = [GAP] * len(values)
        key = b"".join(parts)
        template = self._templates.get(key)
        # Gaps of its own, in a block that is malformed, are no gaps.
        if template is not None and template.gaps == len(values):
            return template.fill(values)
        reading = self._whole.parse(block)
        template = _template_of(reading[0], names, values)
        if template is not None and len(key) <= MAX_MEMO_BYTES:
            if len(self._templates) >= MAX_MEMO_HEADS:
                self._templates.clear()
            self._templates[key] = template
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
        length = -1
        if self._length_at >= 0:
            length = int(values.pop(self._length_at))
        if self._id_at >= 0:
            values.append(values.pop(self._id_at))
        if length >= 0:
            values.append(b"%d" % length)
        return self._head, length, tuple(values)


def _template_of(head: RequestHead, names: list[bytes], values: list[bytes]) -> _Template | None:
    """Make a template of a head with some values cut out; None where one of them is not forwarded as it is."""
    names = [name[len(b"\r\n") :] for name in names]
    cut = [name + value for name, value in zip(names, values, strict=True)]
    length_at = _only(names, _LENGTH)
    if length_at >= 0:
        del names[length_at], cut[length_at]
    id_at = _only(names, _ID)
    if id_at >= 0:
        del names[id_at], cut[id_at]
    with_gap = dict(zip(cut, names, strict=True))
    lines = [with_gap[line] + GAP if line in with_gap else line for line in head.lines]
    if head.is_websocket or [line for line in head.lines if line in with_gap] != cut:
        return None
    length = VARIES if length_at >= 0 else -1
    request_id = GAP if id_at >= 0 else head.request_id
    with_gaps = replace(head, lines=lines, content_length=length, request_id=request_id, rendered={})
    return _Template(with_gaps, len(values), length_at, id_at)


def _only(names: list[bytes], wanted: bytes) -> int:
    """Return where a name is, -1 if it is not there; of several none is forwarded as it is."""
    found = [place for place, name in enumerate(names) if name.rstrip(b" ").lower() == wanted]
    return found[0] if len(found) == 1 else -1


def _pattern(kept: Collection[bytes], max_bytes: int) -> re.Pattern[bytes]:
    """Return what finds the lines that vary: line end, name with its colon, and visible text (RFC 9110 §5.5).

    Names are found as clients spell them, each word in lower case or capitalised. Those with the same first letter are
    one branch: one after the other they take twice as long.
    """
    by_letter: dict[bytes, list[bytes]] = {}
    for name in _VARYING:
        if name not in kept:
            first, rest = _spelled(name[:1]), _spelled(name)[len(_spelled(name[:1])) :]
            by_letter.setdefault(first, []).append(rb"%b: ?%b" % (rest, _FORMS.get(name, b"")))
    names = b"|".join(rb"%b(?:%b)" % (first, b"|".join(rests)) for first, rests in by_letter.items())
    return re.compile(rb"(\r\n(?:%b))([!-~][ -~]{0,%d}+)(?<! )(?=\r\n)" % (names, max(0, max_bytes - 64)))


def _spelled(name: bytes) -> bytes:
    words = (rb"[%b%b]%b" % (word[:1].upper(), word[:1], word[1:]) for word in name.split(b"-"))
    return b"-".join(words).replace(b"[Ii]d", b"[Ii][Dd]")
