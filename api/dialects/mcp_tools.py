"""The tools for agents: their arguments, their requests to the native API, and their short answers.

Answers are for a model: short, without empty members, with ids to continue with. A tool has the
parameters of the API path that it uses, under the same names, so their meaning is described once.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
from multidict import MultiDict

from api.dialects.mcp_arguments import read_arguments
from api.http.errors import Refused
from api.http.id_beginnings import ids_beginning, listing_of
from api.http.params import read_int
from storage.search.language.words import PREFIXES, WORDS

Ask = Callable[[str, Mapping[str, str]], Awaitable[Any]]
Arguments = Mapping[str, str]
Json = dict[str, Any]

SEARCH_LANGUAGE: Final = "sidelog://search-language"
DEFAULT_PERIOD: Final = "1h"
BODY_CHARACTERS: Final = 1500
MAX_BODY_CHARACTERS: Final = 15_000
MAX_CHANGES: Final = 40
"""Changes shown of one part of a comparison."""
_VALUE_CHARACTERS: Final = 300
"""Characters shown of a header, or of a changed value."""
_AROUND: Final = timedelta(minutes=1)
_RECORD: Final = (
    "id",
    "started_at",
    "in_flight",
    "kind",
    "name",
    "method",
    "host",
    "path",
    "query",
    "status",
    "outcome",
    "error_type",
    "message",
    "service",
    "endpoint",
    "provider",
    "model",
    "called_tools",
    "failed_tools",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "finish_reason",
    "conversation",
    "trace_id",
    "weight",
)
_MORE: Final = (
    "level",
    "error_message",
    "client_ip",
    "direction",
    "upstream",
    "route_id",
    "project",
    "key_name",
    "user_id",
    "request_id",
    "request_bytes",
    "response_bytes",
    "connect_us",
    "first_byte_us",
    "upstream_us",
    "data",
    "redactions",
)
"""Members that only the answer about a single record has."""
_GRAMMAR: Final = """# Search language

