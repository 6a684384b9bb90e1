"""What is told of a WebSocket message."""

import base64
from typing import Any

from proxy.enrich.live.websocket_messages import MessageReader
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.websocket_frames import Opcode
from proxy.ring.message import IN, OUT, CapturedMessage
from tests.proxy.enrich.exchanges import Collector
from tests.proxy.enrich.formats.test_message_deflate import Sender

EXCHANGE = bytes(range(16))


def reader() -> MessageReader:
    return MessageReader(Redactor((), (), (), patterns=True))


def described(data: bytes, of: MessageReader | None = None, **changes: Any) -> dict[str, object]:
    """Read a message and describe it."""
    of = of or reader()
    message = captured(data, **changes)
    return of.describe(message, of.read(message))


def captured(data: bytes, **changes: Any) -> CapturedMessage:
    fields: dict[str, Any] = {
        "id": bytes(16), "exchange_id": EXCHANGE, "at_ns": 0, "size": len(data), "route": 0, "opcode": Opcode.TEXT,
        "direction": IN, "is_compressed": False, "traceparent": b"", "data": data,
    }  # fmt: skip
    return CapturedMessage(**(fields | changes))


def deflated(text: bytes) -> bytes:
    return Sender().send(text)


def octets(data: bytes) -> bytes:
    """What is stored of a message of octets."""
    return base64.b64decode(str(described(data, opcode=Opcode.BINARY)["base64"]))


def test_a_plain_message() -> None:
    """Direction, kind, size and text; nothing else."""
    assert described(b"hello", direction=OUT) == {
        "direction": "out", "opcode": "text", "size": 5, "text": "hello",
    }  # fmt: skip


def test_a_message_without_content() -> None:
    """As most pings are: nothing was kept, and nothing is missing."""
    assert described(b"", opcode=Opcode.PING) == {
        "direction": "in", "opcode": "ping", "size": 0, "text": "",
    }  # fmt: skip


def test_a_row_of_empty_messages_says_how_many() -> None:
    assert described(b"", times=40) == {
        "direction": "in", "opcode": "text", "size": 0, "count": 40, "text": "",
    }  # fmt: skip


def test_a_cut_message_says_how_much_of_it_was_kept() -> None:
    """Half a secret at the cut is not kept."""
    shown = described(b'{"a": 1, "password": "hunt', size=9000)
    assert (shown["size"], shown["truncated"], shown["kept"]) == (9000, True, 26)
    assert "hunt" not in str(shown["text"])


def test_a_compressed_message_has_both_sizes() -> None:
    """As sent, and inflated; its text is redacted like any other."""
    data = deflated(b'{"password": "hunter2"}' * 50)
    shown = described(data, is_compressed=True)
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
    shown = described(data[:200], size=len(data), is_compressed=True)
    assert (shown["inflated_size"], shown["truncated"]) == (None, True)


def test_a_message_that_cannot_be_read_says_why() -> None:
    """Left out under pressure, or behind one whose context is not known."""
    one = reader()
    assert described(b"", one, size=70) == {
        "direction": "in", "opcode": "text", "size": 70, "text": None, "omitted": "shed",
    }  # fmt: skip
    sender = Sender()
    first, second = (sender.send(bytes(range(200))) for _ in range(2))
    assert described(b"", one, size=len(first), is_compressed=True)["omitted"] == "shed"
    assert described(second, one, is_compressed=True) == {
        "direction": "in", "opcode": "text", "size": len(second), "compressed": True, "inflated_size": None,
        "text": None, "omitted": "context",
    }  # fmt: skip


def test_a_message_behind_a_gap_is_not_read_with_an_old_window() -> None:
    """One that refers back over messages that were not recorded is unknown, never wrong; one that
    does not is read.
    """
    sender = Sender()
    first, _, third = map(sender.send, (b"first " * 20, b"second" * 20, b"second" * 20))
    read = reader()
    assert described(first, read, is_compressed=True)["text"] == "first " * 20
    shown = described(third, read, is_compressed=True, follows_gap=True)
    assert (shown["text"], shown["omitted"]) == (None, "context")
    shown = described(deflated(b"alone"), read, is_compressed=True)
    assert shown["text"] == "alone"


def test_a_message_behind_a_gap_says_so() -> None:
    """Not every message before it is here."""
    assert described(b"x", follows_gap=True)["follows_gap"] is True
    assert "follows_gap" not in described(b"x")


def test_binary_messages_are_redacted_too() -> None:
    """JSON in a binary frame is JSON."""
    assert b"hunter2" not in octets(b'{"password": "hunter2"}')
    token = b"sk-proj-aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9d"
    assert octets(b"23" + token) == b"23[REDACTED]"
    noise = bytes(range(256))
    assert octets(noise) == noise


def test_a_close_frame_has_its_code_and_reason() -> None:
    """And ends the contexts of its connection."""
    shown = described((4001).to_bytes(2, "big") + b"asked to", opcode=Opcode.CLOSE)
    assert (shown["code"], shown["text"]) == (4001, "asked to")


def test_the_exchange_is_named_where_the_trace_does_not_tell_it() -> None:
    """A trace may have many exchanges."""
    message = captured(b"x")._replace(
        traceparent=b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    )
    record = Collector().hear(message).record
    assert b'"exchange_id":"00010203-0405-0607-0809-0a0b0c0d0e0f"' in (record.data or b"")


def test_a_token_in_a_packet_of_mqtt_goes() -> None:
    """As a password of the known form of a key, behind its length; one without a form is not found."""
    token = b"sk-proj-aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9d"
    packet = mqtt_connect(user=b"alice", password=token)
    assert octets(packet) == packet.replace(token, b"[REDACTED]")
    packet = mqtt_connect(user=b"alice", password=b"s3cr3t-Passw0rd")
    assert octets(packet) == packet


def mqtt_connect(*, user: bytes, password: bytes) -> bytes:
    """Make the first packet of a client (MQTT 3.1.1 §3.1), of less than 128 bytes."""
    fields = (b"MQTT", b"client-1", user, password)
    name, client, user, password = (len(field).to_bytes(2, "big") + field for field in fields)
    rest = name + bytes((4, 0xC2, 0, 60)) + client + user + password
    return bytes((0x10, len(rest))) + rest
