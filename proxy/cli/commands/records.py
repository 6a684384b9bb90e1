"""`sidelog query` and `sidelog get`: read records through the admin API.

With `--json` the API's JSON is passed on unchanged; tables show some of its fields. Pages are
fetched one by one, so that a long answer starts at once and needs no memory.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import click

from proxy.cli.command import (
    client_options,
    command,
    fields_option,
    from_view_option,
    json_flag,
    json_lines_option,
    limit_option,
    order_option,
    reader_options,
    record_argument,
    search_options,
)
from proxy.cli.commands import views
from proxy.cli.commands.client import Answer, Client, Filters, client_pages
from proxy.cli.commands.listing import (
    View,
    column_text,
    plain,
    print_records,
    read_fields,
    selected,
    target_of,
)
from proxy.cli.commands.messages import print_messages, read_messages
from proxy.cli.commands.output import (
    Json,
    complain,
    say,
    say_json,
    show_in_browser,
    write_out,
)
from proxy.cli.commands.record_id import find_id
from proxy.cli.commands.zone import zone_name
from proxy.process.terminal import visible, visible_line

PAGE_RECORDS: Final = 1000
"""The API's largest page."""

_REFUSED: Final = 400
AROUND: Final = timedelta(minutes=1)
MAX_AROUND: Final = 500
"""Number of records listed before a record, and from it on."""
MAX_SHOWN_CHARACTERS: Final = 4000
"""Number of characters shown of a body by default, so that the end of the output stays in sight."""
_PARTS: Final = frozenset(
    {
        "request",
        "response",
        "timeline",
        "error_message",
        "data",
        "usage",
        "tools",
        "stream",
        "grpc",
        "redactions",
        "weight",
        "started_at",
        "ended_at",
    }
)
"""Members that are shown in their own places, or not for people."""
_NAME_CHARACTERS: Final = 18
_USER_WORD: Final = re.compile(r"(?:^|[\s(-])user:", re.IGNORECASE)
_NO_USERS: Final = (
    "no record of the last day has a user: they come from sidelog's own keys and from the "
    "user_header of a route; what a request says by itself is found by header.NAME:VALUE or "
    "body.PLACE:VALUE"
)
_ENDS: Final = {"trailers": "trailers", "trailers_only": "trailers-only", "none": "no trailers"}
"""Members at the end of a gRPC call that was not reset."""


@command()
@order_option
@limit_option("Maximum number of records.", 100)
@fields_option
@from_view_option
@search_options
@json_lines_option
@reader_options
def query(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    order: str | None,
    limit: int,
    fields: str | None,
    from_view: str | None,
    as_json: bool,
) -> int:
    """Search records.

    Example: sidelog query 'status:5xx path:/api/*' --since 15m
    """
    if from_view is not None:
        found, filters = views.begun_with(client, from_view, filters, zone)
        order = order or found["order"]
        fields = fields or views.fields_of(found)

    view = View(fields=read_fields(fields), zone=zone)
    parameters = {**filters} | ({"order": order} if order else {}) | view.asked
    is_empty = _print_list(
        pages(client, parameters, limit), view, is_rising=order == "asc", as_json=as_json
    )
    if is_empty and not as_json:
        _explain_nothing(client, filters)
    return 0


def _explain_nothing(client: Client, filters: Filters) -> None:
    """Explain an empty result: no matches, the number of records not stored yet, and what to try
    instead of `user:`.
    """
    ledger = client.get("/api/ledger")
    if ledger.status == 200:
        waiting = json.loads(ledger.body)["waiting"]
    else:
        waiting = 0
    complain(f"no records match; {waiting:,} not stored yet" if waiting else "no records match")

    if _USER_WORD.search(str(filters.get("query", ""))):
        rows = client.get_json("/api/top", {"by": "user", "since": "24h", "limit": "2"})["rows"]
        if not any(row["value"] for row in rows):
            complain(_NO_USERS)


def _print_list(records: Iterable[Json], view: View, *, is_rising: bool, as_json: bool) -> bool:
    """Print records; return True if there were no records and `as_json` is not set.

    A table is in the order of its first column, when they started, which `is_rising` or falls. The
    server returns records in the order of their ends, and lines of JSON keep it.
    """
    if as_json:
        for record in records:
            say_json(selected(record, view), is_line=True)
        return False

    rows = sorted(records, key=lambda record: str(record["started_at"]), reverse=not is_rising)
    if rows:
        print_records(rows, view)
    return not rows


