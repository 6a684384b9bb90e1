"""The first message of a TLS client: the name it asks for and the protocols it offers (RFC 8446
§4.1.2). Pure.

It is read before anything is decided, from bytes that stay where they are: what was looked at is
handed on unchanged. A hello may come octet by octet, and in several records (§5.1).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

HANDSHAKE: Final = 0x16
"""The first byte of every TLS connection (RFC 8446 §5.1)."""
MAX_HELLO_BYTES: Final = 1 << 14
"""The longest hello that is read; those of clients with post-quantum keys have about 2 KiB."""

_CLIENT_HELLO: Final = 1
_RECORD_HEAD_BYTES: Final = 5
_VERSION_AND_RANDOM_BYTES: Final = 34
_SERVER_NAME, _ALPN = 0, 16


class ClientHello(NamedTuple):
    """What a client says of itself before it is answered."""

    server_name: str
    """The name it asks for (SNI, RFC 6066 §3); empty: none."""
    protocols: tuple[str, ...]
    """What it offers to speak (ALPN, RFC 7301), the preferred one first; empty: it does not say."""


def read_client_hello(data: bytes) -> ClientHello | None:
    """Read a hello from the first bytes of a connection; None where more of it has to come.

    Raises:
        ValueError: this is no ClientHello, or one that is longer than `MAX_HELLO_BYTES`.
    """
    message = b""
    at = 0
    while len(data) >= at + _RECORD_HEAD_BYTES:
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] != HANDSHAKE or data[at + 1] != 3 or not length:
            raise ValueError("no record of a TLS handshake")
        start = at + _RECORD_HEAD_BYTES
        message += data[start : start + length]
        at = start + length

        if message and message[0] != _CLIENT_HELLO:
            raise ValueError(f"message {message[0]} of a TLS handshake in place of a ClientHello")
        size = int.from_bytes(message[1:4], "big")
        if len(message) >= 4 and size > MAX_HELLO_BYTES:
            raise ValueError(f"a ClientHello of {size} bytes, the limit is {MAX_HELLO_BYTES}")
        if len(message) >= 4 + size and len(message) >= 4:
            return _read(message[4 : 4 + size])
    return None


def _read(hello: bytes) -> ClientHello:
    """Read the body of a whole ClientHello."""
    _, at = _vector(hello, _VERSION_AND_RANDOM_BYTES, 1)  # the session
    _, at = _vector(hello, at, 2)  # ciphers
    _, at = _vector(hello, at, 1)  # compression
    name = ""
    protocols: tuple[str, ...] = ()
    if at == len(hello):
        return ClientHello(name, protocols)

    extensions, _ = _vector(hello, at, 2)
    at = 0
    while at < len(extensions):
        kind = int.from_bytes(extensions[at : at + 2], "big")
        content, at = _vector(extensions, at + 2, 2)
        if kind == _SERVER_NAME:
            names, _ = _vector(content, 0, 2)
            name = _text(_vector(names, 1, 2)[0])  # behind the type, of which there is one
        elif kind == _ALPN:
            protocols = tuple(map(_text, _each(_vector(content, 0, 2)[0])))
    return ClientHello(name, protocols)


def _vector(data: bytes, at: int, length_bytes: int) -> tuple[bytes, int]:
    """Return the vector of TLS whose length stands at `at`, and the offset of the vector's end."""
    start = at + length_bytes
    end = start + int.from_bytes(data[at:start], "big")
    if start > len(data) or end > len(data):
        raise ValueError("a ClientHello whose lengths do not fit")
    return data[start:end], end


def _each(names: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(names):
        name, at = _vector(names, at, 1)
        yield name


def _text(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace")
