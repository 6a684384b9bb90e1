"""Tool calls of the Model Context Protocol, out of the exchanges that carry them (revisions 2024-11-05 to 2026-07-28).

One row per JSON-RPC `tools/call`: matched with its answer by id, in the same exchange as JSON, in a batch or among the
frames of a stream, or on another stream of the session. Whether it failed is said on three levels: by the transport, by
JSON-RPC, by the tool. Everything shown is redacted first.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from proxy.enrich.formats.frames import time_at
from proxy.enrich.formats.json_parts import decode, text_of
from proxy.enrich.http.bodies import Windows
from proxy.enrich.http.head_facts import Facts
from proxy.enrich.mcp.errors import failure_of, transport_failure
from proxy.enrich.mcp.jsonrpc import Answered, Asked, read_answers, read_cancellations, read_requests, text_member
from proxy.enrich.mcp.names import INFO, OLDEST_STREAM, endpoint_of, linked_call, name_in, session_of
from proxy.enrich.mcp.sessions import Early, Session, Sessions
from proxy.enrich.redact.compact import compact
from proxy.enrich.redact.redactor import Redactor
from proxy.ring.descriptor import RouteLabels
from storage.record import Outcome, Record, ToolCall, level_of, now_us
from storage.tools import search_text

MAX_VALUE_BYTES: Final = 64 * 1024
"""Of arguments, and of a result, after compaction; what is longer is stored as text, cut."""
DEFAULT_ROUTE: Final = "default"
_PATHS: Final = ("/mcp", "/mcp/")
_INFO_BYTES: Final = 16_384
"""How far into a result the server's name is looked for: capabilities come before it."""
_RAW: Final = msgspec.Raw()


class _Params(msgspec.Struct, gc=False):
    name: Any = None
    arguments: msgspec.Raw = _RAW
    meta: msgspec.Raw = msgspec.field(default=_RAW, name="_meta")
    client: msgspec.Raw = msgspec.field(default=_RAW, name="clientInfo")


class _Result(msgspec.Struct, gc=False):
    server: msgspec.Raw = msgspec.field(default=_RAW, name="serverInfo")
    version: Any = msgspec.field(default=None, name="protocolVersion")
    kind: Any = msgspec.field(default=None, name="resultType")
    meta: msgspec.Raw = msgspec.field(default=_RAW, name="_meta")


_PARAMS: Final = msgspec.json.Decoder(_Params)
_RESULT: Final = msgspec.json.Decoder(_Result)


def is_mcp(provider: str, record: Record, facts: Facts, response: Facts, answer: Windows | None) -> bool:
    """Tell, quickly, whether an exchange may carry MCP: by its route, its headers, or the end of its path."""
    if provider != "auto":
        return provider == "mcp"
    if facts.mcp_session or facts.mcp_version or response.mcp_session:
        return True
    if record.method == "POST":
        return record.path is not None and (record.path.endswith(_PATHS) or record.status == 202)
    return answer is not None and answer.head.startswith(OLDEST_STREAM)