def _around(client: Client, record: Json, *, as_json: bool) -> int:
    """Print the records of the same service, or else of its route, around a record, oldest first,
    as `query`.
    """
    begun = record["started_at"]
    ended = record.get("ended_at") or record["started_at"]
    place = next((name for name in ("service", "route_id") if record.get(name)), None)
    if place is None:
        among = {}
    else:
        among = {place.removesuffix("_id"): record[place]}
    since = (datetime.fromisoformat(begun) - AROUND).isoformat()
    until = (datetime.fromisoformat(ended) + AROUND).isoformat()
    before = pages(client, among | {"since": since, "until": begun, "order": "desc"}, MAX_AROUND)
    after = pages(client, among | {"since": begun, "until": until, "order": "asc"}, MAX_AROUND)
    _print_list([*list(before)[::-1], *after], View(), is_rising=True, as_json=as_json)
    return 0


def pages(client: Client, parameters: Filters, limit: int) -> Iterator[dict[str, Any]]:
    """Yield up to `limit` records; a page that the server's time budget cut short is continued."""
    asked = {**parameters, "limit": str(min(limit, PAGE_RECORDS))}
    return islice(
        (
            record
            for page in client_pages(client, "/api/records", asked)
            for record in page["records"]
        ),
        limit,
    )


@command()
@record_argument
@click.option("--raw", is_flag=True, help="Print only the stored bytes of the response body.")
@click.option("--request", is_flag=True, help="With --raw: the request body instead.")
@click.option(
    "--around", is_flag=True, help="List what the same service did a minute before and after."
)
@click.option("--curl", is_flag=True, help="Print a curl command that repeats the request.")
@click.option("--har", is_flag=True, help="Print the exchange as an HTTP Archive (HAR 1.2).")
@click.option("--all", "has_all", is_flag=True, help="Print all fields, with timings and usage.")
@reader_options
@json_flag
def get(
    client: Client,
    record_id: str,
    raw: bool,
    request: bool,
    around: bool,
    curl: bool,
    har: bool,
    has_all: bool,
    as_json: bool,
) -> int:
    """Show one exchange: its outcome, headers and bodies.

    Example: sidelog get 0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6 --curl
    """
    if raw + curl + har + (as_json and not around) + around + has_all > 1 or (request and not raw):
        raise click.BadParameter(
            "--raw, --curl, --har, --json, --around and --all are mutually exclusive, but for "
            "--around --json; --request requires --raw"
        )

    path = f"/api/records/{quote(find_id(client, record_id), safe='')}"
    if raw or har:
        return _download(
            client.get_file(
                f"{path}/{'har' if har else 'request-body' if request else 'response-body'}"
            )
        )
    if curl:
        return _print_curl(client.get_json(f"{path}/curl"))

    record = client.get_json(path)
    if around:
        return _around(client, record, as_json=as_json)

    messages = read_messages(client, record, has_all=has_all or as_json)
    if as_json:
        say_json(record if messages is None else {**record, "messages": messages["messages"]})
    else:
        _print(record, messages, has_all)
    return 0


@command()
@record_argument
@client_options
def open_record(client: Client, record_id: str) -> int:
    """Open one record in the web UI: print its address, and show it in a browser, if this machine
    has a screen.

    Example: sidelog open 0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6
    """
    record = client.get_json(f"/api/records/{quote(find_id(client, record_id), safe='')}")
    address = f"{client.url.rstrip('/')}/requests?record={record['id']}"
    say(address)
    show_in_browser(address)
    return 0


def _print(record: Json, messages: Json | None, has_all: bool) -> None:
    """Print the outcome of an exchange, heads and bodies; with `has_all` also every other field."""
    _print_summary(record)
    if has_all:
        _print_rest(record)
    for half in ("request", "response"):
        if message := record.get(half):
            say(f"\n{half}")
            if half == "response":
                raw = "--raw"
            else:
                raw = "--raw --request"
            _print_message(message, raw, None if has_all else MAX_SHOWN_CHARACTERS)

    if record.get("data") is not None:
        say("\ndata")
        say_json(record["data"])
    if messages is not None:
        print_messages(messages, record)


