"""The access log: its columns, that nothing a client sends makes two lines of one, and that it
never waits.
"""

import json
import os
import re
import resource
import threading
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.collector.access_log import AccessLog, CommonFormatter, JsonFormatter, open_access_log
from storage.record import Entry, Payload, format_id
from tests.storage.samples import START_US, make_record
from tests.support.plane import eventually

COMBINED = re.compile(
    r'(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "((?:[^"\\]|\\x[0-9A-F]{2})*)" '
    r'(\d{3}|-) (\d+) "((?:[^"\\]|\\x[0-9A-F]{2})*)" "((?:[^"\\]|\\x[0-9A-F]{2})*)"\n'
)


def columns(**changes: object) -> tuple[str, ...]:
    """The columns of a record's NCSA line, read as log analysers do."""
    found = COMBINED.fullmatch(CommonFormatter()(Entry(make_record(**changes))).decode())
    assert found is not None
    return found.groups()


def test_json_has_the_main_columns_of_the_record() -> None:
    """Named as in the API's records; `time` is the start, in UTC with microseconds."""
    record = make_record(
        query="a=1",
        trace_id="ab" * 16,
        project="p",
        service="s",
        error_type="rate_limit",
        user_agent="curl/8",
    )
    line = JsonFormatter()(Entry(record))
    assert line.count(b"\n") == 1
    shown = json.loads(line)
    start_s, us = divmod(START_US, 1_000_000)
    assert (
        shown.pop("time")
        == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start_s)) + f".{us:06d}Z"
    )
    assert shown.pop("id") == format_id(record.id)
    plain = msgspec.to_builtins(record)
    assert shown == {name: plain[name] for name in shown}
    main = (
        "method host path query status outcome duration_us client_ip route_id service project "
        "trace_id user_agent error_type request_bytes response_bytes first_byte_us upstream_us "
        "connect_us"
    )
    assert {*main.split()} <= shown.keys()


