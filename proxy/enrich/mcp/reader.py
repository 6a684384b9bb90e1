"""Read tool calls of the Model Context Protocol from exchanges (revisions 2024-11-05 to
2026-07-28).

One row per JSON-RPC `tools/call`: matched with its response by id, in the same exchange as JSON, in
a batch or among the frames of a stream, or on another stream of the session. A call can fail on
three levels: transport, JSON-RPC, tool. Everything stored is redacted first.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from proxy.enrich.facts import Facts
from proxy.enrich.formats.frames import time_at
from proxy.enrich.formats.json_parts import (
    decode,
    find_text,
    is_object,
    members_of,
    text_of,
    value_at,
    value_in,
)
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange
from proxy.enrich.mcp import sessions, tasks
from proxy.enrich.mcp.errors import (
    MAX_MESSAGE_CHARACTERS,
    failed,
    failed_tool_of,
    failure_of,
    has_everything,
    missing_response,
    reported_failure,
    transport_failure,
    wait_us,
    without_message,
    without_response,
)
from proxy.enrich.mcp.jsonrpc import (
    RpcRequest,
    RpcResponse,
    read_cancellations,
    read_requests,
    read_responses,
    read_task_states,
)
from proxy.enrich.mcp.refusal import Refusal, refusal_of
from proxy.enrich.mcp.shown_ids import ShownIds
from proxy.enrich.redact.compact import compact
from proxy.enrich.redact.redactor import Redactor
from proxy.ring.descriptor import RouteLabels
from storage.record import Record, ToolCall, now_us
from storage.tools import search_text

TEXT: Final = "text"
"""Metadata key of a call whose text is not kept."""
MAX_VALUE_BYTES: Final = 64 * 1024
"""Limit of arguments, and of a result, after compaction. A longer value is stored as text, cut."""
DEFAULT_ROUTE: Final = "default"
_ASKS_BACK: Final = "input_required"
"""Type of an intermediate result: the client is asked for input and calls the tool again with it.
"""
_TASK_KEY: Final = "task "
"""Prefix of a task id among the JSON-RPC ids of pending calls.

No JSON-RPC id begins with a letter.
"""
_INFO_BYTES: Final = 16_384
"""Bytes of a result that are searched for the server's name. Capabilities come before it."""
_FAILED: Final = 400
"""Lowest status of a request that was not accepted."""
_RAW: Final = msgspec.Raw()
_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)


class _Seen(NamedTuple):
    """An exchange, with its session and its refusal."""

    record: Record
    exchange: DecodedExchange
    session: str | None
    refusal: Refusal | None
    """Redacted."""

    @property
    def scope(self) -> str:
        """The session; in revisions without sessions, the endpoint."""
        return self.session or sessions.endpoint_of(self.record)

    def answered_at_us(self, response: RpcResponse) -> int:
        """Return the arrival time of a response: that of its frame, else the end of the exchange."""
        after_us = time_at(self.exchange.timeline, response.end)
        return self.record.started_at_us + (
            self.record.duration_us if after_us is None else after_us
        )


class _Answered(NamedTuple):
    """The result of matching the requests of an exchange with its responses."""

    calls: list[ToolCall]
    """Calls to store: ended and pending ones."""
    rest: dict[str, RpcResponse]
    """Responses to other requests, by id."""
    begun_by: bytes | None
    """Id of the record that began a task."""


