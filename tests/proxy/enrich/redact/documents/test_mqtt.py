"""Passwords of MQTT go, however a client cuts its first packet into messages."""

from collections.abc import Iterable

from proxy.enrich.redact.documents.mqtt import MAX_PACKET_BYTES, MqttLogins
from proxy.enrich.redact.edits import MARK
from tests.support.cases import each_of

_ID = b"0123456789abcdef"
_SECRET = b"s3cr3t-Passw0rd"


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def connect(
    *,
    level: int = 4,
    user: bytes = b"alice",
    password: bytes = _SECRET,
    will: bytes = b"",
    properties: bytes = b"",
) -> bytes:
    """Make the packet, as §3.1 says."""
    flags = 2 | 0x80 * bool(user) | 0x40 * bool(password) | 4 * bool(will)
    v5 = bytes((len(properties),)) + properties if level == 5 else b""
    rest = (
        _text(b"MQIsdp" if level == 3 else b"MQTT")
        + bytes((level, flags, 0, 60))
        + v5
        + _text(b"client-1")
    )
    if will:
        rest += (b"\x00" if level == 5 else b"") + _text(b"w/t") + _text(will)
    rest += (_text(user) if user else b"") + (_text(password) if password else b"")
    length = (
        bytes((len(rest),)) if len(rest) < 128 else bytes((len(rest) & 127 | 128, len(rest) >> 7))
    )
    return b"\x10" + length + rest


def sent(pieces: Iterable[bytes]) -> bytes:
    """What is kept of messages that arrive one after the other."""
    logins = MqttLogins()
    return b"".join(logins.redact(_ID, piece, len(piece)) for piece in pieces)


@each_of("step", [1, 2, 3, 7, 20, 1000])
@each_of("level", [3, 4, 5])
@each_of("will", [b"", b"gone", b"x" * 300])
def test_a_password_goes(step: int, level: int, will: bytes) -> None:
    """In one message, in pieces of any size, with a packet behind it."""
    packet = connect(level=level, will=will)
    stream = packet + b"\xc0\x00"
    kept = sent(stream[at : at + step] for at in range(0, len(stream), step))
    assert kept.replace(MARK, b"") == packet.removesuffix(_SECRET) + b"\xc0\x00"
    assert MARK in kept


def test_other_secrets_of_the_packet() -> None:
    """A user without a password is a token; so is what an authentication exchange begins with."""
    assert b"alice" not in sent([connect(password=b"")])
    packet = connect(level=5, properties=b"\x15\x00\x05SCRAM\x16\x00\x06n,,n=u")
    assert b"n,,n=u" not in sent([packet])
    assert b"alice" in sent([packet])


@each_of(
    "data",
    [
        b"\x10",
        b"\x10\x05hello",
        b"\x10\xff\xff\xff\xff\xff",
        b"0\x07\x00\x03a/bhi",
        b"\x82" + connect(),
        b"RFB 003",
    ],
)
def test_other_messages_stay(data: bytes) -> None:
    """The same object, and what follows it, too."""
    logins = MqttLogins()
    assert logins.redact(_ID, data, len(data)) is data
    assert logins.redact(_ID, _SECRET, len(_SECRET)) is _SECRET


def test_of_what_cannot_be_followed_the_rest_goes() -> None:
    """Too long, or captured in part: up to the end of the packet, not beyond."""
    packet = connect(will=b"x" * 300)
    end = packet[60:]
    behind = b"\xc0\x00"

    for captured, size in ((packet[:40], 60), (packet[:60], None)):
        logins = MqttLogins()
        logins.redact(_ID, captured, size)
        assert logins.redact(_ID, end, len(end)) == MARK
        assert logins.redact(_ID, behind, 2) is behind

    long = b"\x10\x80\x80\x01" + packet[3:] + b"x" * (MAX_PACKET_BYTES + 1)
    logins = MqttLogins()
    logins.redact(_ID, long, len(long))
    assert logins.redact(_ID, _SECRET, len(_SECRET)) == MARK


def test_connections_are_bounded_and_forgotten() -> None:
    """The oldest goes first."""
    logins = MqttLogins(max_connections=2)
    for number in range(5):
        logins.redact(bytes((number,)) * 16, connect()[:20], 20)
    assert len(logins._begun) == 2
    logins.forget(b"\x04" * 16)
    assert len(logins._begun) == 1
