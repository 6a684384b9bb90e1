"""What answers mean."""

from proxy.otel.answers import MAX_RETRY_AFTER_S, MAX_TRIES, Answer, Later, Refused, Taken, judge
from tests.support.cases import each_of

NOW_S = 1_790_000_000.0


def verdict(
    status: int, body: bytes = b"", retry_after: str = "", tries: int = 1
) -> Taken | Later | Refused:
    """What an answer to ten spans means."""
    return judge(Answer(status, retry_after, "application/json", body), 10, tries, NOW_S)


@each_of(
    ("body", "rejected", "message"),
    [
        (b"", 0, ""),
        (b"{}", 0, ""),
        (b'{"partialSuccess": {}}', 0, ""),
        (b'{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}', 3, "too old"),
        (b'{"partialSuccess": {"rejectedLogRecords": 4}}', 4, ""),
        (b'{"partialSuccess": {"rejectedSpans": "99"}}', 10, ""),
        (b'{"partialSuccess": {"rejectedSpans": "-1"}}', 0, ""),
        (b'{"partialSuccess": {"errorMessage": "mind the limit"}}', 0, "mind the limit"),
        (b'{"partialSuccess": {"errorMessage": "one\\n two"}}', 0, "one two"),
        (
            b'{"partialSuccess": {"rejectedSpans": 5, "rejectedLogRecords": null, "errorMessage": '
            b"null}}",
            5,
            "",
        ),
        (b'{"partialSuccess": {"errorMessage": "\xff"}}', 0, ""),
        (b"\x0a\x00 no JSON", 0, ""),
        (b'{"more":' + b"[" * 60_000, 0, ""),
    ],
)
def test_what_was_taken_may_lack_some(body: bytes, rejected: int, message: str) -> None:
    """`partialSuccess` says how many were refused, never more than were sent."""
    assert verdict(200, body) == Taken(rejected, message)


@each_of(
    ("status", "reason"),
    [
        (429, "throttled"), (502, "server_error"), (503, "server_error"), (504, "server_error"),
        (500, "server_error"), (401, "wrong_address"), (403, "wrong_address"), (404, "wrong_address"),
        (301, "wrong_address"), (101, "wrong_address"),
        (402, "refused"), (406, "refused"), (408, "server_error"), (411, "refused"), (415, "refused"), (451, "refused"),
    ],
)  # fmt: skip
def test_what_is_to_be_sent_again(status: int, reason: str) -> None:
    """The receiver has no time, or is not the one that was meant."""
    judged = verdict(status)
    assert isinstance(judged, Later)
    assert (judged.reason, judged.message, judged.after_s) == (reason, f"status {status}", None)


@each_of("status", [301, 302, 307, 308])
def test_a_redirect_is_named(status: int) -> None:
    """It is not followed: with what is sent, credentials would go to whoever is named."""
    judged = judge(Answer(status, location="https://new.example/v1/traces\nx"), 10, 1, NOW_S)
    moved = f"status {status}: it is moved to https://new.example/v1/traces x"
    assert judged == Later("wrong_address", moved)


@each_of(
    ("content_type", "body"),
    [
        ("text/html", b""),
        ("text/html", b"Sign in"),
        ("", b"\n <!DOCTYPE html><form>"),
        ("text/plain", b"<html>"),
    ],
)
def test_a_page_is_no_success(content_type: str, body: bytes) -> None:
    """Whatever its status: a login, or another program at the address."""
    judged = judge(Answer(200, "", content_type, body), 10, 1, NOW_S)
    assert isinstance(judged, Later)
    assert judged.reason == "wrong_address"
    assert judged.message == "status 200: a page, as of a login, and no answer of OTLP"


@each_of(
    ("retry_after", "after_s"),
    [
        ("7", 7.0),
        ("Mon, 21 Sep 2026 14:13:30 GMT", 10.0),
        ("Mon, 21 Sep 2020 14:13:30 GMT", 0.0),
        ("99999999", MAX_RETRY_AFTER_S),
        ("soon", None),
        ("", None),
    ],
)
def test_a_receiver_says_when(retry_after: str, after_s: float | None) -> None:
    """In seconds or by a date, within a bound."""
    judged = verdict(503, retry_after=retry_after)
    assert isinstance(judged, Later)
    assert judged.after_s == after_s


@each_of(
    ("status", "body", "message"),
    [
        (400, b'{"code": 3, "message": "invalid\\n trace id"}', "status 400: invalid trace id"),
        (413, b"too large", "status 413: too large"),
        (422, b'{"message": 7}', 'status 422: {"message": 7}'),
        (422, b'{"message": "\xff"}', 'status 422: {"message": "\ufffd"}'),
        (422, b'{"more":' + b"[" * 60_000, 'status 422: {"more":' + "[" * 192),
    ],
)
def test_what_is_refused(status: int, body: bytes, message: str) -> None:
    """With the receiver's own words, in one line."""
    assert verdict(status, body) == Refused(message)


def test_a_server_that_fails_over_one_batch_refuses_it_in_the_end() -> None:
    """It may be the batch; a server that is away is waited for, for ever."""
    assert isinstance(verdict(500, tries=MAX_TRIES - 1), Later)
    assert isinstance(verdict(500, tries=MAX_TRIES), Refused)
    assert isinstance(verdict(503, tries=1000), Later)


def test_words_in_protobuf_are_not_shown() -> None:
    """They are no text."""
    answer = Answer(400, "", "application/x-protobuf", b"\x08\x03\x12\x02hi")
    assert judge(answer, 1, 1, NOW_S) == Refused("status 400")
