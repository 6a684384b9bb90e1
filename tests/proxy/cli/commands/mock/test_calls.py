"""Calls of gRPC: the same message has the same answer, whose bytes are what the service sent."""

import json
from typing import Any

from api.identity.match import Level
from api.identity.places import NO_PLACES
from api.replay.suite import Recorded
from proxy.cli.commands.mock.service import Service
from proxy.enrich.grpc.descriptors import NO_SCHEMA, Schema
from storage.record import Body
from tests.proxy.cli.commands.mock.exchanges import ask, exchange
from tests.proxy.enrich.grpc.test_descriptors import ORDER, SCHEMA, shown

CALL = "Content-Type: application/grpc\nTE: trailers"
ADD, DOWN, UP = "/shop.Cart/Add", "/shop.Cart/Down", "/shop.Cart/Up"


def framed(*messages: bytes) -> bytes:
    return b"".join(b"\0" + len(each).to_bytes(4, "big") + each for each in messages)


def order(**fields: Any) -> bytes:
    message: bytes = ORDER(**fields).SerializeToString()
    return message


def call(
    path: str,
    asked: list[bytes],
    answers: list[bytes],
    schema: Schema = SCHEMA,
    head: str = CALL,
    **payload: Any,
) -> Recorded:
    """Make the exchange of a call as it is stored."""
    for messages, name in ((asked, "request_body"), (answers, "response_body")):
        text = json.dumps(
            [shown(each, "shop.Order" if schema is SCHEMA else "", schema) for each in messages]
        ).encode()
        size = len(framed(*messages))
        payload.setdefault(name, Body(text, b"", size, False, "protobuf", None))

    payload.setdefault("response_trailers", b"grpc-status: 0\r\ngrpc-message: fine")
    fields = "Content-Type: application/grpc"
    return exchange(("POST", path, head, ""), fields=fields, name=path, **payload)


def grpc(*suite: Recorded, schema: Schema = SCHEMA) -> Service:
    return Service(suite, Level.SAME, NO_PLACES, schema)


def test_the_same_message_has_its_answer() -> None:
    """Byte for byte, followed by the status. A different message has its own answer, or a status
    with the reason.
    """
    first = order(type_string="a", type_int64=7)
    second = order(type_string="b")
    answers = order(type_double=1.5, type_fixed32=4), order(type_sint32=-9, type_bytes=b"\xff")
    mock = grpc(call(ADD, [first], [answers[0]]), call(ADD, [second], [answers[1]]))

    for asked, answer in ((second, answers[1]), (first, answers[0])):
        reply = ask(mock, ("POST", ADD, CALL, framed(asked)))
        assert (reply.status, reply.content) == (200, framed(answer))
        assert reply.trailers == (("grpc-status", "0"), ("grpc-message", "fine"))

    miss = ask(mock, ("POST", ADD, CALL, framed(order(type_string="c"))))
    fields = dict(miss.fields)
    assert (miss.status, miss.content, fields["grpc-status"]) == (200, b"", "12")
    assert 'body[0].type_string: "b" recorded, "c" asked for' in fields["grpc-message"]


def test_all_messages_of_a_server_stream_are_sent() -> None:
    """In their order."""
    answers = [order(type_string=name) for name in "abc"]
    mock = grpc(call(DOWN, [order()], answers))
    assert ask(mock, ("POST", DOWN, CALL, framed(order()))).content == framed(*answers)


def test_fields_in_another_order_are_the_same_message() -> None:
    """As parsers take them."""
    mock = grpc(call(ADD, [order(type_string="a", type_bool=True)], [order()]))
    text = order(type_string="a")
    boolean = order(type_bool=True)
    for message in (text + boolean, boolean + text):
        assert dict(ask(mock, ("POST", ADD, CALL, framed(message))).trailers)["grpc-status"] == "0"


