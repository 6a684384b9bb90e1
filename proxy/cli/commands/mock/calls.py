"""Calls of gRPC: recorded as what their messages say, so their bytes are written anew. Pure.

Strategy: with a schema messages are written by it. Without one they are guessed, and taken only if
they are together exactly as long as what was recorded: else the exchange is left out, and the start
says that `--protobuf` is wanted. Requests are compared as they are shown. Unary and
server-streaming calls are answered; where the client sends several messages, what belongs to which
is not known.

Standards: gRPC over HTTP/2; its mapping of statuses of HTTP.
"""

from collections.abc import Iterable
from typing import Final

from api.native.projection import exact_text, field_of, split_fields, split_head
from api.replay.request import CONNECTION_FIELDS
from api.replay.suite import Recorded
from proxy.cli.commands.files.call_messages import (
    framed,
    is_json,
    messages_of,
    method_in,
    shown,
    why_not_written,
    written,
)
from proxy.cli.commands.mock.reply import Reply, trailers_of
from proxy.enrich.grpc.descriptors import Schema
from proxy.enrich.grpc.messages import split
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.redact.redactor import Redactor
from proxy.http2.grpc import grpc_message, grpc_status_of
from storage.record import Body, Payload

_NOT_FOUND: Final = 404
_OWN: Final = frozenset(("grpc-encoding", "content-encoding"))
"""Fields about the bytes as they were sent."""


class Calls:
    """Reads and writes the messages of calls."""

    def __init__(self, schema: Schema, redactor: Redactor) -> None:
        self._schema = schema
        self._redactor = redactor

    def refusal(self, recorded: Recorded) -> str:
        """Say why a call answers no other; empty if it does."""
        _, record, payload = recorded
        assert payload is not None
        kind = method_in(self._schema, record.path).kind
        if "-web" in field_of(payload.request_head, "content-type").lower():
            return "they are calls of gRPC-Web"
        if kind in ("client", "bidi") or len(messages_of(payload.request_body) or ()) > 1:
            return "they are calls of gRPC whose client sends several messages"
        if not _ends(payload):
            return "they are calls of gRPC without a status"
        if payload.response_body is not None and self._answer(recorded) is None:
            response = method_in(self._schema, record.path).response
            return "the answer to a call of gRPC " + why_not_written(response)

        return ""

    def recorded_request(self, path: str, head: bytes, body: Body) -> Body:
        """Return the messages of a recorded request as those that come are shown."""
        request = method_in(self._schema, path).request
        rewritten = written(self._schema, request, head, body, messages_of(body) or ())
        if rewritten is None or not request:
            return body

        return self._shown(path, rewritten, is_json=is_json(head))

    def asked_request(self, path: str, content_type: str, encoding: str, body: bytes) -> Body:
        """Read the messages of a request that came."""
        messages = split(DecodedBody.beginning(body, len(body)), encoding or None)
        if not messages.is_whole:
            return Body(b"", b"", len(body), True, None, "coding")
        return self._shown(
            path, [each.data for each in messages.found], is_json="+json" in content_type.lower()
        )

    def _shown(self, path: str, messages: Iterable[bytes], *, is_json: bool) -> Body:
        kind = method_in(self._schema, path).request
        text = shown(self._schema, kind, self._redactor, messages, are_json=is_json)
        return Body(text, b"", len(text), False, None, None)

    def reply(self, recorded: Recorded) -> Reply:
        """Make the answer of a call that `refusal` does not refuse."""
        _, record, payload = recorded
        assert payload is not None
        left_out = CONNECTION_FIELDS | _OWN
        fields = [
            (name, value)
            for name, value in split_head(payload.response_head, exact_text)[1]
            if name.lower() not in left_out
        ]
        if payload.response_body is None:
            content = b""
        else:
            content = self._answer(recorded) or b""
        return Reply(record.status or 200, "", fields, content, trailers=trailers_of(payload))

    def _answer(self, recorded: Recorded) -> bytes | None:
        """Write the messages of an answer, each behind its prefix; None where nothing tells what
        they were.
        """
        _, record, payload = recorded
        assert payload is not None
        messages = messages_of(payload.response_body)
        if messages is None:
            return None

        kind = method_in(self._schema, record.path).response
        answer = written(self._schema, kind, payload.response_head, payload.response_body, messages)
        return None if answer is None else framed(answer)


def miss_reply(text: str) -> Reply:
    """Say that nothing answers a call."""
    message = grpc_message(text).decode()
    fields = [
        ("content-type", "application/grpc"),
        ("grpc-status", str(grpc_status_of(_NOT_FOUND))),
    ]
    return Reply(200, "", [*fields, ("grpc-message", message)])


def _ends(payload: Payload) -> bool:
    trailers = {name.lower() for name, _ in split_fields(payload.response_trailers)}
    return "grpc-status" in trailers or bool(field_of(payload.response_head, "grpc-status"))
