"""The export to OpenTelemetry by a real sidelog: what a receiver gets is what is stored, once,
whatever is killed.
"""

import os
import signal
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.otlp import Receiver, Span, take
from tests.support.sidelog import Sidelog, await_pids, eventually
from tests.support.upstream import running, service

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
UNANSWERED = 599
"""Status of an answer that nobody was left to read."""


def exporting(url: str, **more: str) -> dict[str, str]:
    """The environment of a sidelog that exports, quickly, to a receiver that may take its time."""
    return {"SIDELOG_OTEL__ENDPOINT": url, **more}


def call(sidelog: Sidelog, path: str, **headers: str) -> str:
    """Send a request; returns the id of its record."""
    with urllib.request.urlopen(
        urllib.request.Request(sidelog.url + path, headers=headers), timeout=60
    ) as response:
        response.read()
        record_id = response.headers["X-Sidelog-Id"]
        assert record_id is not None
        return str(record_id)


def ids_of(spans: list[Span]) -> Counter[object]:
    """How often each record was sent."""
    return Counter(span.plain["sidelog.record.id"] for span in spans)


def test_spans_and_logs_are_what_is_stored(tmp_path: Path) -> None:
    """Times, names and values are those of the record; the trace is that of the request's head."""
    receiver = Receiver()
    headers = exporting(
        "",
        SIDELOG_OTEL__HEADERS='{"authorization": "env:OTLP_TOKEN"}',
        OTLP_TOKEN="Bearer secret-1",
    )
    with running(service()) as upstream, running(receiver.app()) as url:
        environ = {**headers, "SIDELOG_OTEL__ENDPOINT": url}
        with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
            traced = call(
                sidelog, "/items/7?token=abc&page=2", traceparent=f"00-{TRACE}-{PARENT}-01"
            )
            alone = call(sidelog, "/other")
            spans = eventually(lambda: found if len(found := receiver.spans()) == 2 else None)
            logs = eventually(lambda: found if len(found := receiver.logs()) >= 2 else None)
            records = {record["id"]: record for record in sidelog.records("kind=exchange")}
            status = eventually(lambda: settled(sidelog))
            assert b"secret-1" not in urllib.request.urlopen(
                urllib.request.Request(sidelog.admin_url + "/api/status", headers={"Authorization": sidelog.token})
            ).read()  # fmt: skip

    by_id = {span.plain["sidelog.record.id"]: span for span in spans}
    assert by_id.keys() == {traced, alone} == records.keys()
    for record_id, record in records.items():
        span = by_id[record_id]
        assert int(span.start_time_unix_nano) == record["started_at_us"] * 1000
        assert (
            int(span.end_time_unix_nano) - int(span.start_time_unix_nano)
            == record["duration_us"] * 1000
        )
        same = {
            "http.request.method": "method", "url.path": "path", "url.query": "query", "client.address": "client_ip",
            "http.response.status_code": "status", "user_agent.original": "user_agent", "http.route": "endpoint",
            "http.response.body.size": "response_bytes", "network.protocol.version": "http_version",
        }  # fmt: skip
        told = {key: value for key, name in same.items() if (value := record[name]) is not None}
        assert {key: span.plain.get(key) for key in told} == told
        assert (span.span_id, span.kind) == (record_id.replace("-", "")[16:], 2)

    assert (by_id[traced].trace_id, by_id[traced].parent_span_id) == (TRACE, PARENT)
    assert (by_id[alone].trace_id, by_id[alone].parent_span_id) == (alone.replace("-", ""), "")
    assert by_id[traced].plain["url.query"] == "token=[REDACTED]&page=2"
    told_logs = {log.plain["sidelog.record.id"]: log for log in logs if log.trace_id}
    assert {(log.trace_id, log.span_id) for log in told_logs.values()} == {
        (span.trace_id, span.span_id) for span in spans
    }
    assert told_logs[alone].body.plain == "GET /other 200"
    assert {each.headers["authorization"] for each in receiver.received} == {"Bearer secret-1"}
    assert {each.headers["content-encoding"] for each in receiver.received} == {"gzip"}
    assert [each["exported"] for each in status] == [2, len(logs)]


def settled(sidelog: Sidelog) -> list[dict[str, Any]] | None:
    """The exports in the status, once nothing waits."""
    shown: list[dict[str, Any]] = sidelog.api("/api/status")["otel"]
    if all(each["waiting_records"] == 0 for each in shown):
        return shown
    return None


@pytest.mark.long
def test_what_was_not_answered_is_sent_again(tmp_path: Path) -> None:
    """The collector is killed between a request and its answer: then the same spans come again, and
    no other twice.
    """
    victims: list[int] = []

    def kill(path: str, body: bytes, before: int) -> web.Response:
        if b"/held" not in body or not victims:
            return take(path, body, before)
        os.kill(victims.pop(), signal.SIGKILL)
        return web.Response(status=UNANSWERED)

    receiver = Receiver(kill)
    with running(service()) as upstream, running(receiver.app()) as url:
        environ = exporting(url, SIDELOG_OTEL__SIGNALS='["traces"]')
        with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
            called = [call(sidelog, f"/first/{number}") for number in range(5)]
            eventually(lambda: len(receiver.spans()) == 5)
            victims += await_pids(sidelog, "proxy.collector")
            called += [call(sidelog, "/held"), call(sidelog, "/behind")]
            eventually(lambda: len(receiver.spans()) >= 7)
            called.append(call(sidelog, "/last"))
            eventually(lambda: called[-1] in ids_of(receiver.spans()))

    assert not victims
    assert ids_of(receiver.spans()) == Counter(called)
    assert called[5] in ids_of(receiver.spans(UNANSWERED))
    unanswered = {span.span_id for span in receiver.spans(UNANSWERED)}
    assert unanswered <= {span.span_id for span in receiver.spans()}
