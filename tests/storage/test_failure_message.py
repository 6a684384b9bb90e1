"""What an exchange said when it failed, and the line that failures of one kind share."""

from typing import Any

from storage.failure_message import MAX_LINE_CHARACTERS, error_message, failure_line, line_of
from storage.record import Stream
from tests.api.samples import make_body, make_payload, make_record
from tests.support.cases import each_of


@each_of(
    ("message", "line"),
    [
        ("no such user", "no such user"),
        ("no such user 17", "no such user …"),
        ("user u-17 of acme@example.com, id 7f3c9e0a, is gone", "user … of …, id …, is gone"),
        ("  spaces\tand\n a second line", "spaces and"),
        ("\n\r\n later", "later"),
        ("ids 1, 2, 3 and 4", "ids … and …"),
        ("timeout after 30.5s at 10:00:59", "timeout after … at …"),
        ("GET https://a.example/users/7?x=1 failed", "GET https:… failed"),
        ("open /etc/hosts: permission denied", "open …: permission denied"),
        ("src/app/main.py is missing, or lib/a.py", "… is missing, or …"),
        ("read and/or write", "read and/or write"),
        ("field 'email' is required", "field 'email' is required"),
        ("order \"A17\" and 'B18'", "order \"…\" and '…'"),
        ("java.lang.NullPointerException: x is null", "java.lang.NullPointerException: x is null"),
        ("C:\\Users\\ann", "C:…"),
        ("17", "…"),
        ("", None),
        (" \n ", None),
    ],
)
def test_what_differs_each_time_is_left_out(message: str, line: str | None) -> None:
    """Numbers, ids, addresses and paths; the words stay, and are a line of their own again."""
    assert line_of(message) == line
    assert line is None or line_of(line) == line


def test_a_line_has_an_end() -> None:
    """However long the message is, with or without spaces."""
    for message in ("word " * 10_000, "w" * 100_000, "… " * 100_000):
        assert len(line_of(message) or "") <= MAX_LINE_CHARACTERS


@each_of(
    ("changes", "kind", "body", "said"),
    [
        ({"status": 404}, "application/json", b'{"message": "no user 7"}', "no user …"),
        ({"status": 404}, "text/plain; charset=utf-8", b"no user 7\nnot at all\n", "no user …"),
        ({"status": 404}, "text/html", b"no user 7", None),
        ({"status": 404}, "text/plain", b"", None),
        ({"status": 502}, "text/plain", b"\xff\xfe no", "\ufffd\ufffd no"),
        ({"status": 200, "outcome": "client_closed"}, "text/plain", b"hello", None),
        ({"status": 200}, "application/json", b'{"message": "no user 7"}', None),
        (
            {"status": 502, "data": b'{"error_message": "refused by 10.0.0.7"}'},
            "text/plain",
            b"x",
            "refused by …",
        ),
    ],
)
def test_words_come_from_a_note_or_from_the_response(
    changes: dict[str, Any], kind: str, body: bytes, said: str | None
) -> None:
    """From plain text the first line, where the status says that it is a refusal."""
    payload = make_payload(None, make_body(body))
    payload.response_head = f"HTTP/1.1 404 Not Found\r\nContent-Type: {kind}\r\n".encode()
    assert failure_line(make_record(1, **changes), payload) == said
    assert error_message(make_record(1, status=404), None) is None


@each_of(
    ("names", "note", "said"),
    [
        (["search2"], "search2: no page 7", "search2: no page …"),
        (["a", "b", "a"], "a, b: no page 7", "a, b: no page …"),
        (["search2"], "search2", "search2"),
        (["search2"], "overloaded for 7 s", "overloaded for … s"),
    ],
)
def test_the_names_of_tools_stay_as_they_are(names: list[str], note: str, said: str) -> None:
    """Before what the first of them said, unless something else is the reason."""
    stream = Stream(None, None, None, True, failed_tools=names)
    data = f'{{"error_message": "{note}"}}'.encode()
    assert (
        failure_line(make_record(1, error_type="tool_error", stream=stream, data=data), None)
        == said
    )
