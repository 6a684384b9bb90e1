"""Lines of the access log: their columns, and that nothing a client sends makes two of one."""

import json
import re
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.collector.access_lines import CommonFormatter, JsonFormatter
from storage.record import Entry, Payload, format_id
from tests.storage.samples import START_US, make_record

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
        query="a=1", trace_id="ab" * 16, project="p", service="s", error_type="rate_limit", user_agent="curl/8"
    )
    line = JsonFormatter()(Entry(record))
    assert line.count(b"\n") == 1
    shown = json.loads(line)
    start_s, us = divmod(START_US, 1_000_000)
    assert shown.pop("time") == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start_s)) + f".{us:06d}Z"
    assert shown.pop("id") == format_id(record.id)
    plain = msgspec.to_builtins(record)
    assert shown == {name: plain[name] for name in shown}
    assert {"method", "host", "path", "query", "status", "outcome", "duration_us", "client_ip"} <= shown.keys()
    assert {"route_id", "service", "project", "trace_id", "user_agent", "error_type"} <= shown.keys()
    assert {"request_bytes", "response_bytes", "first_byte_us", "upstream_us", "connect_us"} <= shown.keys()


def test_common_is_what_nginx_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address, user, local time with its zone, request line, status, body bytes, referer, user agent."""
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    try:
        record = make_record(
            client_ip="10.0.0.1", user_id="ada", query="a=[REDACTED]", response_bytes=12, user_agent="curl/8"
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
        method=None, path=None, client_ip=None, user_id=None, status=None, user_agent=None, response_bytes=0
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
def test_whatever_is_sent_is_one_line(text: str) -> None:
    """Every text, half surrogate pairs included, leaves both forms whole."""
    record = make_record(user_agent=text, path=text, query=text, user_id=text, client_ip=text, host=text)
    line = JsonFormatter()(Entry(record))
    json.loads(line)
    assert line.decode().splitlines() == [line.decode().removesuffix("\n")]
    common = CommonFormatter()(Entry(record)).decode()
    assert COMBINED.fullmatch(common)
    assert common.splitlines() == [common.removesuffix("\n")]