def _print_summary(record: Json) -> None:
    """Print a few lines on the request, its outcome, and the known cause."""
    is_event = record.get("kind") == "event"
    ms, time = (column_text(name, record, View()) for name in ("ms", "time"))
    if is_event:
        asked = f"event {record.get('name') or '-'}"
    else:
        asked = _asked_text(record)
    say(visible_line(asked))

    if record.get("in_flight"):
        say("in progress")
    elif not is_event:
        first_us = record.get("first_byte_us")
        if first_us is None:
            first = ""
        else:
            first = f", first byte after {first_us / 1000:.1f} ms"
        say(f"{record.get('status') or 'no status'} after {ms} ms{first}")

    outcome = record.get("outcome")
    weight = record.get("weight") or 1
    _print_members(
        {
            "error": _joined(
                record.get("error_type"),
                None if outcome == "ok" else outcome,
                record.get("error_message"),
            ),
            "model": _model_text(record),
            "grpc": _grpc_text(record),
            "called": ", ".join(record.get("called_tools") or []),
            "failed": ", ".join(record.get("failed_tools") or []),
            "tool": "; ".join(map(_tool_text, record.get("tools") or [])),
            "redacted": column_text("redactions", record, View()),
            "stands for": "" if weight == 1 else f"{weight:g} exchanges of a sample",
            "started": f"{time} {zone_name(None)}",
            "client": _joined(record.get("client_ip"), record.get("user_agent")),
            "conversation": record.get("conversation"),
            "id": record["id"],
        }
    )


def _asked_text(record: Json) -> str:
    """Return the URL of the request; a target that is not a path (`*`) stands before the host."""
    method, host, path = (record.get(name) or "" for name in ("method", "host", "path"))
    if host:
        base = f"{record.get('scheme')}://{host}"
    else:
        base = ""
    if not method:
        return "invalid request"
    if path and not path.startswith("/"):
        return f"{method} {path}" + (f" at {base}" if base and host != path else "")
    if host or path:
        return f"{method} {record.get('scheme')}://{target_of(record)}"

    return method


def _model_text(record: Json) -> str:
    """Return the model and its known usage; for a WebSocket session, the usage of all its calls."""
    session = (record.get("data") or {}).get("llm") or {}
    tokens_in, tokens_out, cost_usd, reason = (
        session.get(name, record.get(name))
        for name in ("input_tokens", "output_tokens", "cost_usd", "finish_reason")
    )
    return _joined(
        record.get("model"),
        f"{session['calls']:,} calls" if session else None,
        _silence(record) if tokens_in is None and tokens_out is None and not session else None,
        None if tokens_in is None else f"{tokens_in:,} tokens in",
        None if tokens_out is None else f"{tokens_out:,} out",
        None if cost_usd is None else "$" + f"{cost_usd:.8f}".rstrip("0").rstrip("."),
        reason and f"ended by {reason}",
    )


def _grpc_text(record: Json) -> str:
    """Return how a gRPC call ended."""
    call = record.get("grpc")
    if call is None:
        return ""

    status = record.get("grpc_status")
    timeout_us = call["timeout_us"]
    end = call["end"]
    counts = ((call["request_messages"], "in"), (call["response_messages"], "out"))
    return _joined(
        f"{status} ({call['status']})" if status else "no status",
        call["kind"],
        *(
            f"{count:,} message{'' if count == 1 else 's'} {side}"
            for count, side in counts
            if count is not None
        ),
        f"ended by {call['reset_code']}" if end == "reset" else _ENDS[end],
        call["encoding"],
        None if timeout_us is None else f"deadline {timeout_us / 1_000_000:g} s",
    )


def _silence(record: Json) -> str | None:
    """Return why an answered call has no tokens, if the reason is usual: many clients do not ask
    for them.
    """
    if record.get("usage_state") != "absent" or (record.get("status") or _REFUSED) >= _REFUSED:
        return None
    is_whole = (record.get("stream") or {}).get("end") == "complete"
    if is_whole and (record.get("path") or "").endswith("/completions"):
        return "no tokens reported: a stream has them where stream_options.include_usage is set"
    return "no tokens reported"


def _tool_text(call: Json) -> str:
    said = ((call.get("error_details") or {}).get("error") or {}).get("message")
    return f"{call['tool_name']}, {_joined(call['status'], said)}"