class McpReader:
    """Reads tool calls for one sidecar and keeps their sessions. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._sessions = sessions.Sessions()
        self._ids = ShownIds(redactor)

    def read(self, record: Record, exchange: DecodedExchange) -> Facts:
        """Return the calls that ended with this exchange, those now pending, and the exchange's
        error.
        """
        request = exchange.request_body
        response = exchange.response_body
        session = sessions.session_of(record, exchange)
        seen = _Seen(record, exchange, session, self._refusal_of(record, exchange))
        requests = [] if request is None else self._requests_of(request)
        responses = self._responses_of(seen, requests)
        calls, by_id, begun_by = self._answered_calls(seen, requests, responses)
        lost: list[ToolCall] = []

        if session is not None and requests:
            # Responses to other calls, whose own stream broke off.
            others = {
                rpc_id: found
                for rpc_id, found in by_id.items()
                if self._sessions.is_pending((session, rpc_id))
            }
            calls += self._end_pending(seen, others, session)
        elif session is not None:
            cancelled = {} if request is None else read_cancellations(request)
            by_id |= {self._ids.shown(rpc_id): response for rpc_id, response in cancelled.items()}
            calls += self._end_pending(seen, by_id, session)
            if _ends_session(record, response):
                lost = self._end_session(exchange, session)

        content_type = exchange.response.content_type
        for state in [] if response is None else read_task_states(response, content_type):
            if (task := tasks.task_of_notification(state)) is not None:
                begun, ended = self._read_task(seen, "", state, task)
                begun_by = begun or begun_by
                calls += ended

        is_idle = session is not None and not lost and not self._sessions.has_pending(session)
        facts = Facts(tools=calls + lost, begun_by=begun_by)
        facts.is_whole = has_everything(record, requests, responses, is_idle=is_idle)
        if seen.refusal is not None:
            facts.error_type = seen.refusal.code
            if seen.refusal.message is not None:
                facts.data["error_message"] = seen.refusal.message
        _note_failures(facts, record, exchange, responses)
        return facts

    def _answered_calls(
        self, seen: _Seen, requests: list[RpcRequest], responses: list[RpcResponse]
    ) -> _Answered:
        """Match each request of an exchange with its response."""
        by_id = {found.id: found for found in responses}
        calls: list[ToolCall] = []
        begun_by: bytes | None = None
        position = 0

        for message in requests:
            found = by_id.pop(message.id, None)
            if found is None and len(requests) == 1:  # an error that precedes the id has no id
                found = by_id.pop("", None)
            if seen.session is None:
                self._update_endpoint(seen.record, found)

            if message.method == "initialize" and seen.session is not None:
                client = text_of(value_at(message.params, "clientInfo", "name"))
                self._update_session(seen.session, self._redactor.redact_text(client), found)
            elif message.method == "tools/call":
                call = self._new_call(seen.record, seen.exchange, seen.session, message, position)
                position += 1
                calls += self._end_or_wait(call, seen, found, has_others=bool(by_id))
            elif found is not None and (task := tasks.task_of_request(message)) is not None:
                begun, ended = self._read_task(seen, message.method, found, task)
                begun_by = begun or begun_by
                calls += ended

        return _Answered(calls, by_id, begun_by)

    def _requests_of(self, body: DecodedBody) -> list[RpcRequest]:
        return [request._replace(id=self._ids.shown(request.id)) for request in read_requests(body)]

    def _refusal_of(self, record: Record, exchange: DecodedExchange) -> Refusal | None:
        """Return why a request was refused for its token, redacted; None if it was not."""
        refusal = None if record.error_type is not None else refusal_of(record, exchange)
        if refusal is None:
            return None
        if not refusal.message or not exchange.keeps_text:
            return Refusal(refusal.code, None)
        message = self._redactor.redact_text(refusal.message[:MAX_MESSAGE_CHARACTERS])
        return Refusal(refusal.code, message)

    def _responses_of(self, seen: _Seen, requests: list[RpcRequest]) -> list[RpcResponse]:
        """Read the responses. A refused request has none."""
        body = seen.exchange.response_body
        if body is None or seen.refusal is not None:
            return []
        found = read_responses(body, seen.exchange.response.content_type, requests)
        return [response._replace(id=self._ids.shown(response.id)) for response in found]

    def in_flight(self, record: Record, exchange: DecodedExchange) -> list[ToolCall]:
        """Return the calls of an exchange in flight, as far as the beginning of its body shows
        them.
        """
        body = exchange.request_body
        if record.method != "POST" or body is None or b'"tools/call"' not in body.head:
            return []

        session = sessions.session_of(record, exchange)
        requests = self._requests_of(body) or self._requests_of(
            DecodedBody.beginning(body.head, None)
        )
        tools = [message for message in requests if message.method == "tools/call"]
        return [
            self._new_call(record, exchange, session, message, place)
            for place, message in enumerate(tools)
        ]

    def await_responses(self, calls: Iterable[ToolCall]) -> None:
        """Wait for responses of calls that were stored as `processing` before this process started."""
        for call in calls:
            metadata = msgspec.json.decode(call.metadata)
            if (task := metadata.get(tasks.TASK)) is not None:
                key = (call.session or metadata.get(tasks.SCOPE, ""), _TASK_KEY + task)
                self._sessions.add_pending(key, call, tasks.MAX_WAIT_US)
            elif call.session is not None and call.rpc_id is not None:
                self._sessions.add_pending((call.session, call.rpc_id), call)

    def expired(self) -> list[ToolCall]:
        """Return the calls whose deadline has passed, and forget them."""
        return [without_response(call) for call in self._sessions.expire(now_us())]

    def pending(self) -> list[ToolCall]:
        """Return the calls that wait for a response on another stream."""
        return self._sessions.pending()

    def _update_session(
        self, session: str, client: str | None, response: RpcResponse | None
    ) -> None:
        """Keep the names of a session's client and server, and the version of the protocol; `response`
        is that to `initialize`.
        """
        result = {} if response is None else members_of(response.result)
        text = self._redactor.redact_text
        server = text(text_of(value_at(result.get("serverInfo", _RAW), "name")))
        version = text(text_of(value_in(result, "protocolVersion")))
        self._sessions.update(session, sessions.Session(server, client, version))

    def _update_endpoint(self, record: Record, response: RpcResponse | None) -> None:
        """Keep the server's name for other calls of the endpoint: their responses may not name it."""
        result = {} if response is None else members_of(response.result)
        if (server := sessions.name_in(result.get("_meta", _RAW), "serverInfo")) is not None:
            self._sessions.update(
                sessions.endpoint_of(record), sessions.Session(self._redactor.redact_text(server))
            )

    def _new_call(
        self,
        record: Record,
        exchange: DecodedExchange,
        session: str | None,
        message: RpcRequest,
        position: int,
    ) -> ToolCall:
        params = members_of(message.params) if message.is_whole else {}
        text = self._redactor.redact_text
        known = self._sessions.get(session or sessions.endpoint_of(record))
        client = known.client
        arguments = b""
        llm_request_id = None

        if not params:
            name = find_text(message.params, b"name")
        else:
            name = text_of(value_in(params, "name"))
            arguments = bytes(params.get("arguments", b""))
            meta = params.get("_meta", _RAW)
            if is_object(meta):
                llm_request_id = find_text(bytes(meta), b"llm_request_id")
            if session is None:
                client = text(sessions.name_in(meta, "clientInfo"))

        metadata = {
            "method": "tools/call",
            "protocol_version": exchange.request.mcp_version.decode("utf-8", "replace")
            or known.version,
            "transport": "http",
            "rpc_id": message.id,
            "client": client,
            "session": session,
            TEXT: None if exchange.keeps_text else "not kept",
        }
        return ToolCall(
            record_id=record.id,
            position=position,
            started_at_us=record.started_at_us,
            created_at_us=now_us(),
            tool_name=text(name) or "unknown",
            server_label=_server_label(exchange.labels, known),
            status="processing",
            arguments=self._stored_value(arguments, len(arguments))
            if exchange.keeps_text
            else None,
            metadata=msgspec.json.encode(
                {key: value for key, value in metadata.items() if value is not None}
            ),
            rpc_id=message.id,
            session=session,
            llm_request_id=exchange.request.llm_request_id or text(llm_request_id),
            project=record.project,
            container=record.container,
            client=record.client,
            key_id=record.key_id,
            key_name=record.key_name,
            key_last4=record.key_last4,
        )

    def _end_or_wait(
        self, call: ToolCall, seen: _Seen, response: RpcResponse | None, *, has_others: bool
    ) -> list[ToolCall]:
        """End a call with its response or the failure of the exchange, or keep it pending.

        Returns:
            The calls to store.
        """
        record = seen.record
        labels = seen.exchange.labels
        task = None if response is None else tasks.created(response)
        if (
            response is not None
            and task is not None
            and (response := tasks.ending(response)) is None
        ):
            return self._await_task(call, *task, seen)

        if response is not None:
            transport = "http" if response.end < 0 else "sse"
            latency_us = seen.answered_at_us(response) - record.started_at_us
            return [self._end(call, response, latency_us, transport, record.status, labels)]

        failure = transport_failure(record, seen.refusal)
        waits_us = 0
        if seen.session is not None:
            waits_us = wait_us(record, seen.exchange, has_others=has_others)
        # A stream that broke off is resumed by a request of its own, which brings the response.
        is_resumed = waits_us == sessions.RESUME_US and (record.status or _FAILED) < _FAILED
        if (failure is None or is_resumed) and seen.session is not None and call.rpc_id:
            key = (seen.session, call.rpc_id)
            if (early := self._sessions.take_early(key)) is not None:
                latency_us = max(0, early.at_us - call.started_at_us)
                return [
                    self._end(
                        call, early.response, latency_us, "other_stream", record.status, labels
                    )
                ]
            if waits_us:
                stored = self._await(key, call, waits_us)
                if failure is not None:  # the error to report if the stream is not resumed
                    call.error_details = msgspec.json.encode(failure)
                return stored

        body = seen.exchange.response_body
        is_seen = not record.response_bytes or (body is not None and not body.is_truncated)
        return [
            failed(call, record.duration_us, failure or missing_response(record, is_seen=is_seen))
        ]

    def _await_task(self, call: ToolCall, task: str, ttl_us: int, seen: _Seen) -> list[ToolCall]:
        """Keep a call with a task for the lifetime of the task, until its result is fetched."""
        metadata = msgspec.json.decode(call.metadata) | {tasks.TASK: task}
        metadata |= {} if seen.session is not None else {tasks.SCOPE: seen.scope}
        call.metadata = msgspec.json.encode(metadata)
        return self._await((seen.scope, _TASK_KEY + task), call, ttl_us or tasks.MAX_WAIT_US)

    def _await(self, key: tuple[str, str], call: ToolCall, most_us: int) -> list[ToolCall]:
        # This is a copy, since the batch that stores it may wait for long while the call goes on.
        evicted = self._sessions.add_pending(key, call, most_us)
        return [msgspec.structs.replace(call), *map(without_response, evicted)]

    def _read_task(
        self, seen: _Seen, method: str, response: RpcResponse, task: str
    ) -> tuple[bytes | None, list[ToolCall]]:
        """End the call of a task with its result or cancellation.

        Returns:
            The id of the record that began the task, if its call is pending, and the ended call.
        """
        ending = tasks.ending(response) or (response if method == "tasks/result" else None)
        key = (seen.scope, _TASK_KEY + task)
        call = (
            self._sessions.take_pending(key)
            if ending is not None
            else self._sessions.get_pending(key)
        )
        if call is None or ending is None:
            return None if call is None else call.record_id, []

        latency_us = max(0, seen.answered_at_us(ending) - call.started_at_us)
        status = seen.record.status
        ended = self._end(call, ending, latency_us, "task", status, seen.exchange.labels)
        return call.record_id, [ended]

    def _end_pending(
        self, seen: _Seen, responses: dict[str, RpcResponse], session: str
    ) -> list[ToolCall]:
        labels = seen.exchange.labels
        ended: list[ToolCall] = []
        for rpc_id, response in responses.items():
            if b'"serverInfo"' in response.result[:_INFO_BYTES] and is_object(
                members_of(response.result).get("serverInfo", _RAW)
            ):
                self._update_session(session, self._sessions.get(session).client, response)
            at_us = seen.answered_at_us(response)
            call = self._sessions.take_pending((session, rpc_id))
            if call is None:
                self._sessions.keep_early(
                    (session, rpc_id), sessions.EarlyResponse(response, at_us)
                )
                continue

            _apply_session(call, labels, self._sessions.get(session))
            latency_us = max(0, at_us - call.started_at_us)
            ended.append(self._end(call, response, latency_us, "other_stream", 200, labels))

        return ended

    def _end_session(self, exchange: DecodedExchange, session: str) -> list[ToolCall]:
        """End the pending calls of a session after its only stream has ended: no response can come."""
        known = self._sessions.get(session)
        calls = self._sessions.take_all_pending(session)
        for call in calls:
            _apply_session(call, exchange.labels, known)
        stream = exchange.response_body
        is_seen = stream is None or not stream.is_truncated
        return [without_response(call, is_seen=is_seen) for call in calls]

    def _end(
        self,
        call: ToolCall,
        response: RpcResponse,
        latency_us: int,
        transport: str,
        http_status: int | None,
        labels: RouteLabels,
    ) -> ToolCall:
        result = members_of(response.result) if response.is_whole and not response.error else {}
        failure = failure_of(response, http_status, self._redactor)
        call.latency_us = latency_us
        call.error_details = None
        call.status = "success" if failure is None else "error"

        metadata = msgspec.json.decode(call.metadata) | {"transport": transport}
        if TEXT not in metadata:
            sent_bytes = len(response.result) if response.is_whole else response.sent_bytes
            call.result = self._stored_value(response.result, sent_bytes)
        elif failure is not None:
            failure = without_message(failure)

        if (kind := text_of(value_in(result, "resultType"))) is not None:
            metadata["result_type"] = kind
        server = sessions.name_in(result.get("_meta", _RAW), "serverInfo")
        if server is not None and labels.id == DEFAULT_ROUTE:
            call.server_label = self._redactor.redact_text(server) or server
        call.metadata = msgspec.json.encode(metadata)
        if failure is not None:
            call.error_details = msgspec.json.encode(failure)
        elif labels.tool_cost_usd and metadata.get("result_type") != _ASKS_BACK:
            call.cost_usd = labels.tool_cost_usd.get(call.tool_name, 0.0)

        call.search = search_text(call.arguments, call.result)
        return call

    def _stored_value(self, value: bytes, sent_bytes: int | None) -> bytes | None:
        """Return the stored form of a value.

        `sent_bytes` is its full length, None if unknown.
        """
        if not value:
            return None
        # This decoder accepts bytes that are not UTF-8; later readers do not.
        stored = compact(self._redactor.redact_value(value)).decode("utf-8", "replace").encode()
        read = decode(_ANYTHING, stored) if len(stored) <= MAX_VALUE_BYTES else None
        if read is not None:
            return bytes(read)

        text = stored[:MAX_VALUE_BYTES].decode("utf-8", "replace")
        size = {} if sent_bytes is None else {"bytes": sent_bytes}
        return msgspec.json.encode({"omitted": "truncated", **size, "text": text})


