"""Exchanges with other implementations, hyper's `h2` and libnghttp2 by `ngh2`, at either end, in
any pieces.
"""

from collections import defaultdict
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import ngh2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http2.connection import Connection
from proxy.http2.events import (
    DataReceived,
    RequestReceived,
    ResponseReceived,
    SettingsReceived,
    StreamDrained,
    TrailersReceived,
)
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields
from tests.proxy.http2.wire import NOW_NS, Fields, limits

Heard = dict[int, list[Any]]
"""What came on each stream: lists of fields, and bodies."""


class Message(NamedTuple):
    """What one side says: fields, a body in pieces, trailers."""

    fields: Fields
    pieces: list[bytes]
    trailers: Fields


class Hyper:
    """`h2` at one end."""

    def __init__(self, *, is_client: bool) -> None:
        config = h2.config.H2Configuration(client_side=is_client, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.heard: Heard = defaultdict(list)
        self.ended: set[int] = set()

    def say(self, stream: int, pseudo: Fields, message: Message) -> None:
        trailers = list(message.trailers)
        body = b"".join(message.pieces)[
            : self.connection.local_flow_control_window(stream) if stream in self.heard else 60000
        ]
        self.connection.send_headers(
            stream, [*pseudo, *message.fields], end_stream=not (body or trailers)
        )
        for at in range(0, len(body), 16384):
            is_end = at + 16384 >= len(body) and not trailers
            self.connection.send_data(stream, body[at : at + 16384], end_stream=is_end)
        if trailers:
            self.connection.send_headers(stream, trailers, end_stream=True)

    def hear(self, raw: bytes) -> None:
        for event in self.connection.receive_data(raw):
            if isinstance(event, h2.events.DataReceived):
                self.heard[event.stream_id].append(event.data)
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            elif isinstance(
                event,
                h2.events.RequestReceived | h2.events.ResponseReceived | h2.events.TrailersReceived,
            ):
                self.heard[event.stream_id].append(list(event.headers))
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)

    def take(self) -> bytes:
        return self.connection.data_to_send()


class Nghttp2:
    """libnghttp2 at one end."""

    def __init__(self, *, is_client: bool) -> None:
        self.connection = ngh2.Connection(ngh2.Role.CLIENT if is_client else ngh2.Role.SERVER)
        self.connection.initiate_connection()
        self.is_client = is_client
        self.heard: Heard = defaultdict(list)
        self.ended: set[int] = set()

    def say(self, stream: int, pseudo: Fields, message: Message) -> None:
        fields = [*pseudo, *message.fields]
        trailers = list(message.trailers)
        connection = self.connection
        is_end = not (message.pieces or trailers)

        if self.is_client:
            assert connection.send_request(fields, end_stream=is_end) == stream
        else:
            connection.send_response(stream, fields, end_stream=is_end)

        for at, piece in enumerate(message.pieces):
            connection.send_data(
                stream, piece, end_stream=at == len(message.pieces) - 1 and not trailers
            )

        if trailers:
            connection.send_trailers(stream, trailers)

    def hear(self, raw: bytes) -> None:
        self.connection.receive_data(raw)
        for event in self.connection.events():
            if isinstance(event, ngh2.DataReceived):
                self.heard[event.stream_id].append(event.data)
            elif isinstance(
                event, ngh2.RequestReceived | ngh2.ResponseReceived | ngh2.TrailersReceived
            ):
                self.heard[event.stream_id].append(list(event.headers))

            if isinstance(event, ngh2.TrailersReceived) or getattr(event, "end_stream", False):
                self.ended.add(getattr(event, "stream_id", 0))

    def take(self) -> bytes:
        return self.connection.data_to_send()


