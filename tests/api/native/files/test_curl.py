"""The curl line of a record sends what was recorded, and says what it cannot."""

import http.server
import shlex
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from api.native.files.curl import curl_of
from proxy.process.terminal import visible
from storage.record import Body, Payload, Record
from tests.storage.samples import make_record
from tests.support.cases import each_of
from tests.support.programs import PROGRAM_S, find

HOSTILE = (
    "plain", "it's", '"quoted"', "$(touch x)", "`id`", "a b\tc", "@/etc/passwd", "-o x", "!!", "ü€", "\\", "*?[a]",
)  # fmt: skip


Shown = tuple[Record, Payload | None]


def body(content: str | bytes = "", **changes: Any) -> Body:
    """A whole body."""
    raw = content.encode() if isinstance(content, str) else content
    return msgspec.structs.replace(Body(raw, b"", len(raw), False, None, None), **changes)


def record(
    headers: list[list[str]] | None = None,
    content: Body | None = None,
    head: bytes | None = None,
    **changes: Any,
) -> Shown:
    """A record of a request with some headers, or with a head as it was stored."""
    if head is None:
        lines = [f"{name}: {value}" for name, value in headers or []]
        head = "\r\n".join(["GET /p HTTP/1.1", *lines]).encode()
    made = make_record(**({"host": "app", "path": "/p"} | changes))
    return made, Payload(head, b"", content, None)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


