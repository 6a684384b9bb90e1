"""What passes through is byte-equal, and differs in the documented fields only (P10, P11)."""

import itertools
from collections.abc import Iterator
from random import Random

import pytest

from tests.fuzz.parsers import Judge
from tests.fuzz.strict import Request, read_requests
from tests.support.plane import INSTANCE, Plane, running_plane, settings_for
from tests.support.recording import Recording
from tests.support.upstream import scripted

TARGETS = 300
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND")
CODINGS = (b"", b"gzip", b"br", b"deflate", b"zstd", b"x-unknown")
FRAMINGS = ("none", "length", "chunked")
FIELDS = (
    b"host: a.example:8080\r\nACCEPT:text/html,  */*;q=0.8\t\r\nx-Empty:\r\nX-Twice: "
    b"1\r\nx-twice: 2\r\n"
    b"Authorization: Basic dTpw\r\nCookie: a=1; a=2\r\nRange: bytes=0-9\r\nX-Utf: "
    b"\xc3\xa4\xff\r\nForwarded: for=x\r\n"
)
KEPT = FIELDS.partition(b"\r\n")[2]
ANSWER_FIELDS = (
    b"server: x\r\nSET-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nDate: now\r\nX-Odd:  \xff "
    b"\r\nLocation: /%2F?\r\n"
    b"Vary: *\r\nETag: W/\"x\"\r\nVia: 1.0 there\r\nContent-Encoding: "
)  # fmt: skip
PATH_BYTES = bytes(byte for byte in range(0x21, 0x7F) if byte not in b"#")
PIECES = (
    b"%2F", b"%2e%2E", b"//", b"/./", b"/../", b";a=b", b"+", b"%00", b"%", b"%zz", b"?", b"&&", b"=", b"\\", b"|",
    b"{}", b'"',
)  # fmt: skip


def answer(request: Request) -> bytes:
    """Send the body back under a coding that may or may not be true of it."""
    coding = (request.values(b"content-encoding") or [b"none"])[0]
    head = b"HTTP/1.1 200 Fine, thanks\r\n" + ANSWER_FIELDS + coding + b"\r\n"
    if request.method == b"HEAD":
        return head + b"Content-Length: 7\r\n\r\n"
    if request.values(b"transfer-encoding"):
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(request.body),
            request.body,
        )

    return head + b"Content-Length: %d\r\n\r\n" % len(request.body) + request.body


@pytest.fixture(scope="module")
def recording() -> Recording:
    """The upstream."""
    return Recording(answer)


@pytest.fixture(scope="module")
def plane(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A plane before it."""
    directory = tmp_path_factory.mktemp("plane")
    with scripted(recording) as url, running_plane(settings_for(url), directory) as running:
        yield running


def targets() -> list[bytes]:
    """Paths and queries of every byte that may stand in one, and of all that is odd."""
    random = Random(3)
    found = [b"/" + bytes([byte]) for byte in PATH_BYTES] + [b"/" + piece for piece in PIECES]
    while len(found) < TARGETS:
        pieces = [
            random.choice(PIECES) if random.random() < 0.5 else random.randbytes(3).hex().encode()
            for _ in range(5)
        ]
        found.append(b"/" + b"".join(pieces))

    return found[:TARGETS]


def request(method: bytes, target: bytes, coding: bytes, framing: str, body: bytes) -> bytes:
    """One request as a client writes it."""
    head = method + b" " + target + b" HTTP/1.1\r\n" + FIELDS
    if coding:
        head += b"Content-Encoding: " + coding + b"\r\n"
    if framing == "none":
        return head + b"\r\n"
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """The parsers of others."""
    found = Judge()
    yield found
    found.close()


def test_targets_methods_and_codings_pass_byte_for_byte(
    plane: Plane, recording: Recording, judge: Judge
) -> None:
    """300 targets with each method, codings and framings in turn: request and answer differ by our
    own fields only.

    And what is forwarded is read by every parser as what was sent.
    """
    turns = itertools.cycle(itertools.product(CODINGS, FRAMINGS))
    random = Random(4)
    with plane.connect() as client:
        for target in targets():
            cases = [
                (method, *next(turns), random.randbytes(random.choice((1, 40, 900))))
                for method in METHODS
            ]
            client.send(b"".join(request(m, target, c, f, body) for m, c, f, body in cases))
            answers = [client.answer(method.decode()) for method, *_ in cases]
            records = plane.exchanges(len(cases))
            rest = b"".join(recording.take())
            sent = [
                (method, target, b"" if framing == "none" else body)
                for method, _, framing, body in cases
            ]
            assert judge.disagreement(rest, sent) == ""

            for case, found, record in zip(cases, answers, records, strict=True):
                rest = _check_forwarded(rest, target, *case)
                body = b"" if case[2] == "none" or case[0] == b"HEAD" else case[3]
                _check_answered(found.head, found.body, body, case[1])
                assert record.response_window == body

            assert rest == b""


def _check_forwarded(
    raw: bytes, target: bytes, method: bytes, coding: bytes, framing: str, body: bytes
) -> bytes:
    """Compare the next forwarded request, to the byte; return what follows it."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    line, host, lines = head.split(b"\r\n", 2)
    assert line == method + b" " + target + b" HTTP/1.1"
    assert host == b"Host: a.example:8080"
    kept = KEPT + (b"Content-Encoding: " + coding + b"\r\n" if coding else b"")
    assert (lines + b"\r\n").startswith(kept)
    added = (lines + b"\r\n")[len(kept) :].split(b"\r\n")[:-1]
    size = {
        "none": [],
        "length": [b"Content-Length: %d" % len(body)],
        "chunked": [b"Transfer-Encoding: chunked"],
    }[framing]
    assert added[:-1] == [
        b"X-Sidelog-Hop: " + INSTANCE.encode(),
        *size,
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: a.example:8080",
    ]
    assert added[-1].startswith(b"X-Request-Id: ")
    message = read_requests(raw, is_canonical=True).messages[0]
    assert message.body == (b"" if framing == "none" else body)
    if framing == "none":
        return rest
    if framing == "length":
        return rest[len(body) :]

    return rest[len(b"%x" % len(body)) + len(body) + 9 :]


def _check_answered(head: bytes, found: bytes, body: bytes, coding: bytes) -> None:
    """Compare a response with what the upstream sent."""
    assert found == body
    line, _, lines = head.partition(b"\r\n")
    assert line == b"HTTP/1.1 200 Fine, thanks"
    sent = ANSWER_FIELDS + (coding or b"none") + b"\r\n"
    assert lines.startswith(sent)
    framing, identity, *end = lines[len(sent) :].split(b"\r\n")
    assert framing.startswith((b"Content-Length: ", b"Transfer-Encoding: chunked"))
    assert identity.startswith(b"X-Sidelog-Id: ")
    assert end == [b"", b""]