def _ends_session(record: Record, response: DecodedBody | None) -> bool:
    """Return True if an exchange without requests ends its session.

    Either the session was deleted, or its event stream has ended.
    """
    if record.method == "DELETE" and record.status is not None and record.status < 400:
        return True
    return response is not None and sessions.opens_sse_transport(response.head)


def _note_failures(
    facts: Facts, record: Record, exchange: DecodedExchange, responses: list[RpcResponse]
) -> None:
    """Record the failed tools, and the error of the exchange that follows from them."""
    if record.error_type is None and facts.error_type is None:
        facts.error_type = reported_failure(record, facts.tools, responses)
    facts.is_tools_fault = record.error_type is not None or facts.error_type is not None
    failed = [call for call in facts.tools if call.status == "error"]
    facts.failed_tools = [failed_tool_of(call, keeps_text=exchange.keeps_text) for call in failed]


def _server_label(labels: RouteLabels, session: sessions.Session) -> str:
    if labels.id and labels.id != DEFAULT_ROUTE:
        return labels.id
    return session.server or labels.id or DEFAULT_ROUTE


def _apply_session(call: ToolCall, labels: RouteLabels, known: sessions.Session) -> None:
    """Add to a call the server's name and the protocol version, known from its session's stream."""
    if call.server_label == DEFAULT_ROUTE:
        call.server_label = _server_label(labels, known)
    if known.version is not None:
        call.metadata = msgspec.json.encode(
            {"protocol_version": known.version} | msgspec.json.decode(call.metadata)
        )
