"""gRPC calls: records hold the content of messages, so the bytes are encoded again. Pure.

Strategy: messages are encoded by a schema. Without a schema the bytes are guessed, and used only if
their total length is the recorded one. Otherwise the exchange is left out, and a message at the
start asks for `--protobuf`. Requests are compared in the form in which records show them. Unary and
server-streaming calls are answered. If the client sends several messages, it is unknown which
answer belongs to which message.

Standards: gRPC over HTTP/2; its mapping of statuses of HTTP.
"""

from collections.abc import Iterable
from typing import Final

from api.native.projection import exact_text, field_of, split_fields, split_head
from api.replay.request import CONNECTION_FIELDS
from api.replay.suite import Recorded
from proxy.cli.commands.files.call_messages import (
    CallReader,
    framed,
    is_json,
    messages_of,
    why_not_written,
    written,
)
from proxy.cli.commands.mock.reply import Reply, trailers_of
from proxy.enrich.grpc.messages import split
from proxy.enrich.http.exchange import DecodedBody
from proxy.http2.grpc import grpc_message, grpc_status_of
from storage.record import Body, Payload, Record

_NOT_FOUND: Final = 404
_OWN: Final = frozenset(("grpc-encoding", "content-encoding"))
"""Fields about the bytes as they were sent."""


class Calls(CallReader):
    """Decodes requests of calls, and encodes recorded answers."""

    def refusal(self, record: Record, payload: Payload) -> str:
        """Return the reason why a recorded call cannot answer another call; empty if it can."""
        if reason := super().refusal(record, payload):
            return reason
        trailers = {name.lower() for name, _ in split_fields(payload.response_trailers)}
        if "grpc-status" not in trailers and not field_of(payload.response_head, "grpc-status"):
            return "they are calls of gRPC without a status"
        if payload.response_body is not None and self._answer(record, payload) is None:
            response = self.method(record.path).response
            return f"the answer to a call of gRPC {why_not_written(response)}"
        return ""

    def recorded_request(self, path: str, head: bytes, body: Body) -> Body:
        """Return the messages of a recorded request in the form of received ones."""
        request = self.method(path).request
        rewritten = written(self.schema, request, head, body, messages_of(body) or ())
        if rewritten is None or not request:
            return body

        return self._shown(path, rewritten, is_json=is_json(head))

    def asked_request(self, path: str, content_type: str, encoding: str, body: bytes) -> Body:
        """Decode the messages of a received request."""
        messages = split(DecodedBody.beginning(body, len(body)), encoding or None)
        if not messages.is_whole:
            return Body(b"", b"", len(body), True, None, "coding")
        return self._shown(
            path, [each.data for each in messages.found], is_json="+json" in content_type.lower()
        )

    def _shown(self, path: str, messages: Iterable[bytes], *, is_json: bool) -> Body:
        text = self.shown(self.method(path).request, messages, are_json=is_json)
        return Body(text, b"", len(text), False, None, None)

    def reply(self, recorded: Recorded) -> Reply:
        """Return the answer of a call that `refusal` accepts."""
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
            content = self._answer(record, payload) or b""
        return Reply(record.status or 200, "", fields, content, trailers=trailers_of(payload))

    def _answer(self, record: Record, payload: Payload) -> bytes | None:
        """Encode the messages of an answer with their prefixes; return None if their recorded bytes
        cannot be determined.
        """
        messages = messages_of(payload.response_body)
        if messages is None:
            return None

        kind = self.method(record.path).response
        answer = written(self.schema, kind, payload.response_head, payload.response_body, messages)
        if answer is None:
            return None
        return framed(answer)


def miss_reply(text: str) -> Reply:
    """Return the answer to a call that no recording answers."""
    message = grpc_message(text).decode()
    fields = [
        ("content-type", "application/grpc"),
        ("grpc-status", str(grpc_status_of(_NOT_FOUND))),
    ]
    return Reply(200, "", [*fields, ("grpc-message", message)])
