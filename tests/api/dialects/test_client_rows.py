"""The projection of the Requests API: blocks, units, checks, headers and bodies."""

import json
from typing import Any, cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from api.dialects import client_rows
from api.dialects.client_rows import body_of, checks_of, headers_of, parameters_of
from storage.record import Body, format_id
from tests.api.samples import START_US, make_body, make_in_flight, make_payload, make_record
from tests.support.cases import each_of

CHECKS = [
    "proxyExists", "proxyActive", "proxyAuthenticated", "proxyCredentialExists", "proxyCredentialActive",
    "proxyCredentialRelationship", "proxyCredentialScopeValid", "proxyScopeValid", "targetExists",
    "targetRelationship", "targetScopeValid", "targetCredentialExists", "targetCredentialActive",
    "targetCredentialRelationship", "targetCredentialScopeValid", "requestValid", "requestSent",
    "responseReceived", "systemError", "requestConfigError",
]  # fmt: skip
"""The document's, in its order."""
GOOD = dict.fromkeys(CHECKS, True) | {"systemError": False, "requestConfigError": False}
UNSENT = {"upstream_sent_at_us": None, "upstream_done_at_us": None, "first_byte_us": None}
REJECTED = {"outcome": "rejected", **UNSENT}
FAILED = {"outcome": "upstream_error", "status": 502, **UNSENT}
NOT_SENT = {"requestSent": False, "responseReceived": False}
REFUSED = {"requestValid": False, **NOT_SENT}


def project_row(*args: Any) -> dict[str, Any]:
    """Return a row of the list as a client reads it."""
    return cast(
        dict[str, Any], msgspec.json.decode(msgspec.json.encode(client_rows.project_row(*args)))
    )


def project_detail(*args: Any) -> dict[str, Any]:
    """Return a detail as a client reads it."""
    return cast(
        dict[str, Any], msgspec.json.decode(msgspec.json.encode(client_rows.project_detail(*args)))
    )


def test_trailers_are_there_where_there_were_any() -> None:
    """Written as headers are; beyond the document, so absent from all other details."""
    assert (
        not {"requestTrailers", "responseTrailers"}
        & project_detail(make_record(1), make_payload(), 1).keys()
    )
    payload = msgspec.structs.replace(
        make_payload(), response_trailers=b"Grpc-Status: 0\r\nA: 1\r\na: 2"
    )
    detail = project_detail(make_record(1), payload, 1)
    assert detail["responseTrailers"] == {"grpc-status": "0", "a": "1, 2"}
    assert "requestTrailers" not in detail


def test_a_row_has_the_keys_of_the_document_in_its_order() -> None:
    """The document's own example: receipt to last byte 1.995 s, its upstream's part 1.852 s."""
    record = make_record(
        0,
        seq=1,
        started_at_us=1765517217621_000,
        ended_at_us=1765517219616_999,
        upstream_sent_at_us=1765517217764_100,
        upstream_done_at_us=1765517219616_500,
        path="/cat",
        query="position=center",
        stage="qas",
        route_id="p1",
        client="c1",
        user_id="u1",
    )
    row = project_row(record, make_payload(), 7_776_000)
    assert row == {
        "pKey": "p1",
        "sKey": format_id(record.id),
        "userId": "u1",
        "clientId": "c1",
        "parentId": "c1",
        "processed": True,
        "processedAt": 1765517217621,
        "TTL": 1773293219,
        "proxyData": {
            "stage": "qas",
            "method": "GET",
            "apiPath": "/cat",
            "receivedAt": 1765517217621,
            "sentAt": 1765517219616,
            "duration": 1.995,
            "status": 200,
            "message": "Request logged",
            "arnBase": "",
            "apiHeaders": {"host": "service.test", "x-a": "1, 2"},
            "apiParams": {"position": "center"},
        },
        "targetData": {
            "sentAt": 1765517217764,
            "receivedAt": 1765517219616,
            "duration": 1.852,
            "status": 200,
            "location": None,
        },
        "validationData": GOOD,
    }
    assert list(row["validationData"]) == CHECKS


