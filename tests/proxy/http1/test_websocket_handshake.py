"""Whether a service agrees to a WebSocket: by the example of RFC 6455 §1.3."""

from proxy.http1.websocket_handshake import agrees
from tests.support.cases import each_of

REQUEST = b"GET /chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
ANSWER = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def response(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 101 Switching Protocols", *lines, b"", b""))


def test_the_answer_to_the_key_agrees() -> None:
    """Whatever the case of the names, and blanks around the values."""
    assert agrees(REQUEST, response(b"Sec-WebSocket-Accept: " + ANSWER))
    assert agrees(
        REQUEST, response(b"upgrade: websocket", b"sec-websocket-accept:\t" + ANSWER + b" ")
    )


@each_of(
    "lines",
    [
        (),
        (b"Sec-WebSocket-Accept:",),
        (b"Sec-WebSocket-Accept: " + ANSWER.swapcase(),),
        (b"Sec-WebSocket-Accept: " + ANSWER, b"Sec-WebSocket-Accept: " + ANSWER),
        (b"X-Sec-WebSocket-Accept: " + ANSWER,),
    ],
)
def test_anything_else_does_not(lines: tuple[bytes, ...]) -> None:
    """A missing, another, a repeated answer, and one under another name."""
    assert not agrees(REQUEST, response(*lines))


def test_without_a_key_there_is_no_answer() -> None:
    assert not agrees(b"GET / HTTP/1.1\r\n\r\n", response(b"Sec-WebSocket-Accept: " + ANSWER))
