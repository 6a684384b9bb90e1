"""The proxy's own answers: JSON, one header that names the code, and what each status asks for."""

import json
import ssl

import pytest

from proxy.http1.errors import STATUS_OF, error_response, no_route, shown, why_unreached
from proxy.http1.response_head import parse_response_head
from proxy.ring.exchange import ERROR_CODES
from tests.support.cases import each_of


@each_of("code", sorted(STATUS_OF))
def test_every_code_has_a_well_formed_answer(code: str) -> None:
    """Head and body fit each other, and every code can be recorded."""
    assert code in ERROR_CODES
    for close in (False, True):
        head, body = error_response(
            code, 'why "it" \u00e4', close=close, record_id_line=b"X-Id: 1\r\n"
        )
        parsed = parse_response_head(head, max_headers=20)
        assert (parsed.status, parsed.content_length) == (STATUS_OF[code], len(body))
        assert json.loads(body) == {"error": {"code": code, "message": 'why "it" \u00e4'}}
        assert b"X-Sidelog-Error: " + code.encode() + b"\r\n" in head
        assert b"X-Id: 1\r\n" in head
        assert parsed.is_keep_alive is not close
        assert (b"Retry-After: 1\r\n" in head) is (STATUS_OF[code] == 503)
        assert (b"Allow: " in head) is (STATUS_OF[code] == 405)
        assert (b"WWW-Authenticate: " in head) is (STATUS_OF[code] == 401)


@each_of(
    ("value", "expected"),
    [
        (b"GET /a?otp=1 x HTTP/1.1", "'GET /a?...'"),
        (b"http://bob:pw@h/a", "'http://...@h/a'"),
        (b"bob:p?w@h", "'...@h'"),
        (b"bob:pw@h", "'...@h'"),
        (b"password=x&a=1", "'password=...'"),
        (b"/a;b=c#d", "'/a;...'"),
        (b"/" + b"a" * 100, repr("/" + "a" * 79)),
        (b"", "''"),
    ],
)
def test_what_is_shown_of_a_target_is_no_secret(value: bytes, expected: str) -> None:
    """Neither of users nor of parameters, wherever the text would be cut."""
    assert shown(value) == expected


@each_of(
    ("target", "path"),
    [
        (b"/a/b?key=S", b"/a/b"),
        (b"/a;jwt=S/b", b"/a"),
        (b"/a#S", b"/a"),
        (b"/a/" + b"b" * 70 + b"/ghp_" + b"S" * 36, b"/a/" + b"b" * 70 + b"/..."),
        (b"/" + b"S" * 100, b"/..."),
    ],
)
def test_no_route_shows_no_secret_of_a_target(target: bytes, path: bytes) -> None:
    """Neither parameters, which nothing would recognise in a sentence, nor half a segment."""
    assert (
        no_route(b"a.example", target).message
        == f"no route for host 'a.example' and path {path.decode()!r}"
    )


def test_why_there_is_no_connection_is_said_in_words() -> None:
    """Of https:// before a port without TLS, too, over which OpenSSL speaks of a version number."""
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        ssl.create_default_context().wrap_bio(
            incoming, ssl.MemoryBIO(), server_hostname="a"
        ).do_handshake()

    assert why_unreached(caught.value) == "the port does not speak TLS, as in http://"
    assert why_unreached(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert why_unreached(UnicodeError("label too long")) == "label too long"

    # As aiohttp says it of what asyncio says.
    wrapped = RuntimeError("Cannot connect to host a:1 ssl:default")
    wrapped.__cause__ = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")
    assert why_unreached(wrapped) == "Connection refused"
