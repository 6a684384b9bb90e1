"""Failures of GraphQL operations, which a status of 200 hides."""

import json
from typing import Any

import msgspec

from proxy.enrich.endpoints.error_documents import (
    GRAPHQL_ERROR,
    Failure,
    failure_of,
    message_failure,
)
from proxy.enrich.http.exchange import DecodedBody
from proxy.ring.exchange import FLAG_BODIES_OFF
from storage.record import Record
from tests.proxy.enrich.exchanges import entry_of
from tests.support.cases import each_of

_ERROR = {"message": "no such user", "path": ["user"]}
_INVALID = {"message": "no field", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
_QUERY = b'{"query": "query GetUser {user {id}}"}'


def _multipart(*documents: object) -> bytes:
    parts = (
        f"\r\nContent-Type: application/json\r\n\r\n{json.dumps(document)}\r\n"
        for document in documents
    )
    return ("---" + "---".join(parts) + "-----\r\n").encode()


@each_of(
    ("answer", "said"),
    [
        (json.dumps({"data": None, "errors": [_ERROR]}).encode(), "no such user"),
        (json.dumps({"errors": [_INVALID]}).encode(), "GRAPHQL_VALIDATION_FAILED: no field"),
        (json.dumps([{"data": {}}, {"errors": [_ERROR]}]).encode(), "no such user"),
        (b'{"errors": [{"message": 5, "extensions": "?"}]}', "5"),
        (b'{"errors": [{}]}', "no message"),
        (
            _multipart({"data": {}}, {"incremental": [{"data": {}}, {"errors": [_ERROR]}]}),
            "no such user",
        ),
        (_multipart({"payload": {"data": {}}}, {"payload": {"errors": [_ERROR]}}), "no such user"),
        (
            f":\n\nevent: next\ndata: {{}}\n\ndata: {json.dumps({'errors': [_ERROR]})}\n\n".encode(),
            "no such user",
        ),
        (json.dumps({"data": {"save": {"errors": [_ERROR]}}}).encode(), None),
        (json.dumps({"data": {}, "errors": []}).encode(), None),
        (json.dumps({"data": {}, "errors": None}).encode(), None),
        (b'<script>let a = {"errors": [1]}</script>\n{"errors"', None),
        (b'{"errors": "all"}', None),
        (b"", None),
    ],
)
def test_the_first_error_is_found(answer: bytes, said: str | None) -> None:
    """At its place, in whichever way the answer comes; a member of the data that is called so is
    none.
    """
    found = failure_of(DecodedBody.beginning(answer, len(answer)))
    assert (None if found is None else found.message) == said


def test_an_answer_that_was_cut() -> None:
    """Its error is read where it begins with it."""
    beginning = b'{"errors": [' + json.dumps(_INVALID).encode() + b'], "data": {"a": "' + b"x" * 100
    assert failure_of(DecodedBody.beginning(beginning, 1 << 20)) == Failure(
        "GRAPHQL_VALIDATION_FAILED: no field", True, GRAPHQL_ERROR
    )
    within = b'{"errors": [{"message": "a", "path": ["b"'
    assert failure_of(DecodedBody.beginning(within, 1 << 20)) == Failure("a", False, GRAPHQL_ERROR)

    for lost in (b'{"errors": [{"message": "a', b'{"errors": [{"a": "' + b"}" * 16_000):
        assert failure_of(DecodedBody.beginning(lost, 1 << 20)) == Failure(
            "no message", False, GRAPHQL_ERROR
        )

    assert (
        failure_of(DecodedBody.beginning(b'{"data": {"errors": [{"message": "a"}]', 1 << 20))
        is None
    )
    assert failure_of(None) is None


@each_of(
    ("message", "said"),
    [
        (
            {"id": "1", "type": "next", "payload": {"data": None, "errors": [_ERROR]}},
            "no such user",
        ),
        ({"id": "1", "type": "data", "payload": {"errors": [_ERROR]}}, "no such user"),
        (
            {"id": "1", "type": "error", "payload": [_INVALID]},
            "GRAPHQL_VALIDATION_FAILED: no field",
        ),
        (
            {"id": "1", "type": "error", "payload": {"message": "mutations are not allowed"}},
            "mutations are not allowed",
        ),
        ({"id": "1", "type": "next", "payload": {"data": {"errors": [_ERROR]}}}, None),
        ({"id": "1", "type": "complete"}, None),
        ({"type": "error", "error": {"message": "of a model"}}, None),
        ({"type": "error", "payload": "text"}, None),
        ([{"type": "error", "payload": "text"}], None),
    ],
)
def test_messages_of_subscriptions(message: object, said: str | None) -> None:
    """In both protocols; other protocols have messages of type `error`, too."""
    found = message_failure(json.dumps(message).encode())
    assert (None if found is None else found.message) == said


def _record(answer: object, **more: Any) -> Record:
    return entry_of("/graphql", _QUERY, answer, **more).record


def test_the_record_tells() -> None:
    """With a level, a code and what was said, redacted; a caller's own failure is a warning."""
    failed = _record(
        {"data": None, "errors": [{"message": "no user for sk-Abcdefghij0123456789ABCDEFGHIJ"}]}
    )
    assert (failed.level, failed.error_type, failed.outcome, failed.endpoint) == (
        *("error", GRAPHQL_ERROR, "ok", "/graphql#GetUser"),
    )
    assert msgspec.json.decode(failed.data or b"") == {"error_message": "no user for [REDACTED]"}
    refused = _record({"errors": [_INVALID]})
    assert (refused.level, refused.error_type) == ("warn", GRAPHQL_ERROR)
    assert _record({"errors": [_INVALID]}, status=400).error_type == GRAPHQL_ERROR
    assert _record({"data": {"user": None}}).error_type is None


def test_words_are_kept_where_bodies_are() -> None:
    """At the level of headers the code alone."""
    hidden = _record({"errors": [_ERROR]}, flags=FLAG_BODIES_OFF)
    assert (hidden.data, hidden.error_type) == (None, GRAPHQL_ERROR)
