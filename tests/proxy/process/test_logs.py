"""The process' own log: one line an event, never a flood."""

import json
import logging
import os
import sys
from collections.abc import Iterator

import pytest

from proxy.process.logs import (
    RATE_BURST,
    RATE_PERIOD_S,
    JsonFormatter,
    LogStream,
    RateLimit,
    TextFormatter,
    detach_from_stderr,
    lines_dropped,
    set_up_log,
)


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What goes to stderr; the root logger is put back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield capsys
    root.handlers[:], root.level = before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A monotonic clock with one hand."""
    hand = [100.0]
    monkeypatch.setattr("proxy.process.logs.time.monotonic", lambda: hand[0])
    return hand


def lines(stderr: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """The lines, read."""
    return [json.loads(line) for line in stderr.readouterr().err.splitlines()]


def test_a_line_is_one_json_object(stderr: pytest.CaptureFixture[str]) -> None:
    """Time, level, role, logger, message with its arguments, and the extra fields of any type."""
    set_up_log("info", role="worker 3")
    logging.getLogger("proxy.x").warning(
        "cannot %s\nthis", "do", extra={"count": 2, "what": ValueError("é")}
    )
    (line,) = lines(stderr)
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "level": "warn",
        "role": "worker 3",
        "logger": "proxy.x",
        "message": "cannot do\nthis",
        "count": 2,
        "what": "é",
    }


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warn", "error", "error"]),
        ("info", ["info", "warn", "error", "error"]),
        ("warn", ["warn", "error", "error"]),
        ("error", ["error", "error"]),
    ],
)
def test_levels(stderr: pytest.CaptureFixture[str], level: str, shown: list[str]) -> None:
    """The four words of the settings, and nothing less severe than asked for."""
    set_up_log(level, role="x")
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.getLogger("proxy.levels").log(number, "level %d", number)
    assert [line["level"] for line in lines(stderr)] == shown


def test_an_exception_stays_on_its_line(stderr: pytest.CaptureFixture[str]) -> None:
    """The traceback is a field."""
    set_up_log("info", role="x")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("proxy.exception").exception("went wrong")

    (line,) = lines(stderr)
    assert "RuntimeError: broken" in str(line["exception"])


def test_a_message_that_repeats_is_held_back_and_counted(clock: list[float]) -> None:
    """By its unformatted text; another message passes, and so does the first of the next period,
    with the count.
    """
    limit = RateLimit()

    def passes(message: str, *arguments: object) -> bool:
        record = logging.LogRecord("proxy", logging.INFO, "", 0, message, arguments, None)
        passed = limit.filter(record)
        suppressed.append(record.__dict__.get("suppressed"))
        return bool(passed)

    suppressed: list[object] = []
    assert [passes("number %d", number) for number in range(RATE_BURST + 5)] == [
        True
    ] * RATE_BURST + [False] * 5
    assert passes("another")
    clock[0] += RATE_PERIOD_S - 0.1
    assert not passes("number %d", 0)
    clock[0] += 0.1
    assert set(suppressed) == {None}
    assert passes("number %d", 0)
    assert suppressed[-1] == 6
    clock[0] += RATE_PERIOD_S
    assert passes("number %d", 0)
    assert suppressed[-1] is None


def test_many_different_messages_do_not_grow_it(clock: list[float]) -> None:
    """At most a thousand messages are followed."""
    limit = RateLimit()
    for number in range(5000):
        assert limit.filter(
            logging.LogRecord("proxy", logging.INFO, "", 0, f"message {number}", (), None)
        )
    assert len(limit._seen) <= 1000


def test_lines_for_a_person() -> None:
    """On a terminal: level, role, message, then the extra fields."""
    record = logging.LogRecord("proxy", logging.INFO, "", 0, "hello", (), None)
    record.__dict__["count"] = 2
    assert TextFormatter("collector").format(record).endswith("INFO    collector: hello count=2")
    record.msg = "a path: \x1b]0;pwned\x07\u202e"
    assert (
        TextFormatter("collector")
        .format(record)
        .endswith("a path: \\x1b]0;pwned\\x07\\u202e count=2")
    )
    assert json.loads(JsonFormatter("collector").format(record))["count"] == 2


def test_setting_up_twice_writes_once(stderr: pytest.CaptureFixture[str]) -> None:
    """Handlers are replaced; aiohttp's access log stays silent."""
    set_up_log("info", role="a")
    set_up_log("info", role="b")
    logging.getLogger("proxy.twice").info("once")
    logging.getLogger("aiohttp.access").info("never")
    assert [line["role"] for line in lines(stderr)] == ["b"]


def test_lines_that_were_lost_are_told(
    monkeypatch: pytest.MonkeyPatch, stderr: pytest.CaptureFixture[str]
) -> None:
    """By the first one that is taken again, once."""
    read_fd, write_fd = os.pipe()
    stream = LogStream(write_fd)
    monkeypatch.setattr("sys.stderr", stream)
    detach_from_stderr()
    assert sys.stderr is stream
    set_up_log("info", role="worker 0")
    stream.dropped = 5
    for number in range(2):
        logging.getLogger("proxy.x").info("line %d", number)
    assert stream.settle(60)
    first, second = (json.loads(line) for line in os.read(read_fd, 4096).splitlines())
    assert (first["message"], first["lines_lost"], lines_dropped()) == ("line 0", 5, 5)
    assert "lines_lost" not in second
    for fd in (read_fd, write_fd):
        os.close(fd)