@each_of(
    ("changes", "differences"),
    [
        ({}, {}),
        (
            {"auth_code": "missing_token", **REJECTED},
            {
                "proxyAuthenticated": False,
                "proxyCredentialExists": False,
                "proxyCredentialRelationship": False,
                **REFUSED,
            },
        ),
        (
            {"auth_code": "expired", **REJECTED},
            {"proxyAuthenticated": False, "proxyCredentialActive": False, **REFUSED},
        ),
        (
            {"auth_code": "scope_denied", **REJECTED},
            {"proxyScopeValid": False, "proxyCredentialScopeValid": False, **REFUSED},
        ),
        ({"auth_code": "agent_denied", **REJECTED}, {"targetScopeValid": False, **REFUSED}),
        ({"error_type": "upstream_refused", **FAILED}, NOT_SENT),
        ({"error_type": "upstream_unresolved", **FAILED}, {"requestConfigError": True, **NOT_SENT}),
        ({"error_type": "upstream_untrusted", **FAILED}, {"requestConfigError": True, **NOT_SENT}),
        (
            {
                "error_type": "upstream_timeout",
                "outcome": "upstream_timeout",
                "status": 504,
                "first_byte_us": None,
            },
            {"responseReceived": False},
        ),
        (
            {"error_type": "loop_detected", "status": 508, **REJECTED},
            {"requestConfigError": True, **REFUSED},
        ),
        ({"outcome": "worker_lost", "status": None}, {"systemError": True}),
        (
            {"error_type": "keys_unavailable", "status": 503, **REJECTED},
            {"systemError": True, **REFUSED},
        ),
        (
            {"error_type": "no_route", "status": 404, "route_id": None, **REJECTED},
            {
                "proxyExists": False,
                "proxyActive": False,
                "targetExists": False,
                "targetRelationship": False,
                **REFUSED,
            },
        ),
    ],
)
def test_checks_follow_from_route_key_and_outcome(
    changes: dict[str, object], differences: dict[str, bool]
) -> None:
    """All twenty, always; only those differ that the failure is about."""
    assert checks_of(make_record(1, seq=1, **changes)) == GOOD | differences


def test_an_unreached_target_is_null() -> None:
    """A refused connection has no target data; a timeout has its beginning, and no status."""
    assert project_row(make_record(1, seq=1, **UNSENT), None, None)["targetData"] is None
    late = make_record(1, seq=1, status=504, first_byte_us=None, upstream_done_at_us=None)
    assert project_row(late, None, None)["targetData"] == {
        "sentAt": (START_US + 2000) // 1000,
        "receivedAt": None,
        "duration": None,
        "status": None,
        "location": None,
    }


def test_a_request_in_flight_has_no_end() -> None:
    """`processed` is false, and what is not known is null."""
    row = project_row(make_in_flight(1, **UNSENT), None, 60)
    proxy = row["proxyData"]
    assert isinstance(proxy, dict)
    assert (row["processed"], row["TTL"]) == (False, None)
    assert (proxy["sentAt"], proxy["duration"], proxy["status"]) == (None, None, None)


def test_the_detail_has_flat_fields_beside_the_blocks() -> None:
    """Milliseconds here, lower-case headers with redactions marked, bodies parsed."""
    payload = make_payload(make_body(b'{"name":"John"}'), make_body(b'{"id":1}'))
    record = make_record(1, seq=1)
    shown = project_detail(record, payload, None)
    assert list(shown)[:11] == [
        "pKey", "sKey", "method", "path", "statusCode", "duration", "processedAt", "requestHeaders", "requestBody",
        "responseHeaders", "responseBody",
    ]  # fmt: skip
    assert shown["duration"] == 102
    assert shown["requestHeaders"] == {
        "host": "service.test",
        "cookie": "[REDACTED]",
        "x-a": "1, 2",
    }
    assert json.loads(msgspec.json.encode(shown))["responseBody"] == {"id": 1}
    for name in ("proxyData", "targetData", "validationData", "TTL", "userId"):
        assert shown[name] == project_row(record, payload, None)[name]
    bare = project_detail(record, None, None)
    assert [
        bare[name] for name in ("requestHeaders", "requestBody", "responseHeaders", "responseBody")
    ] == [None] * 4


