"""The projection of records to entries."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.entries import Halves, PendingEntry, expand, project_entry
from storage.grpc import Grpc
from storage.query import Count
from tests.api.dialects.logs import HALVES, make_log
from tests.api.samples import make_event, make_record
from tests.support.cases import each_of


def shown_entry(entry: PendingEntry) -> dict[str, Any]:
    """Return an entry as a client reads it."""
    return cast(dict[str, Any], msgspec.to_builtins(project_entry(entry)))


@given(st.lists(st.booleans(), max_size=60), st.sampled_from(HALVES))
def test_the_total_is_the_number_of_entries(kinds: list[bool], halves: Halves) -> None:
    """Counting records and counting entries give the same sum."""
    count = Count(exchanges=sum(kinds), events=len(kinds) - sum(kinds))
    assert halves.total(count) == len(expand(make_log(kinds), halves, "asc"))


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_halves_of_an_exchange_are_a_pair(kinds: list[bool]) -> None:
    """Ids rise without repeats; an exchange n is 2n-1 and 2n with one trace id, an event n is 2n."""
    records = make_log(kinds)
    entries = expand(records, Halves(), "asc")
    ids = [entry.id for entry in entries]
    assert ids == sorted(set(ids))

    for record in records:
        own = [entry for entry in entries if entry.record is record]
        if record.kind == "event":
            assert [entry.id for entry in own] == [2 * record.seq]
            continue

        shown = [shown_entry(entry) for entry in own]
        assert [entry["id"] for entry in shown] == [2 * record.seq - 1, 2 * record.seq]
        different = {key for key in shown[0] if shown[0][key] != shown[1][key]}
        assert different == {"id", "tsMs", "tsIso", "kind", "data"}


def test_an_entry_has_the_keys_of_the_document() -> None:
    """Order and values follow the document's example."""
    record = make_record(
        4, method="POST", path="/v1/users", query="a=1", status=201, trace_id="f" * 32
    )
    record.seq = 42161
    request = shown_entry(PendingEntry(record, "request"))
    keys = [
        "id",
        "traceId",
        "tsMs",
        "tsIso",
        "kind",
        "level",
        "projectId",
        "containerId",
        "serviceName",
        "method",
    ]
    assert list(request) == [*keys, "url", "clientIp", "status", "data", "source"]
    assert request == {
        "id": 84321,
        "traceId": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "tsMs": 1718201234004,
        "tsIso": "2024-06-12T14:07:14.004Z",
        "kind": "request",
        "level": "info",
        "projectId": "proj_a",
        "containerId": "cnt_1",
        "serviceName": "user-api",
        "method": "POST",
        "url": "/v1/users?a=1",
        "clientIp": "203.0.113.42",
        "status": 201,
        "data": {"bytesIn": 412, "userAgent": "curl/8"},
        "source": "backend",
    }
    response = shown_entry(PendingEntry(record, "response"))
    assert (response["id"], response["tsMs"]) == (84322, 1718201234106)
    assert response["data"] == {"bytesOut": 318, "durationMs": 102}


@each_of(
    ("path", "query", "url"),
    [
        ("/v1/users", "a=1", "https://api.a.test/v1/users?a=1"),
        ("/v1/users", None, "https://api.a.test/v1/users"),
        ("api.a.test:443", None, "api.a.test:443"),
        (None, None, None),
    ],
)
def test_an_outgoing_call_shows_its_whole_url(
    path: str | None, query: str | None, url: str | None
) -> None:
    """A tunnel shows host and port."""
    record = make_record(
        4, direction="out", scheme="https", host="api.a.test", path=path, query=query
    )
    assert shown_entry(PendingEntry(record, "request"))["url"] == url


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"count": 3, "name": "other"}', {"count": 3, "name": "gap"}),
        (b"[1]", {"name": "gap", "payload": [1]}),
        (b"{broken", {"name": "gap", "payload": "{broken"}),
        (None, {"name": "gap"}),
    ],
)
def test_an_event_shows_its_name_and_payload(data: bytes | None, shown: dict[str, object]) -> None:
    """The event's own name wins; a payload that is no object stands apart."""
    assert shown_entry(PendingEntry(make_event(1, data=data), "event"))["data"] == shown


def test_the_response_and_an_event_say_what_was_taken_out() -> None:
    """Beside what else they have; where nothing was, there is no such member."""
    found = {"github-token": 1, "name:password": 2}
    request, response = map(
        shown_entry, expand([make_record(1, redactions=found)], Halves(), "asc")
    )
    assert response["data"]["redactions"] == found
    assert "redactions" not in request["data"]
    event = make_event(1, data=b"[1]", redactions=found)
    assert shown_entry(PendingEntry(event, "event"))["data"] == {
        "name": "gap",
        "payload": [1],
        "redactions": found,
    }
    (_, plain) = map(shown_entry, expand([make_record(1)], Halves(), "asc"))
    assert "redactions" not in plain["data"]


def test_the_response_of_a_grpc_call_has_its_status() -> None:
    """Its name and message, beside the HTTP status, which stays what was sent."""
    record = make_record(1, status=200, level="error", grpc=Grpc(14, "no one"))
    request, response = map(shown_entry, expand([record], Halves(), "asc"))
    assert (response["status"], response["level"]) == (200, "error")
    assert (response["data"]["grpcStatus"], response["data"]["grpcMessage"]) == (
        "UNAVAILABLE",
        "no one",
    )
    assert "grpcStatus" not in request["data"]