def _joined(*parts: str | None) -> str:
    return ", ".join(filter(None, dict.fromkeys(parts)))


def _print_rest(record: Json) -> None:
    say("")
    _print_members(
        {
            name: value
            for name, value in record.items()
            if name not in _PARTS and not name.endswith("_us")
        }
    )
    _print_members(_timings(record), "timings")
    _print_members(record.get("usage") or {}, "usage")
    _print_members(record.get("stream") or {}, "stream")
    _print_members(record.get("grpc") or {}, "grpc")
    for call in record.get("tools") or []:
        _print_members(call, "tool call")


def _timings(record: Json) -> dict[str, str]:
    """Return begin, end and all known durations in milliseconds."""
    shown = {
        name: record[f"{name}_at"] for name in ("started", "ended") if record.get(f"{name}_at")
    }
    for name, value in record.items():
        if value is not None and name.endswith("_us") and not name.endswith("_at_us"):
            shown[name.removesuffix("_us").replace("_", " ")] = f"{value / 1000:,.3f} ms"
    return shown


def _print_members(members: Json, title: str = "") -> None:
    """Print members with a value, one per line."""
    known = {
        name: value
        for name, value in members.items()
        if value is not None and value != "" and value != []
    }
    if title and known:
        say(f"\n{title}")
    for name, value in known.items():
        say(f"{'  ' if title else ''}{name:{_NAME_CHARACTERS}} {visible_line(plain(value))}")


def _print_curl(line: Json) -> int:
    """Print a curl command for the request; missing parts are reported on stderr."""
    for note in line["notes"]:
        complain(f"sidelog: {visible(note)}")
    if not line["command"]:
        return 1
    say(line["command"])
    return 0


def _download(answer: Answer) -> int:
    """Write one file of a record to stdout, nothing else."""
    write_out([answer.body])
    if cut := answer.headers.get("x-sidelog-truncated"):
        complain(f"sidelog: the body was cut: {cut} (bytes)")
    return 0


def _print_message(message: Json, raw: str, max_characters: int | None) -> None:
    if message["start_line"] is not None:  # a call over a WebSocket has no head
        say(f"  {visible_line(message['start_line'])}")
    for name, value in message["headers"]:
        say(f"  {visible_line(name)}: {visible_line(value)}")
    if message["body"] is not None:
        say("")
        _print_body(message["body"], _media_type(message), raw, max_characters)
    if message["trailers"]:
        say("\n  trailers")
    for name, value in message["trailers"]:
        say(f"  {visible_line(name)}: {visible_line(value)}")


def _print_body(body: Json, media_type: str, raw: str, max_characters: int | None) -> None:
    if body["coding_error"]:
        say(f"  [content coding not undone: {visible_line(body['coding_error'])}]")
    if body["omitted"]:
        say(f"  [{body['size']} bytes, not stored: {body['omitted']}]")
        return

    if body["encoding"] == "base64":
        kept = f", {_kept(body)}" if body["truncated"] else ""
        say(f"  [{body['size']} bytes of {media_type}{kept}: {raw} writes them]")
        return

    head = body["head"]
    tail = body["tail"]
    if max_characters is not None and len(head) + len(tail) > max_characters:
        say(visible(head[:max_characters]))
        say(
            f"  [the first {min(max_characters, len(head)):,} characters: --all shows "
            f"{_kept(body)}]"
        )
        return

    say(visible(head))
    if body["truncated"]:
        say(f"  [cut: {_kept(body)}]")
    if tail:
        say(visible(tail))


def _kept(body: Json) -> str:
    """Return which part of a body was kept."""
    counts = (("first", body["head_bytes"]), ("last", body["tail_bytes"]))
    ends = " and ".join(f"the {name} {count:,}" for name, count in counts if count)
    if body["coding"]:
        coding = f" of {body['coding']}"
    else:
        coding = ""
    if not body["truncated"]:
        return f"all {body['size']:,} bytes{coding}"
    return f"{ends or 'parts'} bytes kept, of {body['size']:,} bytes{coding}"


def _media_type(message: Json) -> str:
    types = [value for name, value in message["headers"] if name.lower() == "content-type"]
    if types:
        return visible_line(types[0].partition(";")[0].strip())
    return "an unknown type"
