"""The first message of a TLS client, as OpenSSL writes it, and damaged."""

import ssl

import pytest

from proxy.egress.client_hello import MAX_HELLO_BYTES, ClientHello, read_client_hello
from tests.support.cases import each_of


def hello(name: str | None, *protocols: str) -> bytes:
    """Return the first bytes of a client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    given = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), given, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return given.read()


def in_records(data: bytes, size: int) -> bytes:
    """Return a message in records of at most `size` bytes."""
    message = data[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)


@each_of(
    ("name", "protocols"),
    [
        ("api.example.com", ("h2", "http/1.1")),
        ("a.test", ()),
        (None, ("http/1.1",)),
        (None, ()),
    ],
)
def test_name_and_protocols_are_read(name: str | None, protocols: tuple[str, ...]) -> None:
    """However many records and reads they come in."""
    data = hello(name, *protocols)
    expected = ClientHello(name or "", protocols)
    for whole in (data, in_records(data, 1), in_records(data, 100), data + b"more"):
        assert read_client_hello(whole) == expected
    for size in range(len(data)):
        assert read_client_hello(data[:size]) is None


@each_of(
    "data",
    [
        b"\x16\x02\x01\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x17\x03\x01\x00\x05hello",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01" + (MAX_HELLO_BYTES + 1).to_bytes(3, "big"),
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x04abcd",
    ],
)
def test_what_is_no_hello_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"hello|Hello|handshake"):
        read_client_hello(data)


def test_a_damaged_hello_is_an_error_or_is_read() -> None:
    """No damage to any byte makes another failure."""
    data = hello("api.example.com", "h2", "http/1.1")
    for at in range(len(data)):
        for value in (0, 255, data[at] ^ 1):
            try:
                read_client_hello(data[:at] + bytes((value,)) + data[at + 1 :])
            except ValueError:
                continue