class McpReader:
    """Reads tool calls for one sidecar; remembers sessions. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        """Redact with `redactor`."""
        self._redactor = redactor
        self._sessions = Sessions()

    def read(
        self,
        record: Record,
        labels: RouteLabels,
        heads: tuple[Facts, Facts],
        target: bytes,
        bodies: tuple[Windows | None, Windows | None],
        timeline: Sequence[tuple[int, int]],
    ) -> list[ToolCall]:
        """Read the calls that have ended with this exchange, and those that now wait; sets the outcome right.

        Args:
            record: of the exchange.
            labels: of its route.
            heads: of request and response.
            target: as sent, for the session in its query.
            bodies: of request and response, opened.
            timeline: of the response.
        """
        request, answer = bodies
        session = session_of(heads, target, answer)
        asked = [] if request is None else read_requests(request)
        answers = [] if answer is None else list(read_answers(answer, heads[1].content_type))
        calls: list[ToolCall] = []
        by_id = {found.id: found for found in answers}
        position = 0
        for message in asked:
            found = by_id.pop(message.id, None)
            if found is None and len(asked) == len(answers) == 1:
                found = by_id.popitem()[1] if by_id else None
            if session is None:
                self._learn_endpoint(record, found)
            if message.method == "initialize":
                self._learn(session, message, found)
            elif message.method == "tools/call":
                call = self._call(record, labels, heads[0], session, message, position)
                position += 1
                calls += self._settle(call, record, labels, found, timeline, session)
        if not asked:
            by_id |= {} if request is None else read_cancellations(request)
            calls += self._match(record, labels, by_id, timeline, session)
            if session is not None and answer is not None and answer.head.startswith(OLDEST_STREAM):
                calls += self._abandon(labels, session)
        for call in self._sessions.expire(now_us()):
            calls.append(_unanswered(call))
        _mend_outcome(record, asked, answers)
        return calls

    def running(self, record: Record, labels: RouteLabels, facts: Facts, target: bytes, body: bytes) -> list[ToolCall]:
        """Show the calls of an exchange in flight, as far as the beginning of its body tells."""
        if record.method != "POST" or b'"tools/call"' not in body:
            return []
        session = session_of((facts, facts), target, None)
        asked = read_requests(Windows(body, b"", len(body), False, None))
        asked = asked or read_requests(Windows(body, b"", len(body) + 1, True, None))
        tools = [message for message in asked if message.method == "tools/call"]
        return [self._call(record, labels, facts, session, message, place) for place, message in enumerate(tools)]

    def await_answers(self, calls: Iterable[ToolCall]) -> None:
        """Wait for the answers of calls that were stored as `processing` by the collector before this one."""
        for call in calls:
            if call.session is not None and call.rpc_id is not None:
                self._sessions.wait((call.session, call.rpc_id), call)

    def waiting(self) -> list[ToolCall]:
        """Show the calls whose answer will come on another stream."""
        return self._sessions.waiting()

    def _learn(self, session: str | None, message: Asked, answer: Answered | None) -> None:
        if session is None:
            return
        params = decode(_PARAMS, message.params)
        result = None if answer is None else decode(_RESULT, answer.result)
        server = None if result is None else decode(INFO, result.server)
        client = None if params is None else decode(INFO, params.client)
        text = self._redactor.redact_text
        self._sessions.learn(
            session,
            Session(
                None if server is None else text(text_of(server.name)),
                None if client is None else text(text_of(client.name)),
                None if result is None else text(text_of(result.version)),
            ),
        )

    def _learn_endpoint(self, record: Record, answer: Answered | None) -> None:
        """Learn from an answer without a session, for the calls of the same endpoint whose answers name no server."""
        result = None if answer is None or not answer.result else decode(_RESULT, answer.result)
        if result is not None and (server := name_in(result.meta, "serverInfo")) is not None:
            self._sessions.learn(endpoint_of(record), Session(self._redactor.redact_text(server)))

    def _learn_server(self, session: str, answer: Answered) -> None:
        """Learn from an `initialize` that is answered on another stream."""
        result = decode(_RESULT, answer.result)
        server = None if result is None else decode(INFO, result.server)
        if result is not None and server is not None:
            text = self._redactor.redact_text
            client = self._sessions.session(session).client
            self._sessions.learn(session, Session(text(text_of(server.name)), client, text(text_of(result.version))))

    def _call(
        self, record: Record, labels: RouteLabels, facts: Facts, session: str | None, message: Asked, position: int
    ) -> ToolCall:
        """Make a row that still waits for its answer."""
        params = decode(_PARAMS, message.params) if message.is_whole else None
        if params is None:
            name, arguments, linked = text_member(message.params, b"name"), b"", None
        else:
            name, arguments = text_of(params.name), bytes(params.arguments)
            linked = linked_call(params.meta)
        known = self._sessions.session(session or endpoint_of(record))
        client = known.client
        if session is None and params is not None:
            client = self._redactor.redact_text(name_in(params.meta, "clientInfo"))
        metadata = {
            "method": "tools/call",
            "protocol_version": facts.mcp_version.decode("utf-8", "replace") or known.version,
            "transport": "http",
            "rpc_id": message.id,
            "client": client,
            "session": session,
        }
        return ToolCall(
            record_id=record.id,
            position=position,
            started_at_us=record.started_at_us,
            created_at_us=now_us(),
            tool_name=self._redactor.redact_text(name) or "unknown",
            server_label=_label(labels, known),
            status="processing",
            arguments=self._shown(arguments),
            metadata=msgspec.json.encode({key: value for key, value in metadata.items() if value is not None}),
            rpc_id=message.id,
            session=session,
            llm_request_id=facts.llm_request_id or self._redactor.redact_text(linked),
            project=record.project,
            container=record.container,
            client=record.client,
            key_id=record.key_id,
            key_name=record.key_name,
            key_last4=record.key_last4,
        )

    def _settle(
        self,
        call: ToolCall,
        record: Record,
        labels: RouteLabels,
        answer: Answered | None,
        timeline: Sequence[tuple[int, int]],
        session: str | None,
    ) -> list[ToolCall]:
        """End a call with its answer, with the failure of the exchange, or let it wait; returns what has ended."""
        if answer is not None:
            at_us = time_at(timeline, answer.end) if answer.end >= 0 else None
            transport = "http" if answer.end < 0 else "sse"
            self._end(call, answer, record.duration_us if at_us is None else at_us, transport, record.status, labels)
            return [call]
        failure = transport_failure(record)
        if failure is None and session is not None and call.rpc_id:
            key = (session, call.rpc_id)
            early = self._sessions.take_early(key)
            if early is None:
                # A copy: the batch that stores it may be on its way for long, and the call goes on.
                return [msgspec.structs.replace(call), *map(_unanswered, self._sessions.wait(key, call))]
            latency_us = max(0, early.at_us - call.started_at_us)
            self._end(call, early.answer, latency_us, "other_stream", record.status, labels)
            return [call]
        call.status = "error"
        call.latency_us = record.duration_us
        call.error_details = msgspec.json.encode(failure or transport_failure(record, is_answer_missing=True))
        call.search = search_text(call.arguments)
        return [call]

    def _match(
        self,
        record: Record,
        labels: RouteLabels,
        answers: dict[str, Answered],
        timeline: Sequence[tuple[int, int]],
        session: str | None,
    ) -> list[ToolCall]:
        """End the calls that were answered on a stream of their session."""
        ended: list[ToolCall] = []
        if session is None:
            return ended
        for rpc_id, answer in answers.items():
            if b'"serverInfo"' in answer.result[:_INFO_BYTES]:
                self._learn_server(session, answer)
            after_us = time_at(timeline, answer.end) if answer.end >= 0 else None
            at_us = record.started_at_us + (record.duration_us if after_us is None else after_us)
            call = self._sessions.take((session, rpc_id))
            if call is None:
                self._sessions.keep_early((session, rpc_id), Early(answer, at_us))
                continue
            _complete(call, labels, self._sessions.session(session))
            self._end(call, answer, max(0, at_us - call.started_at_us), "other_stream", 200, labels)
            ended.append(call)
        return ended

    def _abandon(self, labels: RouteLabels, session: str) -> list[ToolCall]:
        """End the calls of a session whose one stream has ended: it brought all answers there will be."""
        known = self._sessions.session(session)
        abandoned = self._sessions.take_all(session)
        for call in abandoned:
            _complete(call, labels, known)
        return [_unanswered(call) for call in abandoned]

    def _end(
        self,
        call: ToolCall,
        answer: Answered,
        latency_us: int,
        transport: str,
        http_status: int | None,
        labels: RouteLabels,
    ) -> None:
        result = decode(_RESULT, answer.result) if answer.is_whole and not answer.error else None
        failure = failure_of(answer, http_status, self._redactor)
        call.latency_us = latency_us
        call.status = "success" if failure is None else "error"
        call.result = self._shown(answer.result)
        metadata = msgspec.json.decode(call.metadata) | {"transport": transport}
        if result is not None:
            if (kind := text_of(result.kind)) is not None:
                metadata["result_type"] = kind
            server = name_in(result.meta, "serverInfo")
            if server is not None and labels.id == DEFAULT_ROUTE:
                call.server_label = self._redactor.redact_text(server) or server
        call.metadata = msgspec.json.encode(metadata)
        if failure is not None:
            call.error_details = msgspec.json.encode(failure)
        elif labels.tool_cost_usd:
            call.cost_usd = labels.tool_cost_usd.get(call.tool_name, 0.0)
        call.search = search_text(call.arguments, call.result)

    def _shown(self, value: bytes) -> bytes | None:
        """Redact, compact and bound a value."""
        if not value:
            return None
        shown = compact(self._redactor.redact_value(value))
        if len(shown) <= MAX_VALUE_BYTES and msgspec_is_json(shown):
            return shown
        text = shown[:MAX_VALUE_BYTES].decode("utf-8", "replace")
        return msgspec.json.encode({"omitted": "truncated", "bytes": len(value), "text": text})


def msgspec_is_json(text: bytes) -> bool:
    """Whether text is one JSON document that can be put into another."""
    return decode(_ANYTHING, text) is not None


_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)


def _label(labels: RouteLabels, session: Session) -> str:
    if labels.id and labels.id != DEFAULT_ROUTE:
        return labels.id
    return session.server or labels.id or DEFAULT_ROUTE


def _complete(call: ToolCall, labels: RouteLabels, known: Session) -> None:
    """Add to a call what only its session's stream told: the server's name and the revision."""
    if call.server_label == DEFAULT_ROUTE:
        call.server_label = _label(labels, known)
    if known.version is not None:
        call.metadata = msgspec.json.encode({"protocol_version": known.version} | msgspec.json.decode(call.metadata))


def _unanswered(call: ToolCall) -> ToolCall:
    """End a call whose answer never came."""
    call.status = "error"
    call.error_details = msgspec.json.encode(
        {"is_bifrost_error": False, "error": {"type": "no_answer", "message": "no answer was seen on any stream"}}
    )
    call.search = search_text(call.arguments)
    return call


def _mend_outcome(record: Record, asked: list[Asked], answers: list[Answered]) -> None:
    """A client that leaves when it has its answer was not interrupted."""
    if record.outcome == Outcome.CLIENT_CLOSED and asked and {a.id for a in asked} <= {a.id for a in answers}:
        record.outcome = Outcome.OK.value
        record.level = level_of(record.status, record.outcome)
