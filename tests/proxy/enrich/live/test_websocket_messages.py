"""What is told of a WebSocket message."""

import base64
import zlib
from typing import Any

from proxy.enrich.live.websocket_messages import MessageReader
from proxy.enrich.records import RecordBuilder
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.websocket_frames import Opcode
from proxy.ring.message import IN, OUT, CapturedMessage
from tests.proxy.enrich.exchanges import descriptor_of, settings

EXCHANGE = bytes(range(16))


def reader() -> MessageReader:
    return MessageReader(Redactor((), (), (), patterns=True))


def describe(of: MessageReader, message: CapturedMessage, **more: Any) -> dict[str, object]:
    """Read a message and describe it."""
    return of.describe(message, of.read(message), **more)


def captured(data: bytes, **changes: Any) -> CapturedMessage:
    fields: dict[str, Any] = {
        "id": bytes(16), "exchange_id": EXCHANGE, "at_ns": 0, "size": len(data), "route": 0, "opcode": Opcode.TEXT,
        "direction": IN, "is_compressed": False, "traceparent": b"", "data": data,
    }  # fmt: skip
    return CapturedMessage(**(fields | changes))


def deflated(text: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_a_plain_message() -> None:
    """Direction, kind, size and text; nothing else."""
    assert describe(reader(), captured(b"hello", direction=OUT)) == {
        "direction": "out", "opcode": "text", "size": 5, "text": "hello",
    }  # fmt: skip


def test_a_message_without_content() -> None:
    """As most pings are: nothing was kept, and nothing is missing."""
    assert describe(reader(), captured(b"", opcode=Opcode.PING)) == {
        "direction": "in", "opcode": "ping", "size": 0, "text": "",
    }  # fmt: skip


def test_a_row_of_empty_messages_says_how_many() -> None:
    assert describe(reader(), captured(b"", times=40)) == {
        "direction": "in", "opcode": "text", "size": 0, "count": 40, "text": "",
    }  # fmt: skip


def test_a_cut_message_says_how_much_of_it_was_kept() -> None:
    """Half a secret at the cut is not kept."""
    shown = describe(reader(), captured(b'{"a": 1, "password": "hunt', size=9000))
    assert (shown["size"], shown["truncated"], shown["kept"]) == (9000, True, 26)
    assert "hunt" not in str(shown["text"])


def test_a_compressed_message_has_both_sizes() -> None:
    """As sent, and inflated; its text is redacted like any other."""
    data = deflated(b'{"password": "hunter2"}' * 50)
    shown = describe(reader(), captured(data, is_compressed=True))
    assert (shown["size"], shown["compressed"], shown["inflated_size"]) == (
        len(data),
        True,
        23 * 50,
    )
    assert "hunter2" not in str(shown)
    assert "truncated" not in shown


def test_a_compressed_message_in_part_is_cut_and_its_size_unknown() -> None:
    """Its end is not redacted as if it were whole."""
    data = deflated(bytes(range(256)) * 40 + b'{"password": "hunter2"}')
    shown = describe(reader(), captured(data[:200], size=len(data), is_compressed=True))
    assert (shown["inflated_size"], shown["truncated"]) == (None, True)


def test_a_message_that_cannot_be_read_says_why() -> None:
    """Left out under pressure, or behind one whose context is not known."""
    one = reader()
    assert describe(one, captured(b"", size=70)) == {
        "direction": "in", "opcode": "text", "size": 70, "text": None, "omitted": "shed",
    }  # fmt: skip
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first, second = (
        (deflater.compress(bytes(range(200))) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        for _ in range(2)
    )
    assert describe(one, captured(b"", size=len(first), is_compressed=True))["omitted"] == "shed"
    assert describe(one, captured(second, is_compressed=True)) == {
        "direction": "in", "opcode": "text", "size": len(second), "compressed": True, "inflated_size": None,
        "text": None, "omitted": "context",
    }  # fmt: skip


def test_a_message_behind_a_gap_is_not_read_with_an_old_window() -> None:
    """One that refers back over messages that were not recorded is unknown, never wrong; one that
    does not is read.
    """
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)

    def next_one(text: bytes) -> bytes:
        return (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    first = next_one(b"first " * 20)
    _ = next_one(b"second" * 20)
    third = next_one(b"second" * 20)
    read = reader()
    assert describe(read, captured(first, is_compressed=True))["text"] == "first " * 20
    shown = describe(read, captured(third, is_compressed=True, follows_gap=True))
    assert (shown["text"], shown["omitted"]) == (None, "context")
    shown = describe(read, captured(deflated(b"alone"), is_compressed=True))
    assert shown["text"] == "alone"


def test_a_message_behind_a_gap_says_so() -> None:
    """Not every message before it is here."""
    assert describe(reader(), captured(b"x", follows_gap=True))["follows_gap"] is True
    assert "follows_gap" not in describe(reader(), captured(b"x"))


def test_binary_messages_are_redacted_too() -> None:
    """JSON in a binary frame is JSON."""
    shown = describe(reader(), captured(b'{"password": "hunter2"}', opcode=Opcode.BINARY))
    assert b"hunter2" not in base64.b64decode(str(shown["base64"]))
    token = b"sk-proj-aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9d"
    shown = describe(reader(), captured(b"23" + token, opcode=Opcode.BINARY))
    assert base64.b64decode(str(shown["base64"])) == b"23[REDACTED]"
    noise = bytes(range(256))
    shown = describe(reader(), captured(noise, opcode=Opcode.BINARY))
    assert base64.b64decode(str(shown["base64"])) == noise


def test_a_close_frame_has_its_code_and_reason() -> None:
    """And ends the contexts of its connection."""
    shown = describe(
        reader(), captured((4001).to_bytes(2, "big") + b"asked to", opcode=Opcode.CLOSE)
    )
    assert (shown["code"], shown["text"]) == (4001, "asked to")


def test_the_exchange_is_named_where_the_trace_does_not_tell_it() -> None:
    """A trace may have many exchanges."""
    given = settings()
    message = captured(b"x")._replace(
        traceparent=b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    )
    record = RecordBuilder("i", given).message(message, descriptor_of(given)).record
    assert b'"exchange_id":"00010203-0405-0607-0809-0a0b0c0d0e0f"' in (record.data or b"")


def test_a_token_in_a_packet_of_mqtt_goes() -> None:
    """As a password of the known form of a key, behind its length; one without a form is not found."""
    token = b"sk-proj-aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9d"
    packet = mqtt_connect(user=b"alice", password=token)
    shown = describe(reader(), captured(packet, opcode=Opcode.BINARY))
    stored = base64.b64decode(str(shown["base64"]))
    assert stored == packet.replace(token, b"[REDACTED]")

    packet = mqtt_connect(user=b"alice", password=b"s3cr3t-Passw0rd")
    shown = describe(reader(), captured(packet, opcode=Opcode.BINARY))
    assert base64.b64decode(str(shown["base64"])) == packet


def mqtt_connect(*, user: bytes, password: bytes) -> bytes:
    """Make the first packet of a client (MQTT 3.1.1 §3.1), of less than 128 bytes."""
    fields = (b"MQTT", b"client-1", user, password)
    name, client, user, password = (len(field).to_bytes(2, "big") + field for field in fields)
    rest = name + bytes((4, 0xC2, 0, 60)) + client + user + password
    return bytes((0x10, len(rest))) + rest
