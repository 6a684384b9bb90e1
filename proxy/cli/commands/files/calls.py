"""Sends gRPC calls again: unary and server-streaming ones.

Strategy: messages are encoded again (`call_messages.py`). The answer gets the form of a record:
with names of fields if the recorded one has names, and with its status in the trailers, even if the
service put it into the head.

Standard: gRPC over HTTP/2.
"""

import asyncio
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from api.native.projection import octets_of
from api.replay.request import Outgoing
from api.replay.sender import MAX_ANSWER_BYTES, Answer, NoAnswer, Unreached
from api.replay.suite import Recorded
from proxy.cli.commands.files.call_messages import (
    PROTOBUF,
    CallReader,
    framed,
    is_json,
    messages_of,
    why_not_written,
    written,
)
from proxy.cli.commands.files.http2_call import CallEnded, Http2Call, connect
from proxy.enrich.grpc.descriptors import Schema
from proxy.enrich.grpc.messages import split
from proxy.enrich.grpc.status import encoding_in
from proxy.enrich.http.answer import without_secrets
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.errors import why_unreached
from proxy.settings.addresses import UpstreamAddress
from storage.record import Body, Payload

_STATUS_FIELDS: Final = (b"grpc-status:", b"grpc-message:", b"grpc-status-details-bin:")
_OWN: Final = frozenset(("grpc-encoding", "content-length"))


class Calls:
    """Encodes calls, by a schema if there is one, sends them to one service, and decodes the
    answers.
    """

    def __init__(
        self,
        address: UpstreamAddress,
        tls: ssl.SSLContext | None,
        timeout_s: float,
        schema: Schema,
        redactor: Redactor,
    ) -> None:
        self._address = address
        self._tls = tls
        self._timeout_s = timeout_s
        self._reader = CallReader(schema, redactor)

    def refusal(self, recorded: Recorded) -> str:
        """Return the reason why a call cannot be sent; empty if it can."""
        _, record, payload = recorded
        assert payload is not None
        messages = messages_of(payload.request_body)
        if reason := self._reader.refusal(record, payload):
            return reason
        if not messages:
            return "the message of the gRPC call was not kept"
        if self._written(recorded, messages) is None:
            request = self._reader.method(record.path).request
            return f"it is a call of gRPC that {why_not_written(request)}"
        return ""

    def outgoing(self, recorded: Recorded, edited: Outgoing) -> Outgoing:
        """Encode the messages of a request, whose body has the form of a record.

        Raises:
            ValueError: after an edit, the body is not a message of the schema.
        """
        if edited.missing:
            return edited
        messages = msgspec.json.decode(edited.body)
        content = self._written(recorded, messages)
        if content is None:
            raise ValueError("its messages are no longer those of the schema")

        headers = [(name, value) for name, value in edited.headers if name.lower() not in _OWN]
        return edited._replace(headers=[*headers, ("TE", "trailers")], body=framed(content))

    def _written(self, recorded: Recorded, messages: Sequence[Any]) -> list[bytes] | None:
        """Encode messages; return None if their recorded bytes cannot be determined."""
        _, record, payload = recorded
        assert payload is not None
        kind = self._reader.method(record.path).request
        return written(
            self._reader.schema, kind, payload.request_head, payload.request_body, messages
        )

    async def send(self, request: Outgoing) -> tuple[Answer, bytes]:
        """Send a call; return its answer, and the lines of its trailers.

        Raises:
            NoAnswer: there is no answer, or it is not gRPC.
        """
        return await asyncio.to_thread(self._send, request)

    def _send(self, request: Outgoing) -> tuple[Answer, bytes]:
        fields = [(name, value) for name, value in request.headers if name.lower() != "host"]
        lines = b"".join(octets_of(f"{name}: {value}\r\n") for name, value in fields)

        path = self._address.base_path.encode() + octets_of(request.target)
        try:
            with connect(self._address, self._timeout_s, self._tls) as connection:
                at_us = time.time_ns() // 1000
                began_ns = time.monotonic_ns()
                call = Http2Call(connection, self._address, path, lines)
                call.send(request.body, is_end=True)
                is_whole = True
                while is_whole and not call.is_ended:
                    call.read()
                    is_whole = len(call.body) <= MAX_ANSWER_BYTES
        except CallEnded as error:
            raise NoAnswer(str(error)) from error
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {self._timeout_s:g} s") from error
        except ConnectionRefusedError as error:
            raise Unreached(why_unreached(error)) from error
        except OSError as error:
            raise NoAnswer(why_unreached(error)) from error

        assert call.head is not None
        head = call.head.text.rstrip(b"\r\n")
        took_us = (time.monotonic_ns() - began_ns) // 1000
        answer = Answer(call.head.status, head, bytes(call.body), is_whole, at_us, took_us)
        return answer, call.trailers or b""

    def payload(
        self,
        recorded: Recorded,
        answer: Answer,
        trailers: bytes,
        secrets: Iterable[str],
    ) -> Payload:
        """Return an answer in the form of a record's payload, without secrets and with the status
        in the trailers.
        """
        _, record, payload = recorded
        assert payload is not None
        size = len(answer.body) if answer.is_whole else None
        found = split(DecodedBody.beginning(answer.body, size), encoding_in(answer.head))
        kept: Body | None = None

        if answer.body:
            text = self._reader.shown(
                self._reader.method(record.path).response,
                [each.data for each in found.found],
                are_json=is_json(payload.response_head),
                has_names=_has_names(messages_of(payload.response_body)),
            )
            text = without_secrets(text, secrets)
            kept = Body(text, b"", len(answer.body), not found.is_whole, PROTOBUF, None)

        redact_head = self._reader.redactor.redact_head
        head = redact_head(without_secrets(answer.head, secrets))
        made = Payload(payload.request_head, head, None, kept)
        lines = redact_head(b"\r\n" + without_secrets(trailers, secrets))
        made.response_trailers = lines.removeprefix(b"\r\n")
        return with_status_in_trailers(made)


def with_status_in_trailers(payload: Payload) -> Payload:
    """Move the status of a call to its trailers; a call without messages has it in the head."""
    lines = payload.response_head.split(b"\r\n")
    moved = [line for line in lines if line.lower().startswith(_STATUS_FIELDS)]
    if not moved:
        return payload

    head = b"\r\n".join(line for line in lines if line not in moved)
    trailers = b"".join(line + b"\r\n" for line in moved) + payload.response_trailers
    return msgspec.structs.replace(payload, response_head=head, response_trailers=trailers)


def _has_names(messages: list[Any] | None) -> bool:
    """Return whether messages were decoded by a schema: their fields have names, not numbers."""
    names = [name for each in messages or () if isinstance(each, dict) for name in each]
    return not (names and all(map(str.isdecimal, names)))
