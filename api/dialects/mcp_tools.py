"""The tools that agents have over the log: what each takes, what it asks of the native API, what it leaves out.

Pure but for what is asked. Answers are for a model: short, members without a value left out, ids to go on with. A tool
has the parameters of the path behind it under the same names, so what they mean is written down once.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from api.http.errors import BadParameter
from storage.search.language.words import PREFIXES, WORDS

Ask = Callable[[str, Mapping[str, str]], Awaitable[Any]]
Arguments = Mapping[str, str]
Json = dict[str, Any]

SEARCH_LANGUAGE: Final = "sidelog://search-language"
DEFAULT_PERIOD: Final = "1h"
BODY_CHARACTERS: Final = 1500
MAX_BODY_CHARACTERS: Final = 15_000
_VALUE_CHARACTERS: Final = 300
"""Of a header, of a changed value."""
_AROUND: Final = timedelta(minutes=1)
_RECORD: Final = (
    *("id", "started_at", "in_flight", "kind", "name", "method", "host", "path", "query", "status", "outcome"),
    *("error_type", "service", "endpoint", "provider", "model", "called_tools", "input_tokens", "output_tokens"),
    *("cost_usd", "finish_reason", "conversation", "trace_id"),
)
_MORE: Final = (
    *("level", "error_message", "client_ip", "upstream", "route_id", "project", "key_name", "user_id", "request_id"),
    *("request_bytes", "response_bytes", "connect_us", "first_byte_us", "upstream_us", "data"),
)
"""What one record has beside."""
_TOP: Final = ("method", "value", "error", "status", "exchanges", "client_errors", "server_errors", "cost_usd")
_RUN: Final = (
    *("id", "title", "started_at", "duration_ms", "turns", "failed", "failure", "models", "tools", "input_tokens"),
    *("output_tokens", "cost_usd", "user_agent"),
)
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
    return {
        "type": "integer",
        "description": description,
        "default": default,
        "minimum": minimum,
        "maximum": maximum,
    }


_QUERY: Final = _text("A search, such as `status:5xx path:/api/* -method:GET`; empty: everything.")
_PERIOD: Final = {
    "since": _text("From when: an age such as 10m or 2h, or a time in RFC 3339.", default=DEFAULT_PERIOD),
    "until": _text("Until when, likewise; default: now."),
}
_ID: Final = _text("The id of a record.")


class Tool(NamedTuple):
    """One tool."""

    description: str
    takes: Mapping[str, Json]
    """Arguments by name, as JSON Schema."""
    answer: Callable[[Ask, Arguments], Awaitable[object]]
    needs: tuple[str, ...] = ()
    """Arguments without which it cannot be called."""

    def described(self, name: str) -> Json:
        """Describe the tool as `tools/list` does."""
        schema = {"type": "object", "properties": self.takes, "required": self.needs, "additionalProperties": False}
        return {
            "name": name,
            "description": self.description,
            "inputSchema": schema,
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }

    def read(self, given: Mapping[str, Any]) -> Arguments:
        """Check arguments, and write them as parameters, those with a default included.

        Raises:
            BadParameter: naming the first that is missing or cannot be read.
        """
        found = {name: str(schema["default"]) for name, schema in self.takes.items() if "default" in schema}
        for name, value in given.items():
            schema = self.takes.get(name)
            if schema is None:
                raise BadParameter(name, str(value), "one of the arguments " + ", ".join(self.takes))
            if schema["type"] == "string" and isinstance(value, str):
                found[name] = value
            elif schema["type"] == "integer" and _is_within(value, schema):
                found[name] = str(value)
            elif value is not None:
                limits = f" from {schema['minimum']} to {schema['maximum']}" if "minimum" in schema else ""
                raise BadParameter(name, str(value), f"{schema['type']}{limits}")
        for name in self.needs:
            if not found.get(name):
                raise BadParameter(name, "", "a value")
        return found


def _is_within(value: object, schema: Json) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and schema["minimum"] <= value <= schema["maximum"]


def _picked(source: Json, names: tuple[str, ...]) -> Json:
    """Return some members of an object; those without a value are left out."""
    return {name: value for name in names if (value := source.get(name)) not in (None, "", [], {})}


def brief(record: Json, more: tuple[str, ...] = ()) -> Json:
    """Show a record in a line."""
    shown = _picked(record, (*_RECORD, *more))
    for name, usual in (("kind", "exchange"), ("outcome", "ok"), ("in_flight", False)):
        if shown.get(name) == usual:
            del shown[name]
    if record["duration_us"] is not None and record["kind"] != "event":
        shown["duration_ms"] = record["duration_us"] / 1000
    return shown


def _cut(text: str, limit: int = _VALUE_CHARACTERS) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def _page(page: Json, name: str, rows: list[Any]) -> Json:
    """Show a page of a list; where it goes on, and that its search was cut by the time budget."""
    shown: Json = {name: rows}
    if page.get("next_cursor"):
        shown["next_cursor"] = page["next_cursor"]
    return shown if page["complete"] else shown | {"complete": False}


async def _search(ask: Ask, given: Arguments) -> Json:
    page = await ask("/api/records", given)
    return _page(page, "records", [brief(record) for record in page["records"]])


async def _get(ask: Ask, given: Arguments) -> Json:
    record = await ask(f"/api/records/{quote(given['id'], safe='')}", {})
    first, count = int(given["body_from"]), int(given["body_characters"])
    shown = brief(record, _MORE)
    for half in ("request", "response"):
        if record[half] is not None:
            shown[half] = _half(record[half], first, count)
    calls = [_picked(call, ("tool_name", "status", "latency", "error_details")) for call in record["tools"]]
    return shown | ({"tool_calls": calls} if calls else {})


def _half(message: Json, first: int, count: int) -> Json:
    shown: Json = {"headers": {name: _cut(value) for name, value in message["headers"]}}
    body = message["body"]
    if body is None:
        return shown
    if body["omitted"] or body["encoding"] != "utf-8":
        return shown | {"body": f"({body['omitted'] or 'no text'}, {body['size']:,} bytes)"}
    text = body["head"] + (f"\n… (not kept) …\n{body['tail']}" if body["truncated"] else "")
    shown["body"] = text[first : first + count]
    if len(text) > first + count:
        shown["body_goes_on"] = f"{len(text):,} characters: call get with body_from {first + count}"
    return shown


async def _around(ask: Ask, given: Arguments) -> Json:
    record = await ask(f"/api/records/{quote(given['id'], safe='')}", {})
    begun, ended = (datetime.fromisoformat(record[name] or record["started_at"]) for name in ("started_at", "ended_at"))
    near = {name: record[f"{name}{end}"] for name, end in (("service", ""), ("route", "_id")) if record[f"{name}{end}"]}
    near = dict(list(near.items())[:1]) | {"limit": given["limit"]}
    moment = begun.isoformat()
    earlier = {"since": (begun - _AROUND).isoformat(), "until": moment, "order": "desc"}
    later = {"since": moment, "until": (ended + _AROUND).isoformat(), "order": "asc"}
    before, after = [await ask("/api/records", near | period) for period in (earlier, later)]
    return {"records": [brief(each) for each in (*before["records"][::-1], *after["records"])]}


async def _compare(ask: Ask, given: Arguments) -> Json:
    found = await ask(f"/api/records/{quote(given['a'], safe='')}/compare/{quote(given['b'], safe='')}", {})
    parts = [_part(part) for part in found["parts"] if not part["equal"] or part["notes"]]
    sides = {side: _picked(found[side], ("id", "started_at", "method", "path", "status")) for side in ("a", "b")}
    return {"equal": found["equal"], "complete": found["complete"], **sides, "parts": parts}


def _part(part: Json) -> Json:
    limit = 40
    changes = [_picked(each, ("change", "path", "old_path")) | _sides(each) for each in part["changes"][:limit]]
    more = part["more"] + len(part["changes"][limit:])
    return _picked({**part, "changes": changes, "more": more or None}, ("part", "changes", "more", "notes"))


def _sides(change: Json) -> Json:
    return {side: _cut(change[side]) for side in ("a", "b") if change[side] is not None}


async def _endpoints(ask: Ask, given: Arguments) -> Json:
    found = await ask("/api/top", given)
    rows = [_picked(row, _TOP) | {"duration_ms": _spread(row["duration_ms"])} for row in found["rows"]]
    return {"rows": rows, "values": found["values"], "seen": found["seen"], "complete": found["complete"]}


async def _figures(ask: Ask, given: Arguments) -> Json:
    buckets = given["buckets"]
    asked = {name: value for name, value in given.items() if name != "buckets"}
    found = await ask("/api/summary", asked)
    shown = _picked(found, ("exchanges", "events", "status", "rate_per_s", "since", "until", "top", "complete"))
    shown["duration_ms"] = _spread(found["duration_ms"])
    usage = found["usage"]
    if usage is not None and usage["calls"]:
        shown["llm"] = _picked(usage, ("calls", "input_tokens", "output_tokens", "cost_usd"))
    if buckets != "0":
        over = await ask("/api/histogram", asked | {"buckets": buckets})
        shown["step_s"] = over["step_s"]
        shown["over_time"] = [
            {"start": each["start"], "status": each["status"], "duration_ms": _spread(each["duration_ms"])}
            for each in over["buckets"]
            if each["exchanges"] or each["events"]
        ]
    return shown


def _spread(found: Json) -> Json:
    return _picked(found, ("p50", "p95", "p99"))


async def _conversations(ask: Ask, given: Arguments) -> Json:
    page = await ask("/api/conversations", given)
    return _page(page, "conversations", [_picked(each, _RUN) for each in page["conversations"]])


async def _conversation(ask: Ask, given: Arguments) -> Json:
    asked = {name: value for name, value in given.items() if name != "id"}
    found = await ask(f"/api/conversations/{quote(given['id'], safe='')}", asked)
    return _picked(found, _RUN) | _page(found, "calls", [brief(call) for call in found["calls"]])


def describe_language() -> str:
    """Describe the search language."""
    words = [*WORDS.values(), *PREFIXES.values()]
    return _GRAMMAR + "".join(f"| `{word.name}` | {word.help} | `{word.example}` |\n" for word in words)


_LIMIT: Final = _number("How many at most.", 20, 50)
_CURSOR: Final = _text("`next_cursor` of the answer before, to go on.")
TOOLS: Final[Mapping[str, Tool]] = {
    "search": Tool(
        f"Find records, the newest first; the language of `query` is the resource {SEARCH_LANGUAGE}. Words: "
        + ", ".join(WORDS)
        + ", header.NAME, body.PATH.",
        {
            "query": _QUERY,
            **_PERIOD,
            "limit": _LIMIT,
            "order": _text("`desc`: the newest first; `asc`: the oldest.", enum=["desc", "asc"], default="desc"),
            "cursor": _CURSOR,
        },
        _search,
    ),
    "get": Tool(
        "Show one record: outcome, error, timings, headers, and the beginning of its bodies.",
        {
            "id": _ID,
            "body_characters": _number("How much of each body.", BODY_CHARACTERS, MAX_BODY_CHARACTERS),
            "body_from": _number("The first character of each body to show.", 0, 1 << 26, minimum=0),
        },
        _get,
        ("id",),
    ),
    "around": Tool(
        "List what the same service did a minute before and after a record, oldest first.",
        {"id": _ID, "limit": _LIMIT},
        _around,
        ("id",),
    ),
    "compare": Tool(
        "Show what differs from one record to another, such as from a success of an endpoint to a failure.",
        {"a": _ID, "b": _ID},
        _compare,
        ("a", "b"),
    ),
    "endpoints": Tool(
        "Add up requests by endpoint, or by another field: how many, 4xx and 5xx, milliseconds, cost.",
        {
            "by": _text(
                "endpoint, failure (endpoint, error and status), path, ip, key, user, status, outcome, error, host, "
                "model, provider, tool, service, header.NAME or body.PATH.",
                default="endpoint",
            ),
            "query": _QUERY,
            **_PERIOD,
            "sort": _text("What is first: requests, 4xx, 5xx, p50, p95, p99, bytes, tokens or cost."),
            "limit": _LIMIT,
        },
        _endpoints,
    ),
    "figures": Tool(
        "Count requests by status, with milliseconds, tokens, cost and the most frequent values; also over time.",
        {"query": _QUERY, **_PERIOD, "buckets": _number("Steps over time; 0: none.", 0, 60, minimum=0)},
        _figures,
    ),
    "conversations": Tool(
        "List runs of agents and other conversations with language models: turns, failures, tools, tokens, cost.",
        {
            "query": _QUERY,
            **_PERIOD,
            "sort": _text("What is first: newest, cost, turns, failures, tokens or duration.", default="newest"),
            "limit": _LIMIT,
            "cursor": _CURSOR,
        },
        _conversations,
    ),
    "conversation": Tool(
        "Show one conversation and its calls, the oldest first.",
        {"id": _text("The id of a conversation, or its beginning."), "limit": _LIMIT, "cursor": _CURSOR},
        _conversation,
        ("id",),
    ),
}
