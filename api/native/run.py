"""The run of an agent as one page: the calls of a conversation whole, and the MCP calls between
them; also as a file.

Each call of an agent sends all that was said before: a step has what is new in it. The file has the
same data, the modules of the UI that draw it, and nothing to load: a browser opens it without
sidelog.
"""

import asyncio
import base64
import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
from aiohttp import web

from api.assets import load_assets, resolved_imports
from api.http.cursor import cursor_after, read_cursor
from api.http.params import read_page, refuse_unknown
from api.http.responses import JsonObject, encode_rows, filled, json_response
from api.native.chat.chat import Steps
from api.native.conversations import ConversationShown, calls_of, read_conversation
from api.native.projection import record_json
from api.native.tool_calls import project_call
from api.services import Services, services_of
from storage.failure_message import error_message
from storage.query import Filter, RecordQuery
from storage.record import Record, ToolCall, format_id
from storage.search.expression import Is
from storage.tools import ToolFilter, ToolQuery

DEFAULT_STEPS: Final = 20
MAX_STEPS: Final = 50
MAX_MCP_CALLS: Final = 500
"""Looked at between the calls of a page."""
MAX_FILE_BYTES: Final = 64 << 20
_AFTER_US: Final = 600_000_000
"""How long behind the last call a tool may still be called for it."""
_SHELL: Final = "conversations/run.html"
_VIEW: Final = "conversations/run-file.js"
_STYLES: Final = (
    "lib/tokens.css",
    "style.css",
    "pages/pages.css",
    "record/sheet.css",
    "conversations/run.css",
)
_ENCODER: Final = msgspec.json.Encoder()


class Run(ConversationShown, kw_only=True):
    """A conversation, and a page of its calls. Each is a record with its `chat` (the new messages)
    and its `mcp_calls`. Their `joined_by` is the reason why they are here: request, trace, session
    or time.
    """

    steps: list[JsonObject]
    next_cursor: str | None
    complete: bool


async def get_run(request: web.Request) -> web.Response:
    """Return one conversation with its calls whole, and the MCP calls between them, oldest first."""
    services = services_of(request)
    limit, after = read_page(request.query, DEFAULT_STEPS, MAX_STEPS)
    return json_response(await _read(services, request.match_info["id"], limit, after))


async def _read(services: Services, text: str, limit: int, after: int | None) -> Run:
    found, shown = await read_conversation(services.storage, text)
    # The call before the page is read once more: what it said is not new.
    start = None if after is None else after - 1
    page = await services.storage.read(calls_of(found, limit + 2, start))
    before = [record for record in page.records if after is not None and record.seq <= after]
    behind = page.records[len(before) :]
    records, following = behind[:limit], behind[limit:]
    end = records[-1].seq if following else page.next_after
    calls = await _mcp_calls(services, records, following[0].started_at_us if following else None)
    rows = await encode_rows(await _steps(services, before, records, calls), dict)
    return filled(Run, shown, page, steps=rows, next_cursor=cursor_after("asc", end))


async def _steps(
    services: Services, before: Sequence[Record], records: Sequence[Record],
    calls: list[tuple[ToolCall, str]],
) -> list[JsonObject]:  # fmt: skip
    """Show records with what they say that those before do not; one after the other, as bodies are
    large.
    """
    steps: list[JsonObject] = []
    reader = Steps()
    for record in (*before, *records):
        payload = (await services.storage.payloads([record.seq])).get(record.seq)
        chat = reader.read(record, payload)
        await asyncio.sleep(0)  # a large body takes some milliseconds
        step = record_json(record) | {"error_message": error_message(record, payload)}
        steps.append(step | {"chat": chat, "mcp_calls": list[object]()})

    del steps[: len(before)]
    starts = [record.started_at_us for record in records]
    for call, why in calls:
        members = msgspec.structs.asdict(project_call(call)) | {"joined_by": why}
        shown = {name: value for name, value in members.items() if value is not msgspec.UNSET}
        steps[max(0, bisect_right(starts, call.started_at_us) - 1)]["mcp_calls"].append(shown)

    return steps