class Ours:
    """The codec at one end, with a consumer that forwards everything at once."""

    def __init__(self, *, is_client: bool) -> None:
        self.connection = Connection(limits(), LineEncoder(), NOW_NS, is_server=not is_client)
        self.heard: Heard = defaultdict(list)
        self.ended: set[int] = set()
        self.drained: set[int] = set()

    def say(self, stream: int, pseudo: Fields, message: Message) -> None:
        lines = b"".join(b"%b: %b\r\n" % field for field in message.fields)
        is_end = not (message.pieces or message.trailers)

        named = dict(pseudo)
        if b":status" in named:
            self.connection.send_response(stream, int(named[b":status"]), lines, is_end=is_end)
        else:
            head = RequestFields(
                named[b":method"], named[b":path"], b"http", b"Host: x\r\n" + lines, -1, None
            )
            assert self.connection.send_request(head, b"a", is_end=is_end) == stream

        for at, piece in enumerate(message.pieces):
            is_last = at == len(message.pieces) - 1 and not message.trailers
            self.connection.send_data(stream, piece, NOW_NS, is_end=is_last)
        if message.trailers:
            self.connection.send_trailers(
                stream, b"".join(b"%b: %b\r\n" % field for field in message.trailers), NOW_NS
            )

    def hear(self, raw: bytes) -> None:
        events = self.connection.receive(raw, NOW_NS)
        for event in events:
            if isinstance(event, DataReceived):
                self.heard[event.stream_id].append(event.data)
                self.connection.credit(event.stream_id, len(event.data))
            elif isinstance(event, RequestReceived | ResponseReceived):
                first = (
                    event.head.status if isinstance(event, ResponseReceived) else event.head.method
                )
                self.heard[event.stream_id].append([first, *fields_of(event.head.lines)])
            elif isinstance(event, TrailersReceived):
                self.heard[event.stream_id].append(fields_of(event.lines))
            elif isinstance(event, SettingsReceived):
                continue
            else:
                assert isinstance(event, StreamDrained)

            if getattr(event, "is_end", False) or isinstance(event, TrailersReceived):
                self.ended.add(event.stream_id)

        if self.connection.has_more:
            self.hear(b"")

    def take(self) -> bytes:
        return self.connection.output.take()


def fields_of(lines: bytes) -> Fields:
    named = [line.partition(b": ")[::2] for line in lines.split(b"\r\n") if line]
    return [(name, value) for name, value in named if name != b"Host"]


def converse(client: Any, server: Any, messages: list[tuple[Message, Message]], step: int) -> None:
    """Let a client send requests at once and a server answer each when it is complete, in pieces of
    any size.
    """
    requests = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", b"/"),
    ]
    answered: set[int] = set()
    for at, (said, _) in enumerate(messages):
        client.say(1 + 2 * at, requests, said)
    for _ in range(1000):
        raws = client.take(), server.take()
        for peer, raw in zip((server, client), raws, strict=True):
            for at in range(0, len(raw), step):
                peer.hear(raw[at : at + step])
        for stream in server.ended - answered:
            server.say(stream, [(b":status", b"200")], messages[stream // 2][1])
            answered.add(stream)
        if not any(raws) and len(answered) == len(messages):
            break


def said(message: Message, first: Any) -> list[Any]:
    """Return what a listener has of a message: fields, whole body, trailers."""
    return [[*first, *message.fields], b"".join(message.pieces), list(message.trailers)]


def heard(parts: list[Any], own: int) -> list[Any]:
    """Return the same of what came; `own` pseudo-fields are before its fields."""
    heads = [part for part in parts if isinstance(part, list)]
    assert len(heads) <= 2
    body = b"".join(part for part in parts if isinstance(part, bytes))
    return [heads[0][own:], body, heads[1] if len(heads) > 1 else []]


NAMES = st.sampled_from([b"x", b"accept", b"grpc-status", b"x-long-name"])
VALUES = st.one_of(
    st.just(b""), st.binary(max_size=20).map(lambda raw: raw.hex().encode()), st.just(b"v" * 3000)
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
PIECES = st.lists(st.integers(1, 30000).map(bytes), max_size=3)
MESSAGES = st.builds(Message, FIELDS, PIECES, FIELDS)


@pytest.mark.parametrize("judge", [Hyper, Nghttp2])
@pytest.mark.parametrize("is_client", [True, False], ids=["our server", "our client"])
@settings(max_examples=30)
@given(
    messages=st.lists(st.tuples(MESSAGES, MESSAGES), min_size=1, max_size=4),
    step=st.sampled_from([9, 1000, 1 << 20]),
)
def test_what_one_side_says_the_other_hears(
    judge: type[Hyper | Nghttp2],
    is_client: bool,
    messages: list[tuple[Message, Message]],
    step: int,
) -> None:
    """Heads, bodies and trailers of several streams, in both directions; the places are free in the
    end.
    """
    if judge is Hyper:  # it leaves windows to its user: whole bodies fit in one
        messages = [
            (a._replace(pieces=a.pieces[:1]), b._replace(pieces=b.pieces[:1]))
            for a, b in messages[:1]
        ]

    ours = Ours(is_client=not is_client)
    other = judge(is_client=is_client)
    client, server = (other, ours) if is_client else (ours, other)
    converse(client, server, messages, step)

    for at, (asked, answer) in enumerate(messages):
        stream = 1 + 2 * at
        pseudo = (1, 1) if is_client else (4, 1)
        assert heard(server.heard[stream], pseudo[0]) == said(asked, [])
        assert heard(client.heard[stream], pseudo[1]) == said(answer, [])

    assert len(ours.connection.streams.open) == 0
    assert not ours.connection.is_ended
