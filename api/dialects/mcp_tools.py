"""The tools that agents have over the log: what each takes, what it asks of the native API, what it leaves out.

Pure but for what is asked. Answers are for a model: short, members without a value left out, ids to go on with. A tool
has the parameters of the path behind it under the same names, so what they mean is written down once.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from multidict import MultiDict

from api.http.errors import BadParameter
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
"""Of one part of a comparison."""
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
        """Write arguments as parameters, those with a default included; what they mean is checked by the API.

        Raises:
            BadParameter: one is missing.
        """
        found = {name: str(schema["default"]) for name, schema in self.takes.items() if "default" in schema}
        found |= {name: str(value) for name, value in given.items() if value is not None}
        for name in self.needs:
            if not found.get(name):
                raise BadParameter(name, "", "a value")
        return found


def _lean(value: Any) -> Any:
    """Leave out members without a value, at any depth."""
    if isinstance(value, list):
        return [_lean(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _lean(inner) for name, inner in value.items() if inner not in (None, "", [], {})}


def brief(record: Json, more: tuple[str, ...] = ()) -> Json:
    """Show a record in a line."""
    shown: Json = _lean({name: record.get(name) for name in (*_RECORD, *more)})
    for name, usual in (("kind", "exchange"), ("outcome", "ok"), ("in_flight", False)):
        if shown.get(name) == usual:
            del shown[name]
    if record["duration_us"] is not None and record["kind"] != "event":
        shown["duration_ms"] = record["duration_us"] / 1000
    return shown


def _cut(text: str, limit: int = _VALUE_CHARACTERS) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


async def _search(ask: Ask, given: Arguments) -> object:
    page = await ask("/api/records", given)
    return _lean({**page, "records": [brief(record) for record in page["records"]]})


async def _get(ask: Ask, given: Arguments) -> object:
    record = await ask(f"/api/records/{quote(given['id'], safe='')}", {})
    asked = MultiDict(given)
    first = read_int(asked, "body_from", 0)
    count = read_int(asked, "body_characters", BODY_CHARACTERS, minimum=1, maximum=MAX_BODY_CHARACTERS)
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
    record = await ask(f"/api/records/{quote(given['id'], safe='')}", {})
    begun, ended = (datetime.fromisoformat(record[name] or record["started_at"]) for name in ("started_at", "ended_at"))
    near = {"limit": given["limit"]}
    if record["service"] or record["route_id"]:
        near |= {"service": record["service"]} if record["service"] else {"route": record["route_id"]}
    moment = begun.isoformat()
    earlier = {"since": (begun - _AROUND).isoformat(), "until": moment, "order": "desc"}
    later = {"since": moment, "until": (ended + _AROUND).isoformat(), "order": "asc"}
    before, after = [await ask("/api/records", near | period) for period in (earlier, later)]
    return {"records": [brief(each) for each in (*before["records"][::-1], *after["records"])]}


async def _compare(ask: Ask, given: Arguments) -> Json:
    found = await ask(f"/api/records/{quote(given['a'], safe='')}/compare/{quote(given['b'], safe='')}", {})
    parts = [_part(part) for part in found["parts"] if not part["equal"] or part["notes"]]
    names = ("id", "started_at", "method", "path", "status")
    sides = {side: {name: found[side][name] for name in names} for side in ("a", "b")}
    return {"equal": found["equal"], "complete": found["complete"], **sides, "parts": parts}


def _part(part: Json) -> object:
    shown = part["changes"][:MAX_CHANGES]
    changes = [
        {name: _cut(value) for name in ("change", "path", "old_path", "a", "b") if (value := change[name]) is not None}
        for change in shown
    ]
    more = part["more"] + len(part["changes"]) - len(shown)
    return _lean({"part": part["part"], "changes": changes, "more": more or None, "notes": part["notes"]})


async def _all_of(path: str, ask: Ask, given: Arguments) -> object:
    """Answer as the API does."""
    return _lean(await ask(path, given))


async def _figures(ask: Ask, given: Arguments) -> Json:
    asked = {name: value for name, value in given.items() if name != "buckets"}
    shown: Json = _lean(await ask("/api/summary", asked))
    if given["buckets"] != "0":
        over = await ask("/api/histogram", given)
        shown |= {"step_s": over["step_s"]}
        shown["over_time"] = [_lean(each) for each in over["buckets"] if each["exchanges"] or each["events"]]
    return shown


async def _conversation(ask: Ask, given: Arguments) -> Json:
    asked = {name: value for name, value in given.items() if name != "id"}
    found = await ask(f"/api/conversations/{quote(given['id'], safe='')}", asked)
    shown: Json = _lean(found)
    return shown | {"calls": [brief(call) for call in found["calls"]]}


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
        partial(_all_of, "/api/top"),
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
        partial(_all_of, "/api/conversations"),
    ),
    "conversation": Tool(
        "Show one conversation and its calls, the oldest first.",
        {"id": _text("The id of a conversation, or its beginning."), "limit": _LIMIT, "cursor": _CURSOR},
        _conversation,
        ("id",),
    ),
}
