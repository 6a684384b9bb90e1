"""Judges what the codec makes of a client's connection: split alike, lengths kept, and one message
for every parser.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import h2.exceptions

from proxy.http1.errors import Refused
from proxy.http1.request_head import parse_request_head
from proxy.http1.request_line import parse_request_line
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.events import DataReceived, Event, RequestReceived, StreamReset, TrailersReceived
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields
from tests.fuzz.http2_grammar import Http2Case
from tests.fuzz.parsers import Judge
from tests.fuzz.world import World
from tests.proxy.http2.test_judges import Hyper, fields_of

_NOW_NS: Final = 10**9


class _Seen(NamedTuple):
    """What came of one connection."""

    heads: dict[int, RequestFields]
    bodies: dict[int, bytes]
    ended: set[int]
    resets: set[int]
    story: dict[int, list[tuple[object, ...]]]
    """All events by stream, bodies as one; under 0 those of the connection, and all that was sent.
    """
    is_ended: bool
    """Or cut within a frame."""


def run_http2(world: World, judge: Judge, case: Http2Case) -> str:
    """Return what is wrong, or nothing; the world of HTTP/1.1 has no part in it yet."""
    whole = _run([case.data])
    edges = [0, *sorted(case.cuts), len(case.data)]
    if _run([case.data[a:b] for a, b in pairwise(edges)]).story != whole.story:
        return "another split is read as something else"
    if case.is_clean and (len(whole.ended) != case.streams or whole.resets or whole.is_ended):
        return f"objected to what is in order: {whole.story}"

    for stream, head in whole.heads.items():
        if violation := _misread(
            judge, head, whole.bodies[stream], has_ended=stream in whole.ended
        ):
            return violation

    return _disagreement(case, whole)


def _run(pieces: list[bytes]) -> _Seen:
    """Feed a server; its consumer says nothing meanwhile, since when it would depends on the
    pieces.
    """
    connection = Connection(Limits(max_header_bytes=32768), LineEncoder(), _NOW_NS, is_server=True)
    seen = _Seen({}, {}, set(), set(), {0: []}, is_ended=False)
    sent = b""

    for piece in pieces:
        events = connection.receive(piece, _NOW_NS)
        while connection.has_more:
            events += connection.receive(b"", _NOW_NS)
        for event in events:
            said = seen.story.setdefault(getattr(event, "stream_id", 0), [])
            if isinstance(event, DataReceived):
                before = said.pop()[1] if said and said[-1][0] == "body" else b""
                assert isinstance(before, bytes)
                said.append(("body", before + event.data, event.is_end))
            else:
                said.append(_said(event))

            if isinstance(event, RequestReceived):
                seen.heads[event.stream_id] = event.head
                seen.bodies[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                seen.bodies[event.stream_id] += event.data
            elif isinstance(event, StreamReset):
                seen.resets.add(event.stream_id)

            if isinstance(event, TrailersReceived) or getattr(event, "is_end", False):
                seen.ended.add(getattr(event, "stream_id", 0))

        sent += connection.output.take()

    seen.story[0].append(("sent", sent))
    return seen._replace(is_ended=connection.is_ended or connection.reader.in_hand > 0)


def _said(event: Event) -> tuple[object, ...]:
    """Return all that an event says."""
    names = ("code", "reason", "text", "is_end", "lines", "is_retryable")
    head = getattr(event, "head", None)
    of_head = (
        () if head is None else (head.text, head.scheme, head.content_length, repr(head.refusal))
    )
    return (type(event).__name__, *(getattr(event, name, None) for name in names), *of_head)


def _misread(judge: Judge, head: RequestFields, body: bytes, *, has_ended: bool) -> str:
    """Forward a request over HTTP/1.1 as its rules allow: its length holds, and every parser reads
    the one message.
    """
    length = head.content_length
    if length >= 0 and (len(body) > length or (has_ended and len(body) != length)):
        return f"gave out {len(body)} bytes of a body of {length}"
    if not has_ended or head.refusal is not None:
        return ""

    try:
        line = parse_request_line(b"%b %b HTTP/1.1" % (head.method, head.target), max_bytes=8192)
        fields = parse_request_head(
            b"HTTP/1.1\r\n" + head.lines + b"\r\n", max_headers=100, max_line_bytes=8192
        )
    except Refused:
        return ""

    framing = b"Content-Length: %d\r\n" % len(body) if length >= 0 or body else b""
    text = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n%b" % (
        *(
            line.method,
            line.target,
            fields.host,
            fields.render(frozenset((b"expect",))),
            framing,
            body,
        ),
    )
    return judge.disagreement(text, [(line.method, line.target, body)])


def _disagreement(case: Http2Case, whole: _Seen) -> str:
    """Let hyper's h2 read the same: where it objects to nothing, both have the same requests."""
    hyper = Hyper(is_client=False)
    try:
        hyper.hear(case.data)
    except (h2.exceptions.H2Error, ValueError) as error:
        has_objected = (
            whole.is_ended
            or whole.resets
            or len(whole.ended) < len(whole.heads)
            or "Refused" in f"{whole.story}"
        )
        if has_objected:
            return ""
        return f"h2 objects to what we take: {error!r}"

    for stream in whole.ended - whole.resets:
        heads = [part for part in hyper.heard[stream] if isinstance(part, list)]
        body = b"".join(part for part in hyper.heard[stream] if isinstance(part, bytes))
        fields = [
            (name, value)
            for name, value in heads[0]
            if name[:1] != b":" and name not in (b"host", b"cookie")
        ]
        ours = [field for field in fields_of(whole.heads[stream].lines) if field[0] != b"cookie"]
        if (fields, body) != (ours, whole.bodies[stream]):
            return f"h2 reads {fields, body}, we read {ours, whole.bodies[stream]}"

    return ""