def test_the_detail_says_which_body_was_cut() -> None:
    """Bytes kept of bytes seen, beside the body; a body that is whole, or was not kept at all, says
    nothing.
    """
    cut = make_body(b"ab", tail=b"z", size=90, truncated=True)
    shown = project_detail(make_record(1), make_payload(cut, make_body(b"whole")), None)
    assert shown["requestBodyCut"] == {"head": 2, "tail": 1, "size": 90}
    assert "responseBodyCut" not in shown
    gone = make_body(b"", size=90, truncated=True, omitted="shed")
    assert "requestBodyCut" not in project_detail(make_record(1), make_payload(gone), None)


def test_sensitive_headers_are_absent_in_the_list() -> None:
    """In the detail they are marked."""
    head = b"GET / HTTP/1.1\r\nAuthorization: [REDACTED]\r\nAccept: a\r\nACCEPT: b"
    assert headers_of(head, shows_redacted=False) == {"accept": "a, b"}
    assert headers_of(head, shows_redacted=True) == {
        "authorization": "[REDACTED]",
        "accept": "a, b",
    }


@each_of(
    ("body", "media_type", "shown"),
    [
        (make_body(b'{"a": 1.0, "n": 123456789012345678901234567890}'), "application/json", None),
        (make_body(b"[1]"), "application/problem+json; charset=utf-8", [1]),
        (make_body(b'{"a":1}'), "", {"a": 1}),
        (make_body(b'{"a":1}'), "text/plain", '{"a":1}'),
        (make_body(b'{"a":'), "application/json", '{"a":'),
        (make_body(b"hello \xc3\xa9"), "text/plain", "hello \u00e9"),
        (make_body(b"\xff\x00"), "image/png", {"encoding": "base64", "data": "/wA="}),
        (make_body(b"[" * 200_000 + b"]" * 200_000), "application/json", None),
        (
            make_body(b"{}", truncated=True, size=9),
            "application/json",
            "{}\n[cut: the first 2 of 9 bytes were kept]",
        ),
        (make_body(b"", omitted="level", size=5), "text/plain", "null"),
        (None, "text/plain", "null"),
    ],
)
def test_bodies_are_json_text_or_base64(body: Body | None, media_type: str, shown: object) -> None:
    """JSON stays as it was sent, every digit of it; what is cut or broken is text."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: " + media_type.encode()
        if media_type
        else b"HTTP/1.1 200 OK"
    )
    raw = msgspec.json.encode({"body": body_of(body, head)})
    if shown == "null":
        assert raw == b'{"body":null}'
    elif shown is not None:
        assert json.loads(raw) == {"body": shown}
    elif body is not None and body.size < 100:
        assert raw == b'{"body":' + body.head + b"}"
    else:
        assert raw.startswith(b'{"body":"[[[[')


@each_of(
    ("query", "parameters"),
    [
        (None, {}),
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1&a=2&b=", {"a": ["1", "2"], "b": ""}),
        ("a", {"a": ""}),
        ("a=%20%2B+x", {"a": " + x"}),
        ("a=%ff", {"a": "\\xff"}),
    ],
)
def test_parameters_are_strings_or_lists(query: str | None, parameters: dict[str, object]) -> None:
    """A list only where a name is repeated."""
    assert parameters_of(query) == parameters


@given(start=st.integers(0, 10**16), took=st.integers(0, 10**12), target=st.integers(0, 10**12))
def test_units_agree(start: int, took: int, target: int) -> None:
    """Seconds in the list are the milliseconds of the detail; TTL is in whole seconds."""
    record = make_record(
        1,
        seq=1,
        started_at_us=start,
        ended_at_us=start + took,
        upstream_sent_at_us=start,
        upstream_done_at_us=start + target,
    )
    row = project_row(record, None, 60)
    detail = project_detail(record, None, 60)
    proxy = row["proxyData"]
    assert isinstance(proxy, dict)
    assert (
        round(proxy["duration"] * 1000)
        == detail["duration"]
        == proxy["sentAt"] - proxy["receivedAt"]
    )
    assert row["TTL"] == proxy["sentAt"] // 1000 + 60
