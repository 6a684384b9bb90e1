"""Passwords of MQTT over WebSockets: the first packet of a client, CONNECT, has one, and its name
is its place.

Messages are pieces of one stream of bytes (MQTT 5.0 §6): some clients send a packet as one, others
each field of it. So what a connection sent is put together from the first byte of a CONNECT on,
until that has ended, and of each message goes what lies within the password. A user without one is
a token (ThingsBoard), and so is what an authentication exchange begins with. Invariant: where a
packet cannot be followed, all of the rest of it goes.

Standard: MQTT 3.1.1 §3.1 and 5.0 §3.1, with MQTT 3.1, which only has another name.
"""

from collections import OrderedDict
from typing import Final

from proxy.enrich.redact.edits import MARK

MAX_CONNECTIONS: Final = 256
MAX_PACKET_BYTES: Final = 8192
"""Together with the connections at most 2 MiB. Longer ones, of a long will, are not followed to
their end.
"""
_CONNECT: Final = b"\x10"
_NAMES: Final = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")
_FIXED_BYTES: Final = 4
"""Behind the name: level, flags, and two of the keep-alive."""
_WITH_PROPERTIES: Final = 5
_WILL, _PASSWORD, _USER = 0x04, 0x40, 0x80
_AUTHENTICATION: Final = (0x15, 0x16)
"""Properties: method and data."""
_MAX_LENGTH_BYTES: Final = 4

Span = tuple[int, int]


class _Incomplete(Exception):
    """What was sent so far ends within a field that is needed."""


class _NoLogin(Exception):
    """This is no CONNECT."""


class MqttLogins:
    """Follows the connections that are within their first packet. Not thread-safe."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS) -> None:
        self._max_connections = max_connections
        self._begun: OrderedDict[bytes, bytearray | int] = OrderedDict()
        """What was sent of a packet; or how much of it is to come, where it cannot be followed."""

    def redact(self, connection: bytes, data: bytes, size: int | None) -> bytes:
        """Redact the next message of a client: the same object comes back when it has nothing of a
        password.

        Args:
            connection: the id of its exchange.
            data: its beginning, or all of it.
            size: of all of it; None where that is not known.
        """
        packet = self._begun.pop(connection, None)
        if isinstance(packet, int):
            self._keep(connection, packet - (size or len(data)))
            return _without(data, [(0, packet)])

        if packet is None:
            if data[:1] != _CONNECT:
                return data
            packet = bytearray()

        start = len(packet)
        packet += data
        try:
            spans, end = _secrets(bytes(packet))
        except _NoLogin:
            return data

        to_come = MAX_PACKET_BYTES if end is None else end - start - (size or len(data))
        is_followed = size == len(data) and len(packet) <= MAX_PACKET_BYTES
        self._keep(connection, packet if is_followed and to_come > 0 else to_come)
        return _without(data, [(low - start, high - start) for low, high in spans])

    def forget(self, connection: bytes) -> None:
        """Drop the collected bytes: messages are missing, or the connection has ended."""
        self._begun.pop(connection, None)

    def _keep(self, connection: bytes, packet: bytearray | int) -> None:
        if isinstance(packet, int) and packet <= 0:
            return
        self._begun[connection] = packet
        if len(self._begun) > self._max_connections:
            self._begun.popitem(last=False)


def _without(data: bytes, spans: list[Span]) -> bytes:
    for low, high in reversed(spans):
        low = max(low, 0)
        high = min(high, len(data))
        if low < high:
            data = data[:low] + MARK + data[high:]
    return data


def _secrets(packet: bytes) -> tuple[list[Span], int | None]:
    """Return where secrets stand in the beginning of a packet, and where it ends, as far as that is
    known.
    """
    fields = _Fields(packet)
    end = None
    try:
        end = fields.length() + fields.at
        rest = packet[fields.at : fields.at + len(_NAMES[1])]
        name = next(
            (name for name in _NAMES if rest.startswith(name) or name.startswith(rest)), None
        )
        if name is None:
            raise _NoLogin

        level, flags = fields.take(len(name) + _FIXED_BYTES)[len(name) : len(name) + 2]
        has_properties = level == _WITH_PROPERTIES
        if has_properties:
            fields.properties()
        fields.text()
        if flags & _WILL:
            if has_properties:
                fields.properties()
            fields.text()
            fields.text()

        if flags & _USER:
            fields.text(is_secret=not flags & _PASSWORD)
        if flags & _PASSWORD:
            fields.text(is_secret=True)
    except _Incomplete:
        pass

    return fields.spans, end


class _Fields:
    """Reads the fields of a CONNECT in their order, and notes where secrets stand."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self.at = 1
        self.spans: list[Span] = []

    def take(self, size: int, *, is_secret: bool = False) -> bytes:
        taken = self._packet[self.at : self.at + size]
        if is_secret:
            self.spans.append((self.at, self.at + size))
        if len(taken) < size:
            raise _Incomplete
        self.at += size
        return taken

    def text(self, *, is_secret: bool = False) -> None:
        self.take(int.from_bytes(self.take(2), "big"), is_secret=is_secret)

    def properties(self) -> None:
        length = self.length()
        known = self._packet[self.at : self.at + length]
        self.take(length, is_secret=any(byte in _AUTHENTICATION for byte in known))

    def length(self) -> int:
        """Read a number of up to four bytes, of seven bits each (§1.5.5)."""
        value = 0
        for place in range(_MAX_LENGTH_BYTES):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value

        raise _NoLogin
