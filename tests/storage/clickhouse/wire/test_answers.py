"""Errors of a server, as storage errors."""

from storage.clickhouse.wire.answers import AlreadyThere, Late, OutOfTime, error_of
from storage.errors import StorageError, StorageRejected, StorageUnavailable
from tests.support.cases import each_of


@each_of(
    ("body", "kind", "text"),
    [
        (
            b"Code: 159, e.displayText() = DB::Exception: Timeout, e.what() = DB::Exception",
            OutOfTime,
            "Timeout",
        ),
        (
            b"Code: 57. DB::Exception: Table a exists. (TABLE_ALREADY_EXISTS) (version 26.9)",
            AlreadyThere,
            "Table a",
        ),
        (b"Code: 72. DB::Exception: no number", StorageRejected, "no number"),
        (
            b"Code: 516. DB::Exception: default: Authentication failed",
            StorageUnavailable,
            "not let this user in",
        ),
        (b"Code: 469. DB::Exception: Constraint `late` is violated", Late, "Constraint `late`"),
        (
            b"Code: 395, e.displayText() = DB::Exception: Value passed to 'throwIf' is non zero",
            Late,
            "throwIf",
        ),
        (
            b"Code: 76. DB::ErrnoException: Cannot open file /d/x.bin, errno: 24",
            StorageUnavailable,
            "x.bin",
        ),
        (
            b"Code: 243. DB::Exception: Cannot reserve 1.00 MiB",
            StorageUnavailable,
            "Cannot reserve",
        ),
        (b"Code: 99999. never heard of", StorageUnavailable, "never heard of"),
        (b"<html>bad gateway</html>", StorageUnavailable, "bad gateway"),
        (b"", StorageUnavailable, "status 502 without an error message"),
        (b"\xff" * 10_000, StorageUnavailable, "\ufffd"),
    ],
)
def test_an_error_is_about_a_value_or_may_go_away(
    body: bytes, kind: type[StorageError], text: str
) -> None:
    """Only what is about a value is refused for good; the server's own words are kept, at a bounded
    length.
    """
    error = error_of(body, 502)
    assert type(error) is kind
    assert text in str(error)
    assert len(str(error)) < 600
    assert "e.what()" not in str(error)
    assert "(version" not in str(error)
