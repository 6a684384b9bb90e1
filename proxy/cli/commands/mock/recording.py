"""Decides which request an exchange of a suite answers.

Requests, including recorded ones, are normalised to the form of records. This is needed because a
browser's archive is not redacted, and because a client sends its secrets again.
"""

from typing import Final, NamedTuple

import msgspec

from api.identity.match import Answer, Keys, keys_of, read_answer
from api.identity.places import RequestPlaces
from api.identity.request import Request, request_of
from api.native.files.cut_bodies import describe_loss
from api.native.projection import exact_text, field_of, octets_of
from api.replay.request import is_call
from api.replay.suite import Recorded
from proxy.cli.commands.files.source import template_of
from proxy.cli.commands.mock.calls import Calls
from proxy.enrich.endpoints.operation import is_graphql, operation_in_query, operation_of
from proxy.enrich.grpc.descriptors import Schema
from proxy.enrich.grpc.reader import is_grpc
from proxy.enrich.http.bodies import decode_body, redacted_body
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.redact.redactor import Redactor
from storage.grpc import SWITCHING_PROTOCOLS
from storage.record import Body, Outcome, Payload, Record

MAX_REQUEST_BYTES: Final = 64 << 20
_MAX_BODY_BYTES: Final = 262_144
"""Largest part of a body that is compared; no setting records more."""
_SCHEMES: Final = ("http", "https", "ws", "wss")
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_BODILESS: Final = (204, 205, _NOT_MODIFIED)
_BROKEN: Final = (Outcome.TRUNCATED, Outcome.WORKER_LOST)


class Member(NamedTuple):
    """An exchange that may answer."""

    number: int
    recorded: Recorded
    request: Request
    answer: Answer
    keys: Keys
    operation: str | None
    """GraphQL operation."""

    @property
    def shown(self) -> str:
        """The request as shown to users: method, path and query."""
        record = self.recorded.record
        return f"{record.method} {record.path}" + (f"?{record.query}" if record.query else "")


class Asked(NamedTuple):
    """A request to answer."""

    record: Record
    request: Request
    keys: Keys
    operation: str | None


def refusal_of(recorded: Recorded, calls: Calls) -> str:
    """Return the reason why an exchange cannot answer any request; empty if it can."""
    _, record, payload = recorded
    if payload is None:
        return "neither headers nor bodies were kept"
    if not record.status:
        return "there was no answer"
    if record.scheme not in _SCHEMES:
        return f"they were no requests of HTTP ({record.scheme}:)"
    if record.status == SWITCHING_PROTOCOLS:
        return "they were upgraded (WebSocket)"
    if record.outcome in _BROKEN:
        return "the answer was not complete"

    body = payload.response_body
    if body is None and _lacks_body(record, payload):
        return "the body of the answer was not recorded"
    if body is not None and (loss := describe_loss(body).partition(":")[0]):
        return f"the body of the answer was {loss}"

    if is_call(payload):
        return calls.refusal(record, payload)
    return ""


def _lacks_body(record: Record, payload: Payload) -> bool:
    """Return True if a recorded answer without a body had one when it was sent."""
    if record.method == "HEAD" or record.status in _BODILESS:
        return False
    length = field_of(payload.response_head, "content-length")
    return record.response_bytes > 0 or (length.isdigit() and int(length) > 0)


def unconditional(recorded: Recorded) -> Recorded:
    """Undo a browser's conditional request: its archive has the cached content under status 304."""
    _, record, payload = recorded
    if payload is None:
        body = None
    else:
        body = payload.response_body
    if record.status != _NOT_MODIFIED or body is None or not body.head:
        return recorded
    return recorded._replace(record=msgspec.structs.replace(record, status=_OK))


class Reader:
    """Normalises requests to their recorded form."""

    def __init__(self, places: RequestPlaces, schema: Schema) -> None:
        self._places = places
        self._redactor = Redactor()
        self.calls = Calls(schema, self._redactor)

    def member(self, number: int, recorded: Recorded) -> Member:
        """Return the request that an exchange of a suite answers."""
        _, record, payload = recorded
        assert payload is not None

        body = payload.request_body
        if body is not None and is_call(payload):
            body = self.calls.recorded_request(record.path or "", payload.request_head, body)
        elif body is not None and not (body.truncated or body.omitted):
            content_type = field_of(payload.request_head, "content-type").encode()
            body = self._redacted(DecodedBody.beginning(body.head, len(body.head)), content_type)

        redacted = msgspec.structs.replace(payload, request_body=body)
        asked = self._asked(record, redacted)
        return Member(
            number=number,
            recorded=recorded,
            request=asked.request,
            answer=read_answer(record, payload),
            keys=asked.keys,
            operation=asked.operation,
        )

    def asked(self, method: str, target: str, host: str, head: bytes, body: bytes) -> Asked:
        """Return a received request in normal form, to find its answer. Its head is HTTP/1.1 text."""
        path, mark, query = target.partition("?")
        record = Record(
            1, b"", "", "exchange", 0, 0, method=method, path=path, query=query if mark else None
        )
        record.host, record.request_bytes = host, len(body)
        return self._asked(record, Payload(head, b"", self._body(path, head, body), None))

    def _body(self, path: str, head: bytes, body: bytes) -> Body | None:
        """Return the body of a request that came, as it would be recorded."""
        if not body:
            return None
        content_type = field_of(head, "content-type")
        if is_grpc(content_type.encode()):
            return self.calls.asked_request(
                path, content_type, field_of(head, "grpc-encoding"), body
            )

        coding = field_of(head, "content-encoding").encode()
        decoded = decode_body(body, b"", len(body), coding, content_type=content_type.encode())
        if decoded is None:
            return Body(b"", b"", len(body), True, None, "coding")

        return self._redacted(decoded, content_type.encode())

    def _redacted(self, body: DecodedBody, content_type: bytes) -> Body:
        return redacted_body(body, content_type, self._redactor, _MAX_BODY_BYTES)

    def _asked(self, record: Record, payload: Payload) -> Asked:
        record = msgspec.structs.replace(record)
        record.path = exact_text(self._redactor.redact_path(octets_of(record.path or "")))
        if record.query is not None:
            record.query = exact_text(self._redactor.redact_query(octets_of(record.query)))
        record.endpoint = template_of(record.path)
        head = self._redactor.redact_head(payload.request_head)
        payload = msgspec.structs.replace(payload, request_head=head)
        request = request_of(record, payload, self._places)
        return Asked(record, request, keys_of(request), _operation(record, payload.request_body))


def _operation(record: Record, body: Body | None) -> str | None:
    if not is_graphql(record.method, record.path or ""):
        return None
    if body is None:
        return operation_in_query(record.query)
    return operation_of(body.head)