async def _mcp_calls(
    services: Services, records: Sequence[Record], end_us: int | None
) -> list[tuple[ToolCall, str]]:
    """Find the MCP calls that belong to a page of calls, oldest first, each with why."""
    if not records:
        return []
    if end_us is None:
        until_us = records[-1].ended_at_us + _AFTER_US
    else:
        until_us = end_us - 1
    filter = ToolFilter(since_us=records[0].started_at_us, until_us=until_us)
    found = await services.storage.read(ToolQuery(filter=filter, order="asc", limit=MAX_MCP_CALLS))
    if not found.calls:
        return []

    ids = tuple(dict.fromkeys(format_id(call.record_id) for call in found.calls))
    asked = RecordQuery(filter=Filter(kind="all", where=Is("id", ids)), limit=len(ids))
    traces = {record.id: record.trace_id for record in (await services.storage.read(asked)).records}
    return joined(records, found.calls, traces)


def joined(
    records: Sequence[Record], calls: Sequence[ToolCall], traces: dict[bytes, str | None]
) -> list[tuple[ToolCall, str]]:
    """Say which calls belong to the records: they name one, share its trace or a session, or one
    had asked for them.

    `traces` has the trace of each call's own record, by its id.
    """
    own_traces = {record.trace_id for record in records} - {None}
    names = {
        name for record in records for name in (format_id(record.id), record.request_id) if name
    }
    reasons: dict[tuple[bytes, int], str] = {}

    for call in calls:
        if call.llm_request_id in names:
            reasons[call.record_id, call.position] = "request"
        elif traces.get(call.record_id) in own_traces:
            reasons[call.record_id, call.position] = "trace"
        elif _was_asked_for(records, call):
            reasons[call.record_id, call.position] = "time"

    sure = {
        call.session
        for call in calls
        if reasons.get((call.record_id, call.position), "time") != "time"
    } - {None}
    found = []
    for call in calls:
        why = reasons.get((call.record_id, call.position))
        if call.session in sure and why in (None, "time"):
            why = "session"
        if why is not None:
            found.append((call, why))

    return found


def _was_asked_for(records: Sequence[Record], call: ToolCall) -> bool:
    """Return True if the newest model call before a tool call asked for the tool, by its name alone
    or with a prefix such as the server's name.
    """
    before = [record for record in records if record.started_at_us <= call.started_at_us]
    stream = before[-1].stream if before else None
    if stream is not None:
        asked = stream.tools or ()
    else:
        asked = ()
    return any(
        name == call.tool_name or re.search(rf"[._/-]{re.escape(call.tool_name)}$", name)
        for name in asked
    )


async def download_run(request: web.Request) -> web.StreamResponse:
    """Download the run as one HTML file that shows it by itself."""
    services = services_of(request)
    text = request.match_info["id"]
    refuse_unknown(request.query, frozenset())
    run = await _read(services, text, MAX_STEPS, None)
    headers = {"Content-Disposition": f'attachment; filename="run-{run.id}.html"'}
    response = web.StreamResponse(headers=headers)
    response.content_type = "text/html"
    response.charset = "utf-8"
    await response.prepare(request)
    before, after = _frame()
    await response.write(before + b"[")
    size = 0

    while True:
        # No markup can begin in the data: JSON may write `<` as its number.
        page = _ENCODER.encode(run).replace(b"<", b"\\u003c")
        size += len(page)
        await response.write(page)
        if run.next_cursor is None or size >= MAX_FILE_BYTES:
            break

        run = await _read(services, text, MAX_STEPS, read_cursor(run.next_cursor, "asc"))
        await response.write(b",")

    await response.write(b"]" + after)
    return response


@lru_cache(maxsize=1)
def _frame() -> tuple[bytes, bytes]:
    """Return what stands before the data in a file, and behind it."""
    assets = load_assets()
    modules = {
        name: f"data:text/javascript;base64,{base64.b64encode(resolved_imports(name, content)).decode()}"
        for name, content in assets.modules(_VIEW).items()
    }
    shell = assets.files[_SHELL].content
    shell = shell.replace(
        b"/* styles */", b"\n".join(assets.files[name].content for name in _STYLES)
    )
    before, _, after = shell.replace(
        b'"imports": {}', b'"imports": ' + _ENCODER.encode(modules)
    ).rpartition(b"[]")
    return before, after
