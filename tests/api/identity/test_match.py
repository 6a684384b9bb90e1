"""How alike two requests are, and by which headers."""

from api.identity.match import (
    Level,
    accepts,
    differences,
    header_level,
    keys_of,
    level_of,
    read_answer,
)
from api.identity.request import Request, request_of
from storage.record import Payload, Record
from tests.support.cases import each_of


def request(
    target: str = "/u/7", lines: str = "", endpoint: str = "/u/{id}", method: str = "GET"
) -> Request:
    path, mark, query = target.partition("?")
    record = Record(
        1, b"", "", "exchange", 0, 0, method=method, path=path, query=query if mark else None
    )
    record.endpoint = endpoint
    return request_of(record, Payload(f"GET / HTTP/1.1\r\n{lines}".encode(), b"", None, None))


@each_of(
    ("asked", "level"),
    [
        (request(), Level.EXACT),
        (request("/u/8"), Level.SAME),
        (request("/u/7?_=1718201234567"), Level.ENDPOINT),
        (request("/u/7?a=1"), Level.ENDPOINT),
        (request("/v/7", endpoint="/v/{id}"), Level.NONE),
        (request(method="PUT"), Level.NONE),
        (request(lines="Range: bytes=0-1"), Level.SAME),
    ],
)
def test_strength_is_that_of_the_strongest_equal_key(asked: Request, level: Level) -> None:
    """And of what the headers allow."""
    record = Record(1, b"", "", "exchange", 0, 0, status=200)
    assert level_of(request(), read_answer(record, None), asked) == level


def test_keys_leave_out_what_is_set_apart() -> None:
    """The second key volatile values, the third ids as well."""
    first, second = (keys_of(request(f"/u/7?nonce={number}")) for number in (1, 2))
    assert first.exact != second.exact
    assert first[1:] == second[1:]
    other = keys_of(request("/u/8?nonce=1"))
    assert other.stable != first.stable
    assert other.loose == first.loose


@each_of(
    ("status", "vary", "recorded", "asked", "level", "by"),
    [
        (200, "", "X: 1", "X: 2", Level.EXACT, ""),
        (200, "x", "X: 1", "X: 2", Level.NONE, "x"),
        (200, "X, accept-encoding", "X: 1\r\nAccept-Encoding: br", "X:  1", Level.EXACT, ""),
        (200, "*", "X: 1", "X: 2", Level.EXACT, ""),
        (200, "", "Accept: text/html", "Accept: text/*", Level.SAME, "accept"),
        (200, "Accept", "Accept: text/html", "Accept: image/png", Level.NONE, "accept"),
        (200, "", "", "SOAPAction: x", Level.NONE, "soapaction"),
        (200, "", "", "Range: bytes=0-1", Level.SAME, "range"),
        (206, "", "Range: bytes=0-1", "Range: bytes=0-2", Level.NONE, "range"),
        (206, "", "Range: bytes=0-1", "", Level.NONE, "range"),
        (200, "", 'If-None-Match: "a"', "", Level.EXACT, ""),
        (304, "", 'If-None-Match: "a"', "", Level.NONE, "if-none-match"),
        (304, "", 'If-None-Match: "a"', 'If-None-Match: "a"', Level.EXACT, ""),
    ],
)
def test_the_answer_says_which_headers_count(
    status: int, vary: str, recorded: str, asked: str, level: Level, by: str
) -> None:
    """Those it varies by, and those that choose what is sent."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nVary: {vary}".encode()
    record = Record(1, b"", "", "exchange", 0, 0, status=status)
    answer = read_answer(record, Payload(b"", head, None, None))
    assert header_level(request(lines=recorded), answer, request(lines=asked)) == (level, by)


@each_of(
    ("accept", "media_type", "is_accepted"),
    [
        ("", "a/b", True),
        ("*/*", "a/b", True),
        ("a/*", "a/b", True),
        ("A/B;level=1", "a/b", True),
        ("a/c", "a/b", False),
        ("a/b;q=0", "a/b", False),
        ("a/b;q=0, */*", "a/b", False),
        ("a/*;q=0, a/b", "a/b", True),
        ("a/b;q=x", "a/b", False),
        ("a/b;q=0.5;level=1", "a/b", True),
        ("a/c", "", True),
    ],
)
def test_a_type_is_acceptable_by_the_most_specific_range(
    accept: str, media_type: str, is_accepted: bool
) -> None:
    """RFC 9110 §12.5.1."""
    assert accepts(accept, media_type) is is_accepted


def test_differences_are_named_with_both_values() -> None:
    """In the order of the request, the header last; long ones are cut."""
    record = Record(1, b"", "", "exchange", 0, 0, status=200)
    answer = read_answer(record, Payload(b"", b"HTTP/1.1 200 OK\r\nVary: x", None, None))
    recorded = request("/u/7?a=1&b=2", "X: 1")
    asked = request(f"/u/8?a={'9' * 200}&c=3")
    assert differences(recorded, answer, asked) == [
        'path[2]: "7" recorded, "8" asked for',
        f'query.a[0]: "1" recorded, "{"9" * 79}… asked for',
        'query.c: nothing recorded, ["3"] asked for',
        'query.b: ["2"] recorded, nothing asked for',
        'header:x: "1" recorded, nothing asked for',
    ]