Terms beside each other must all match; `or` is weaker, `-` or `not` is stronger, brackets group.
A term is `word:value`, with alternatives behind commas (`status:404,5xx`), `*` for any text, `word:*` for any value,
and comparisons or ranges of numbers (`duration:>500ms`, `status:400..499`). Text without a word is searched in path,
error, heads and bodies; `"several words"` are a phrase. Example:

    status:5xx path:/api/* -method:GET (model:gpt-* or "connection reset")

| word | finds | example |
|---|---|---|
"""


def _text(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


def _number(description: str, default: int, maximum: int, minimum: int = 1) -> Json:
    limits = {"default": default, "minimum": minimum, "maximum": maximum}
    return {"type": "integer", "description": description, **limits}


_QUERY: Final = _text("A search, such as `status:5xx path:/api/* -method:GET`; empty: everything.")
_PERIOD: Final = {
    "since": _text(
        "From when: an age such as 10m or 2h, or a time in RFC 3339.", default=DEFAULT_PERIOD
    ),
    "until": _text("Until when, likewise; default: now."),
}
_ID: Final = _text("The id of a record, or its beginning.")


class Tool(NamedTuple):
    """One tool: its arguments, and the function that answers."""

    title: str
    """Name of the tool, for people."""
    description: str
    takes: Mapping[str, Json]
    """Arguments by name, as JSON Schema."""
    answer: Callable[[Ask, Arguments], Awaitable[object]]
    needs: tuple[str, ...] = ()
    """Arguments that are required."""
    bound: str = "limit"
    """Argument that limits the length of an answer."""

    def described(self, name: str) -> Json:
        """Return the description of the tool for `tools/list`."""
        schema = {
            "type": "object",
            "properties": self.takes,
            "required": self.needs,
            "additionalProperties": False,
        }
        return {
            "name": name,
            "title": self.title,
            "description": self.description,
            "inputSchema": schema,
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }

    async def call(self, ask: Ask, given: Mapping[str, Any], max_characters: int) -> str:
        """Answer in up to `max_characters`. A longer answer is reduced to fewer entries, each
        whole.

        Text is returned unchanged, everything else as JSON.

        Raises:
            Refused: the API refuses, an argument does not fit the schema, or even one entry is too
                long.
        """
        arguments = read_arguments(self.takes, self.needs, given)
        while True:
            answer = await self.answer(ask, arguments)
            if isinstance(answer, str):
                text = answer
            else:
                text = msgspec.json.encode(answer).decode()
            if len(text) <= max_characters:
                return text

            count = int(arguments[self.bound])
            if count <= 1:
                limit = f"the limit is {max_characters:,}"
                raise Refused(
                    422, f"the answer has {len(text):,} characters, {limit}: ask for less"
                )

            fewer = min(count - 1, count * max_characters // len(text))
            arguments = arguments | {self.bound: str(max(1, fewer))}


def _lean(value: Any) -> Any:
    """Return a value without empty members, at any depth."""
    if isinstance(value, list):
        return [_lean(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _lean(inner) for name, inner in value.items() if inner not in (None, "", [], {})}


def brief(record: Json, more: tuple[str, ...] = ()) -> Json:
    """Return a record as a short object without empty or usual members, to save an agent tokens."""
    shown: Json = _lean({name: record.get(name) for name in (*_RECORD, *more)})
    for name, usual in (
        ("kind", "exchange"),
        ("outcome", "ok"),
        ("in_flight", False),
        ("weight", 1),
    ):
        if shown.get(name) == usual:
            del shown[name]

    if record["duration_us"] is not None and record["kind"] != "event":
        shown["duration_ms"] = record["duration_us"] / 1000
    return shown


def _cut(text: str, limit: int = _VALUE_CHARACTERS) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text):,} characters)"


def _listed(page: Json, name: str, rows: list[Any], given: Arguments) -> Json:
    """Return a list with its period, so that an empty answer names the searched period."""
    period = {side: given[side] for side in ("since", "until") if side in given}
    shown: Json = _lean({key: value for key, value in page.items() if key not in (name, *period)})
    return {**period, name: rows, **shown}


async def _record(ask: Ask, text: str) -> Json:
    """Return a record by its id or the beginning of it.

    Raises:
        Refused: no record has it, or several ids begin with it.
    """
    listing = listing_of(text)
    if listing is not None:
        page = await ask("/api/records", listing)
        found = ids_beginning(text, page["records"])
        if len(found) > 1:
            raise Refused(
                404, f"several ids begin with {text!r}, {found[-1]} and {found[0]} among them"
            )

        text = found[0] if found else text

    record: Json = await ask(f"/api/records/{quote(text, safe='')}", {})
    return record


async def _get(ask: Ask, given: Arguments) -> object:
    record = await _record(ask, given["id"])
    asked = MultiDict(given)
    first = read_int(asked, "body_from", 0)
    count = read_int(
        asked, "body_characters", BODY_CHARACTERS, minimum=1, maximum=MAX_BODY_CHARACTERS
    )
    shown = brief(record, _MORE)
    for half in ("request", "response"):
        if record[half] is not None:
            shown[half] = _half(record[half], first, count)
    names = ("tool_name", "status", "latency", "error_details")
    calls = [{name: call.get(name) for name in names} for call in record["tools"]]
    return _lean(shown | {"tool_calls": calls})


def _half(message: Json, first: int, count: int) -> Json:
    shown: Json = {"headers": [_cut(f"{name}: {value}") for name, value in message["headers"]]}
    body = message["body"]
    if body is None:
        return shown
    if body["omitted"] or body["encoding"] != "utf-8":
        return shown | {"body": f"({body['omitted'] or 'no text'}, {body['size']:,} bytes)"}

    text = body["head"] + ("\n… (not kept) …\n" if body["truncated"] else "") + body["tail"]
    shown["body"] = text[first : first + count]
    if len(text) > first + count:
        shown["body_goes_on"] = f"{len(text):,} characters: call get with body_from {first + count}"
    return shown


async def _around(ask: Ask, given: Arguments) -> Json:
    record = await _record(ask, given["id"])
    begun, ended = (
        datetime.fromisoformat(record[name] or record["started_at"])
        for name in ("started_at", "ended_at")
    )
    near = {"limit": given["limit"]}

    if record["service"] or record["route_id"]:
        near |= (
            {"service": record["service"]} if record["service"] else {"route": record["route_id"]}
        )

    moment = begun.isoformat()
    earlier = {"since": (begun - _AROUND).isoformat(), "until": moment, "order": "desc"}
    later = {"since": moment, "until": (ended + _AROUND).isoformat(), "order": "asc"}
    before, after = [await ask("/api/records", near | period) for period in (earlier, later)]
    return {"records": [brief(each) for each in (*before["records"][::-1], *after["records"])]}


async def _compare(ask: Ask, given: Arguments) -> Json:
    ids = [(await _record(ask, given[side]))["id"] for side in ("a", "b")]
    found = await ask(f"/api/records/{ids[0]}/compare/{ids[1]}", {})
    max_changes = int(given["changes"])
    parts = [
        _part(part, max_changes) for part in found["parts"] if not part["equal"] or part["notes"]
    ]
    names = ("id", "started_at", "method", "path", "status")
    sides = {side: {name: found[side][name] for name in names} for side in ("a", "b")}
    return {"equal": found["equal"], "complete": found["complete"], **sides, "parts": parts}


def _part(part: Json, max_changes: int) -> object:
    shown = part["changes"][:max_changes]
    changes = [
        {
            name: _cut(value)
            for name in ("change", "path", "old_path", "a", "b")
            if (value := change[name]) is not None
        }
        for change in shown
    ]
    more = part["more"] + len(part["changes"]) - len(shown)
    return _lean(
        {"part": part["part"], "changes": changes, "more": more or None, "notes": part["notes"]}
    )


async def _all_of(
    path: str, name: str, show: Callable[[Json], Json], ask: Ask, given: Arguments
) -> Json:
    """Ask the API for a list and return its answer, with the rows of `name` in a short form."""
    page = await ask(path, given)
    return _listed(page, name, [show(row) for row in page[name]], given)


async def _figures(ask: Ask, given: Arguments) -> Json:
    asked = {name: value for name, value in given.items() if name != "buckets"}
    shown: Json = _lean(await ask("/api/summary", asked))
    if given["buckets"] != "0":
        over = await ask("/api/histogram", given)
        shown |= {"step_s": over["step_s"]}
        shown["over_time"] = [
            _lean(each) for each in over["buckets"] if each["exchanges"] or each["events"]
        ]

    return shown


async def _ask_conversation(ask: Ask, given: Arguments, below: str = "") -> Any:
    asked = {name: value for name, value in given.items() if name != "id"}
    return await ask(f"/api/conversations/{quote(given['id'], safe='')}{below}", asked)


async def _transcript(ask: Ask, given: Arguments) -> str:
    found = await _ask_conversation(ask, given, "/transcript")
    failed = ", ".join(f"{name} {count:,}" for name, count in found["failed_tools"].items())
    sums = (
        f"{found['turns']:,} calls, {found['failed']:,} failed",
        f"tools that failed: {failed}" if failed else "",
        f"{found['input_tokens']:,} tokens in, {found['output_tokens']:,} out",
        "" if found["cost_usd"] is None else f"${found['cost_usd']:,.4f}",
    )
    head = (
        f"{_cut(found['title'] or 'Conversation')} "
        f"({found['id']})\n{'; '.join(filter(None, sums))}\n\n"
    )
    cursor = found["next_cursor"]
    if cursor is None:
        goes_on = ""
    else:
        goes_on = f"\nMore calls follow: transcript with cursor {cursor}"
    return f"{head}{found['text']}{goes_on}"


async def _conversation(ask: Ask, given: Arguments) -> Json:
    found = await _ask_conversation(ask, given)
    shown: Json = _lean(found)
    return shown | {"calls": [brief(call) for call in found["calls"]]}


def describe_language() -> str:
    """Return the description of the search language."""
    words = [*WORDS.values(), *PREFIXES.values()]
    return _GRAMMAR + "".join(
        f"| `{word.name}` | {word.help} | `{word.example}` |\n" for word in words
    )


_LIMIT: Final = _number("How many at most.", 20, 50)
_CURSOR: Final = _text("`next_cursor` of the answer before, to go on.")
TOOLS: Final[Mapping[str, Tool]] = {
    "search": Tool(
        "Search records",
        "Find records, the newest first; the language of `query` is the resource "
        f"{SEARCH_LANGUAGE}. Words: " + ", ".join(WORDS) + ", header.NAME, body.PATH.",
        {
            "query": _QUERY,
            **_PERIOD,
            "limit": _LIMIT,
            "order": _text(
                "`desc`: the newest first; `asc`: the oldest.", enum=["desc", "asc"], default="desc"
            ),
            "cursor": _CURSOR,
        },
        partial(_all_of, "/api/records", "records", brief),
    ),
    "get": Tool(
        "Show a record",
        "Show one record: outcome, error, timings, headers, and the beginning of its bodies.",
        {
            "id": _ID,
            "body_characters": _number(
                "How much of each body.", BODY_CHARACTERS, MAX_BODY_CHARACTERS
            ),
            "body_from": _number(
                "The first character of each body to show.", 0, 1 << 26, minimum=0
            ),
        },
        _get,
        ("id",),
        "body_characters",
    ),
    "around": Tool(
        "What happened around a record",
        "List what the same service did a minute before and after a record, oldest first.",
        {"id": _ID, "limit": _LIMIT},
        _around,
        ("id",),
    ),
    "compare": Tool(
        "Compare two records",
        "Show what differs from one record to another, such as from a success of an endpoint to a "
        "failure.",
        {
            "a": _ID,
            "b": _ID,
            "changes": _number("How many changes of each part.", MAX_CHANGES, 200),
        },
        _compare,
        ("a", "b"),
        "changes",
    ),
    "endpoints": Tool(
        "Requests by endpoint",
        "Add up requests by endpoint, or by another field: how many, 4xx and 5xx, milliseconds, "
        "cost.",
        {
            "by": _text(
                "endpoint, failure (endpoint, status, error and message), message, path, ip, key, "
                "user, status, outcome, error, host, model, provider, tool, service, header.NAME "
                "or body.PATH.",
                default="endpoint",
            ),
            "query": _QUERY,
            **_PERIOD,
            "sort": _text(
                "What is first: requests, 4xx, 5xx, p50, p95, p99, bytes, tokens, cost; slower or "
                "failing against the period before `since`."
            ),
            "limit": _LIMIT,
        },
        partial(_all_of, "/api/top", "rows", _lean),
    ),
    "figures": Tool(
        "Count requests",
        "Count requests by status, with milliseconds, tokens, cost and the most frequent values; "
        "also over time. `sampled`: only a share of some was kept, and figures are estimates of "
        "all.",
        {
            "query": _QUERY,
            **_PERIOD,
            "buckets": _number("Steps over time; 0: none.", 0, 60, minimum=0),
        },
        _figures,
        (),
        "buckets",
    ),
    "conversations": Tool(
        "List conversations",
        "List runs of agents and other conversations with language models: turns, failures, "
        "tools, tokens, cost.",
        {
            "query": _QUERY,
            **_PERIOD,
            "sort": _text(
                "What is first: newest, cost, turns, failures, tokens or duration.",
                default="newest",
            ),
            "limit": _LIMIT,
            "cursor": _CURSOR,
        },
        partial(_all_of, "/api/conversations", "conversations", _lean),
    ),
    "conversation": Tool(
        "Show a conversation",
        "Show one conversation and its calls, the oldest first.",
        {
            "id": _text("The id of a conversation, or its beginning."),
            "limit": _LIMIT,
            "cursor": _CURSOR,
        },
        _conversation,
        ("id",),
    ),
    "transcript": Tool(
        "Read a conversation",
        "Read a conversation as text: what was said, calls of tools and their results, shortened "
        "to a number of characters; what failed is kept whole first. The quickest way to see what "
        "an agent did, and where it failed.",
        {
            "id": _text("The id of a conversation, or its beginning."),
            "characters": _number("How long the answer may become.", 12_000, 36_000, minimum=1_000),
            "cursor": _CURSOR,
        },
        _transcript,
        ("id",),
        "characters",
    ),
}