class Heard(http.server.BaseHTTPRequestHandler):
    """Remembers the last request."""

    last: dict[str, Any] = {}  # noqa: RUF012 - of the one server of a test

    def answer(self) -> None:
        """Read everything and answer shortly."""
        length = int(self.headers.get("Content-Length") or 0)
        Heard.last = {
            "line": self.requestline,
            "headers": [
                [name, _text(value.encode("latin-1"))] for name, value in self.headers.items()
            ],
            "body": self.rfile.read(length),
        }
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = answer
    do_POST = answer
    do_PUT = answer
    do_DELETE = answer
    do_HEAD = answer
    do_PATCH = answer
    do_OPTIONS = answer

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that remembers; its authority."""
    find("curl")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def replay(line: str) -> dict[str, Any]:
    """Run a line in a shell; return what arrived."""
    Heard.last = {}
    subprocess.run(["sh", "-c", line], check=True, capture_output=True, timeout=PROGRAM_S)
    return Heard.last


def arrived(server: str, shown: Shown) -> dict[str, Any]:
    """Replay a record of which nothing is missing."""
    shown[0].host = server
    line = curl_of(*shown)
    assert line.notes == []
    return replay(line.command)


@pytest.mark.parametrize("value", HOSTILE)
def test_values_arrive_as_they_were(server: str, value: str) -> None:
    """Header, query and body reach the server byte for byte, whatever a shell or curl would make of
    them.
    """
    headers = [["x-value", value.strip()], ["user-agent", "mine/1"], ["content-type", "text/plain"]]
    query = "a=" + value.translate(str.maketrans(" \tü€", "++++"))
    got = arrived(server, record(headers, body(value + "\r\nend"), method="POST", query=query))
    assert got["line"] == f"POST /p?{query} HTTP/1.1"
    assert got["body"].decode() == value + "\r\nend"
    assert ["x-value", value.strip()] in got["headers"]


def test_octets_beyond_ascii_arrive_as_they_were(server: str) -> None:
    """Values that are no UTF-8 are shown as Latin-1, and marked; the line itself is safe to show."""
    head = (
        b"GET /p HTTP/1.1\r\nX-A: caf\xe9\r\nX-B: caf\xc3\xa9\r\nX-C: '\xff\x80\"$(a)\r\nX-D: "
        b"\xe9[REDACTED]\r\n"
    )
    line = curl_of(*record(head=head, host=server))
    assert line.command.replace("\n", "").isprintable()
    got = dict(replay(line.command)["headers"])
    assert (got["X-A"], got["X-B"], got["X-C"], got["X-D"]) == (
        "caf\udce9", "caf\xe9", "'\udcff\udc80\"$(a)", "\udce9<X-D>",
    )  # fmt: skip


def test_octets_of_a_target_arrive_as_they_were(server: str) -> None:
    """As text in UTF-8 does."""
    head = b"GET /caf\xe9?q=\xe9'&u=\xc3\xa9 HTTP/1.1\r\n"
    shown = record(head=head, path="/caf%E9", query="q=%E9'&u=%C3%A9")
    line = arrived(server, shown)["line"]
    assert line.encode("latin-1") == b"GET /caf\xe9?q=\xe9'&u=\xc3\xa9 HTTP/1.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
def test_methods_arrive_and_nothing_is_added(server: str, method: str) -> None:
    """Without headers and body, only Host comes; the path is not tidied up."""
    got = arrived(server, record(method=method, path="/a/../b//%2e"))
    assert got["line"] == f"{method} /a/../b//%2e HTTP/1.1"
    assert [name for name, _ in got["headers"]] == ["Host"]
    assert got["body"] == b""


def test_a_target_that_is_no_path_arrives(server: str) -> None:
    """`OPTIONS *` asks the server as a whole (RFC 9112 §3.2.4)."""
    assert arrived(server, record(method="OPTIONS", path="*"))["line"] == "OPTIONS * HTTP/1.1"


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("content", [None, body()])
def test_an_empty_body_arrives_as_one(server: str, method: str, content: Body | None) -> None:
    """What was said to be empty is said so again, and gets no type."""
    got = arrived(server, record([["content-length", "0"]], content, method=method))
    assert got["line"].startswith(f"{method} ")
    assert [pair for pair in got["headers"] if pair[0] != "Host"] == [["Content-Length", "0"]]


def test_a_head_request_has_no_body() -> None:
    """curl cannot send one with it, and the note says so."""
    line = curl_of(*record([["content-length", "1"]], body("x"), method="HEAD"))
    assert ("--data-raw" in line.command, line.notes) == (False, ["curl sends no body with HEAD"])


def test_repeated_and_empty_headers_arrive(server: str) -> None:
    """Each field line is one of its own, an empty one is there, and what a connection needs is
    curl's business.
    """
    headers = [
        ["x-a", "1"],
        ["x-a", "2"],
        ["x-empty", ""],
        ["connection", "close"],
        ["accept", "*/*"],
    ]
    got = arrived(server, record(headers))
    kept = [pair for pair in got["headers"] if pair[0] != "Host"]
    assert kept == [["x-a", "1"], ["x-a", "2"], ["x-empty", ""], ["accept", "*/*"]]


def test_bytes_arrive(server: str) -> None:
    """A body that is no text is sent as its bytes."""
    raw = bytes(range(256))
    shown = record([["content-type", "x/y"]], body(raw), method="PUT")
    assert arrived(server, shown)["body"] == raw


@pytest.mark.parametrize(
    ("charset", "raw"),
    [("shift_jis", "日本".encode("shift_jis")), ("utf-8-sig", b"\xef\xbb\xbf{}")],
)
def test_a_text_arrives_in_its_charset(server: str, charset: str, raw: bytes) -> None:
    """As it was sent, a byte order mark included."""
    content = body(raw.decode(charset), size=len(raw), charset=charset)
    assert arrived(server, record(content=content, method="POST"))["body"] == raw


def test_a_text_with_nul_arrives(server: str) -> None:
    """No argument of a command can hold that byte, so it is sent as bytes are."""
    got = arrived(server, record(content=body("a\0b\n\0"), method="POST"))
    assert got["body"] == b"a\0b\n\0"


def test_a_secret_beside_nul_is_said() -> None:
    """What cannot be seen in the line has its note all the same."""
    line = curl_of(*record(content=body("\0[REDACTED]"), method="POST"))
    assert line.notes == ["the body held a secret: replace [REDACTED]"]


def test_an_old_version_stays_old(server: str) -> None:
    """HTTP/1.0 is asked as HTTP/1.0."""
    assert arrived(server, record(http_version="1.0"))["line"].endswith("HTTP/1.0")


@each_of(
    ("shown", "words", "note"),
    [
        (
            record([["authorization", "Bearer [REDACTED]"]]),
            "authorization: Bearer <authorization>",
            "authorization",
        ),
        (record(query="key=[REDACTED:1a2b]"), "http://app/p?key=REDACTED", "URL held a secret"),
        (
            record(content=body('{"k": "[REDACTED]"}')),
            '{"k": "[REDACTED]"}',
            "body held a secret",
        ),
        (record(content=body("short", size=99)), "short", "this is not the original"),
        (record(content=body("x", size=99, truncated=True)), "@request-body", "in part only"),
        (record(content=body(size=99, omitted="level")), "@request-body", "not kept (level)"),
        (record(content=body("x", coding="gzip", size=21)), "--data-raw x", "sent as gzip"),
        (
            (make_record(host="app", path="/p"), None),
            "--url http://app/p",
            "neither headers nor body",
        ),
        (record(status=101, outcome="ok"), "--url http://app/p", "upgraded"),
        (record(status=101, http_version="2"), "--http1.1 --url http://app/p", "upgraded"),
        (
            record(status=101),
            "--header Connection: Upgrade --header Upgrade: websocket",
            "upgraded",
        ),
    ],
)
def test_what_is_missing_is_marked_and_said(shown: Shown, words: str, note: str) -> None:
    """A secret is a placeholder, a cut body a file, and each has its note."""
    line = curl_of(*shown)
    assert words in " ".join(shlex.split(line.command.replace("\\\n", "")))
    assert any(note in text for text in line.notes), line.notes


def test_a_coding_that_was_undone_is_not_claimed() -> None:
    """A body that is sent decoded has no Content-Encoding."""
    shown = record([["Content-Encoding", "gzip"]], body("x", coding="gzip", size=21), method="POST")
    assert "ncoding" not in curl_of(*shown).command


def test_an_answer_is_asked_for_in_codings_curl_can_undo() -> None:
    """Accept-Encoding becomes --compressed, so that the terminal gets text."""
    command = curl_of(*record([["Accept-Encoding", "gzip, zstd"]])).command
    assert "--compressed" in command
    assert "zstd" not in command


def test_an_event_is_no_exchange() -> None:
    """There is no command for it."""
    line = curl_of(make_record(kind="event"), None)
    assert line.command == ""
    assert line.notes


def test_the_line_itself_is_safe_to_show() -> None:
    """Nothing a terminal would obey is in it, wherever it was recorded; any POSIX shell makes the
    bytes anew.
    """
    hostile = "\x1b]0;pwned\x07\x1b[2J\r\x9b\u202e\x7f"
    line = curl_of(
        *record(
            [["x", hostile]],
            body(hostile),
            method="POST",
            path=f"/{hostile}",
            query=hostile,
            host=hostile,
        )
    ).command
    assert line == visible(line)
    assert visible(hostile) not in line
    words = line.replace("\\\n", "").replace("curl ", "printf '%s\\n' ", 1)
    shown = subprocess.run(["sh", "-c", words], capture_output=True, check=True).stdout.decode()
    assert shown.count(hostile) == 5
