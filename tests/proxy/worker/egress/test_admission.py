"""The heads of outgoing calls. How they pass: `test_client.py` and `test_destinations.py`."""

import json
from pathlib import Path

from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF
from proxy.worker.egress.admission import without_proxy_fields
from tests.support.cases import each_of
from tests.support.outgoing import HOST, host, outgoing
from tests.support.plane import settings_for
from tests.support.upstream import read_head, running, scripted, service


@each_of(
    ("lines", "kept"),
    [
        (b"Host: a\r\nAccept: b", b"Host: a\r\nAccept: b"),
        (b"proxy-AUTHORIZATION: Basic x\r\nHost: a", b"Host: a"),
        (b"A: b\r\nProxy-Authorization: Basic\r\n x\r\n\ty:z\r\nw\r\nC: d", b"A: b\r\nC: d"),
        (b"A: b\r\n c\r\nHost: a", b"A: b\r\n c\r\nHost: a"),
        (
            b"Connection: X-One , close\r\nx-one: 1\r\nTwo: 2",
            b"Connection: X-One , close\r\nTwo: 2",
        ),
    ],
)
def test_what_is_for_the_proxy_alone_is_left_out(lines: bytes, kept: bytes) -> None:
    head = b"GET http://a/ HTTP/1.1\r\n%b\r\n\r\n"
    assert without_proxy_fields(head % lines) == head % kept


def test_heads_that_differ_in_values_alone_are_sent_as_they_are(tmp_path: Path) -> None:
    """They share what is remembered of them."""
    seen: list[bytes] = []

    def serve(connection: object, number: int) -> None:
        while head := read_head(connection):  # type: ignore[arg-type]
            seen.append(head)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]

    sent = [
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: c=%d\r\nAuthorization: Bearer %d\r\n"
        b"X-Request-Id: %d\r\n\r\n" % (number, number, number)
        for number in range(3)
    ]
    with scripted(serve) as url, outgoing(tmp_path, hosts=("*",)) as port:
        with port.connect_to(url.removeprefix("http://")) as client:
            for head in sent:
                client.send(head)
                assert client.answer().status == 204
        port.plane.exchanges(3)
    via = b"Via: 1.1 sidelog\r\nX-Request-Id: "
    assert seen == [head.replace(b"X-Request-Id: ", via) for head in sent]


def test_of_a_host_that_is_not_to_be_read_no_content_is_kept(tmp_path: Path) -> None:
    """Even where it is not secured: no more is known than of a tunnel, and of a call's model neither."""
    with running(service()) as url, outgoing(tmp_path, tunnel=("127.0.0.1",)) as port:
        with port.connect() as client:
            target = f"{url}/v1/chat/completions?q=secret"
            client.send(
                f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret".encode()
            )
            answer = client.answer()
        record = port.plane.exchange()
    assert answer.status == 200
    assert record.flags & FLAG_HEADS_OFF
    assert record.flags & FLAG_BODIES_OFF
    assert record.request_head == f"POST {url} HTTP/1.1\r\n\r\n".encode()
    assert not record.request_window
    assert not record.response_window
    assert (record.request_bytes, record.response_bytes) == (6, len(answer.body))


@each_of("lines", [b"", b"Host:\r\n"])
def test_a_request_without_a_host_gets_that_of_connect(tmp_path: Path, lines: bytes) -> None:
    """As HTTP/1.0 allows."""
    with running(service()) as url, outgoing(tmp_path, hosts=("*",)) as port:
        authority = url.removeprefix("http://")
        with port.connect_to(authority) as client:
            client.send(b"GET / HTTP/1.0\r\n%b\r\n" % lines)
            answer = client.answer()
        port.plane.exchange()
    assert ["Host", authority] in json.loads(answer.body)["headers"]


def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    settings = settings_for("http://127.0.0.1:9", max_body_bytes=10)
    with (
        host(tmp_path) as authority,
        outgoing(tmp_path, settings=settings, hosts=(HOST,)) as port,
        port.secured(port.connect_to(authority), HOST) as client,
    ):
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n12345678901")
        assert client.answer().status == 413
        assert port.plane.exchange().status == 413