def test_common_is_what_nginx_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address, user, local time with its zone, request line, status, body bytes, referer, user
    agent.
    """
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    try:
        record = make_record(
            client_ip="10.0.0.1",
            user_id="ada",
            query="a=[REDACTED]",
            response_bytes=12,
            user_agent="curl/8",
        )
        record.ended_at_us = 971_211_336 * 1_000_000
        head = b"GET /items HTTP/1.1\r\nHost: a\r\nReferer:  http://a.example/b \r\nAccept: */*"
        line = CommonFormatter()(Entry(record, Payload(head, b"", None, None)))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert line == (
        b'10.0.0.1 - ada [10/Oct/2000:18:25:36 -0230] "GET /items?a=[REDACTED] HTTP/1.1" 200 12 '
        b'"http://a.example/b" "curl/8"\n'
    )


def test_what_is_not_known_is_a_hyphen() -> None:
    """A request that could not be read, from nobody, without an answer, still has all columns."""
    nothing = columns(
        method=None,
        path=None,
        client_ip=None,
        user_id=None,
        status=None,
        user_agent=None,
        response_bytes=0,
    )
    assert (nothing[:2], nothing[3:]) == (("-", "-"), ("-", "-", "0", "-", "-"))


def test_quotes_and_control_characters_are_escaped() -> None:
    """A client forges neither a line nor a column, and sends no terminal a command."""
    odd = 'x" 200 0\r\n1.2.3.4 - \\ \x1b[2J\x7f\x9b\u2028é'
    found = columns(user_agent=odd, path="/" + odd, user_id="a b")
    assert found[1] == "a\\x20b"
    assert found[3].startswith("GET /x\\x22 200 0\\x0D\\x0A1.2.3.4")
    assert found[7].endswith("\\x5C \\x1B[2J\\x7F\\xC2\\x9B\\xE2\\x80\\xA8é")
    line = JsonFormatter()(Entry(make_record(user_agent=odd)))
    assert json.loads(line)["user_agent"] == odd
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", line.decode())


@given(text=st.text(st.characters(exclude_categories=()), max_size=30))
@example("\u1680")
def test_whatever_is_sent_is_one_line(text: str) -> None:
    """Every text, half surrogate pairs included, leaves both forms whole."""
    record = make_record(
        user_agent=text, path=text, query=text, user_id=text, client_ip=text, host=text
    )
    line = JsonFormatter()(Entry(record))
    json.loads(line)
    assert line.decode().splitlines() == [line.decode().removesuffix("\n")]
    common = CommonFormatter()(Entry(record)).decode()
    assert COMBINED.fullmatch(common)
    assert common.splitlines() == [common.removesuffix("\n")]


@pytest.fixture
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """A pipe; both ends are closed at the end, if the test has not: by number they might be
    another's by then.
    """
    read_fd, write_fd = os.pipe()
    with FileIO(read_fd) as reader, FileIO(write_fd, "wb") as writer:
        yield reader, writer


def entries(count: int, **changes: object) -> list[Entry]:
    """Some exchanges."""
    return [Entry(make_record(**changes)) for _ in range(count)]


def test_off_is_nothing_at_all() -> None:
    """No thread and no object."""
    before = threading.active_count()
    assert open_access_log("off") is None
    assert threading.active_count() == before


def test_each_exchange_is_a_line_and_events_are_none(pipe: tuple[FileIO, FileIO]) -> None:
    """A stop writes what waits."""
    log = AccessLog("common", pipe[1].fileno())
    log.observe([*entries(2, path="/a"), *entries(1, kind="event"), *entries(1, path="/b")])
    log.close()
    pipe[1].close()
    assert [line.split()[6] for line in pipe[0].readall().splitlines()] == [b"/a", b"/a", b"/b"]
    assert log.dropped == 0


def test_lines_come_while_it_runs(pipe: tuple[FileIO, FileIO]) -> None:
    """Nobody has to stop it, or to send more."""
    log = AccessLog("json", pipe[1].fileno())
    log.observe(entries(1))
    assert pipe[0].read(65536).endswith(b"}\n")
    log.close()


def test_a_reader_that_stands_still_costs_lines_and_nothing_else(
    pipe: tuple[FileIO, FileIO],
) -> None:
    """What is over the bound is dropped and counted to the line; what was taken arrives in order
    once it reads.
    """
    log = AccessLog("json", pipe[1].fileno(), max_bytes=200_000)
    sent = 0
    while not log.dropped:
        log.observe(entries(10, path=f"/{sent}"))
        sent += 10
        assert sent < 10_000

    taken = sent - log.dropped
    found = bytearray()
    reader = threading.Thread(target=lambda: found.extend(pipe[0].readall()))
    reader.start()
    assert log._stream.settle(60)
    log.observe(entries(1, path="/last"))
    log.close()
    pipe[1].close()
    reader.join()
    lines = bytes(found).splitlines()
    assert len(lines) == taken + 1
    assert b'"/last"' in lines[-1]


def test_a_stop_does_not_wait_for_a_reader_that_stands_still(pipe: tuple[FileIO, FileIO]) -> None:
    """After its time the rest is counted."""
    log = AccessLog("json", pipe[1].fileno())
    for _ in range(100):
        log.observe(entries(10))
    log.close(timeout_s=0.05)
    assert log.dropped > 500
    pipe[0].close()  # lets the writing thread go on
    assert log._stream.settle(60)


def test_a_reader_that_has_gone_is_counted_and_said_once(
    pipe: tuple[FileIO, FileIO], caplog: pytest.LogCaptureFixture
) -> None:
    """EPIPE, the end of a log pipeline, is no reason to end."""
    pipe[0].close()
    log = AccessLog("common", pipe[1].fileno())
    for number in range(1, 4):
        log.observe(entries(1))
        eventually(lambda: log.dropped == number)  # noqa: B023 - called at once
    log.close()
    assert [record.message for record in caplog.records] == [
        "lines of the access log are lost: broken pipe"
    ]


def test_a_disk_that_has_room_again_gets_lines_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Here a limit of the file's size stands for the disk."""
    with (tmp_path / "access").open("ab", buffering=0) as file:
        log = AccessLog("common", file.fileno())
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))

        try:
            log.observe(entries(2))
            eventually(lambda: log.dropped == 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

        log.observe(entries(1))
        eventually(lambda: file.tell() or os.fstat(file.fileno()).st_size)
        log.close()

    assert (tmp_path / "access").read_bytes().count(b"\n") == 1
    assert "written again" in caplog.text


def test_a_closed_stdout_is_counted() -> None:
    """`sidelog serve >&-` runs on."""
    log = AccessLog("json", -1)
    log.observe(entries(5))
    log.close()
    assert log.dropped == 5


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(
    pipe: tuple[FileIO, FileIO],
) -> None:
    """It is shared with whoever started us."""
    os.set_blocking(pipe[1].fileno(), False)
    log = AccessLog("json", pipe[1].fileno())
    log.observe(entries(1000))
    found = bytearray()
    reader = threading.Thread(target=lambda: found.extend(pipe[0].readall()))
    reader.start()
    log.close(60)
    pipe[1].close()
    reader.join()
    assert (found.count(b"\n"), log.dropped) == (1000, 0)