def test_without_a_schema_messages_are_taken_that_are_as_long() -> None:
    """Others are left out, and the start asks for --protobuf."""
    asked = order(type_string="a", type_int32=300)
    for answer in (
        order(type_string="b", type_int64=-1),
        order(type_int64=1 << 60),
        order(type_fixed64=1 << 60, type_double=0.1),
        order(type_string="1152921504606846976"),
    ):
        mock = grpc(call(ADD, [asked], [answer], NO_SCHEMA), schema=NO_SCHEMA)
        assert ask(mock, ("POST", ADD, CALL, framed(asked))).content == framed(answer)

    # As long are a varint and a number of fixed size; and nothing tells what was taken out.
    for lossy in (order(type_fixed64=1 << 52), order(type_string="hunter2")):
        recorded = call(ADD, [asked], [lossy], NO_SCHEMA)
        assert recorded.payload is not None
        assert recorded.payload.response_body is not None
        recorded.payload.response_body.head = recorded.payload.response_body.head.replace(
            b"hunter2", b"[REDACTED]"
        )
        mock = grpc(recorded, schema=NO_SCHEMA)
        assert (mock.answers, len(mock.left_out)) == (0, 1)
        assert "--protobuf" in next(iter(mock.left_out))


def test_what_was_recorded_without_a_schema_is_answered_by_one() -> None:
    """Numbers of fields are those of the schema."""
    asked = order(type_string="a")
    for answer in (
        order(type_fixed64=1 << 40),
        order(type_int64=1 << 52, type_uint64=(1 << 64) - 1, type_sint64=-(1 << 62)),
        order(
            type_float=1 / 3,
            type_double=1 / 3,
            type_floats=[0.1, 16777216],
            type_int64s=[1 << 60, -1],
        ),
        order(type_string="1152921504606846976", type_bytes=b"1152921504606846976"),
        order(inner=ORDER(type_int64=1 << 60, inners=[ORDER(price={"a": 1, "b": 2})])),
    ):
        mock = grpc(call(ADD, [asked], [answer], NO_SCHEMA))
        assert ask(mock, ("POST", ADD, CALL, framed(asked))).content == framed(answer)


def test_what_cannot_be_made_again_is_left_out() -> None:
    """Other bytes with the same content are not an answer; unpacked repeated numbers are
    recognised.
    """
    unpacked = b"\xc8\x06\x01\xc8\x06\x02"
    assert shown(unpacked) == {"type_int32s": [1, 2]}
    for answer, is_made in (
        (unpacked, True),
        (b"\x2d\x01\x00\x00\x00", False),
        (b"\x28\x81\x00", False),
    ):
        mock = grpc(call(ADD, [order()], [answer]))
        assert mock.answers == is_made
        if is_made:
            assert ask(mock, ("POST", ADD, CALL, framed(order()))).content == framed(answer)
        else:
            [reason] = mock.left_out
            assert reason.endswith(
                "cannot be made again as it was recorded, by shop.Order of the schema either"
            )


def test_a_call_that_failed_ends_in_its_head() -> None:
    """Without messages and trailers."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 5\r\n"
        b"grpc-message: no such cart"
    )
    recorded = call(
        ADD, [order()], [], response_head=head, response_body=None, response_trailers=b""
    )
    reply = ask(grpc(recorded), ("POST", ADD, CALL, framed(order())))
    assert (reply.content, reply.trailers, dict(reply.fields)["grpc-status"]) == (b"", (), "5")


def test_streams_of_clients_are_left_out() -> None:
    """As are calls of gRPC-Web, and those whose end is not known."""
    web = call(ADD, [order()], [order()], head=CALL.replace("grpc", "grpc-web"))
    unknown = call(ADD, [order()], [order()], response_trailers=b"")
    mock = grpc(
        call(UP, [order()], [order()]), call("/x/Y", [order(), order()], [order()]), web, unknown
    )
    assert mock.answers == 0
    assert sum(mock.left_out.values()) == 4
