"""Options of the commands, each declared once.

What a command gets together as one value (a client, the filters, the flags of settings) is a group
of parameters, with what makes that value. Invariant: no parameter imports what a command is for, so
that `sidelog version` does not pay for the proxy.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from click import Argument, Parameter

from proxy.cli.completion import (
    SHELLS,
    complete_command,
    complete_rule,
    complete_search,
    complete_view,
)
from proxy.cli.parameter_types import PositiveNumber, Seconds, WholeNumber
from proxy.settings.flags import FLAGS, Flag

OWN_PANEL: Final = "Options"
FILTER_PANEL: Final = "Filters (values of a repeated option are alternatives)"
SOURCE_PANEL: Final = "Which sidelog"


class Option(click.Option):
    """An option that help shows in a panel."""

    def __init__(self, declarations: list[str], panel: str = OWN_PANEL, **more: Any) -> None:
        super().__init__(declarations, **more)
        self.panel = panel


class Shared(NamedTuple):
    """Parameters that a command gets together, as other values."""

    parameters: tuple[Parameter, ...]
    gather: Callable[[dict[str, Any], ExitStack], None]
    """Replace the values of parameters by these; resources to close go on the stack."""


def flag(option: str, help: str, name: str = "") -> Option:
    """Declare an option without a value."""
    return Option([option, name or _name_of(option)], is_flag=True, help=help)


def text(option: str, metavar: str, help: str, name: str = "", **more: Any) -> Option:
    """Declare an option whose value is a text."""
    return Option([option, name or _name_of(option)], metavar=metavar, help=help, **more)


def number(option: str, help: str, default: int, most: int | None = None) -> Option:
    """Declare an option whose value is a whole number, one at least."""
    return text(option, "N", help, type=WholeNumber(1, most), default=default, show_default=True)


def argument(metavar: str, help: str, name: str = "", **more: Any) -> Argument:
    """Declare an argument; where one is given, it says something."""
    names = [name or metavar.lower().replace("-", "_")]
    return Argument(names, metavar=metavar, help=help, callback=_not_empty, **more)


def _not_empty(_: click.Context, parameter: click.Parameter, value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise click.BadParameter("it is empty", param=parameter)
    return value


def _name_of(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _setting(flag: Flag, name: str) -> Option:
    """Declare the flag of a setting; what is said of it is written as help is."""
    default = f" Default: {flag.default}." if flag.default else ""
    help = f"{flag.help[0].upper()}{flag.help[1:]}.{default}"
    value: dict[str, Any] = {"flag_value": flag.value} if flag.value else {"metavar": flag.metavar}
    return Option([flag.option, name], help=help, **value)


def _config(help: str, **more: Any) -> Option:
    kind = click.Path(path_type=Path)
    return text(
        "--config", "FILE", help, envvar="SIDELOG_CONFIG", show_envvar=True, type=kind, **more
    )


_ALL: Final = (
    _config("Configuration file (TOML)."),
    _setting(FLAGS["data_dir"], "data_dir"),
    flag(
        "--rate",
        "Also measure which rate this machine sustains with everything stored; takes 30 s.",
    ),
    flag("--json", "Print JSON.", "as_json"),
    text(
        "--fields",
        "NAME,…",
        "Columns: time, code, ms, target, request, any member of the JSON, any header "
        "(header.x-tenant) or place in a "
        "JSON body (body.user.id). Default: what fits the terminal.",
    ),
    text(
        "--view",
        "NAME",
        "Start from a view (`sidelog view list`): its search, period, order, columns; other "
        "options override it.",
        "from_view",
        shell_complete=complete_view,
    ),
    text("--order", "ORDER", "Newest first (desc, default), or oldest (asc)."),
    flag("--wide", "Show all columns in full, however narrow the terminal."),
    flag(
        "--utc",
        "Show times in UTC, and read times without an offset as UTC. Default: the local time zone.",
    ),
    text(
        "--url",
        "URL",
        "URL of the admin port. Default: SIDELOG_URL, else from the data directory.",
        panel=SOURCE_PANEL,
    ),
    argument("KEY", "Id of a key, or its name if that is unique."),
    argument("NAME", "Name of a view.", shell_complete=complete_view),
    flag("--greet", "Print addresses and commands to try, as on a terminal.", "greets"),
    text(
        "--listen",
        "HOST:PORT",
        "Address of the data port.",
        default="127.0.0.1:8080",
        show_default=True,
    ),
    text(
        "--admin-listen",
        "HOST:PORT",
        "Address of the admin port.",
        default="127.0.0.1:8090",
        show_default=True,
    ),
    argument("SHELL", "Which shell: bash, zsh or fish.", type=click.Choice(SHELLS)),
    text("--scope", "TEXT …", "Scope of the key; may be repeated. Default: all.", multiple=True),
    text("--agent", "TEXT …", "Agent of the key; may be repeated. Default: all.", multiple=True),
    text("--expires", "TEXT", "Expiry: RFC 3339, or relative to now: 12h, 30d. Default: never."),
    flag("--disabled", "Create the key disabled."),
    text("--project", "TEXT", "Project of the records of its requests."),
    text("--user", "TEXT", "User of the records of its requests."),
    argument(
        "FILE",
        "File for the copy; must not exist. In a directory it is named by the time: "
        "sidelog-2026-11-28T020000Z.db.",
        type=click.Path(path_type=Path),
    ),
    argument("NEW-NAME", "New name of the view."),
    argument(
        "ID",
        "Record id, with or without dashes, its beginning, req_…, or an X-Request-Id.",
        "record_id",
    ),
    argument(
        "[OTHER-ID]",
        "Id of the second, likewise. Without it, the first is compared with the last success of "
        "its endpoint, the one "
        "whose request is most alike.",
        "other_id",
        required=False,
    ),
    flag("--raw", "Print only the stored bytes of the response body."),
    flag("--request", "With --raw: the request body instead."),
    flag("--around", "List what the same service did a minute before and after."),
    flag("--curl", "Print a curl command that repeats the request."),
    flag("--har", "Print the exchange as an HTTP Archive (HAR 1.2)."),
    flag("--all", "Print all fields, with timings and usage.", "has_all"),
    text(
        "--content-type",
        "TYPE",
        "Content type it would be sent with. Default: by the ending of the file.",
    ),
    flag("--show", "Also print the text as it would be stored."),
    flag("--no-header", "Leave out the line with the titles."),
    argument("FORMAT", "What to write: har, ndjson or csv."),
    Option(
        ["--output", "-o", "output"],
        metavar="FILE",
        help="Output file; default: standard output.",
        type=click.Path(path_type=Path),
    ),
    flag("--bodies", "Include bodies (NDJSON, CSV)."),
    flag("--bom", "CSV: begin with a byte order mark, for Excel."),
    argument(
        "[ID]",
        "One conversation, with its calls: its id, or the beginning of it.",
        "conversation_id",
        required=False,
    ),
    text(
        "--for",
        "TIME",
        "For how long, such as 90s or 2h; 0: no longer.",
        "seconds",
        type=Seconds(),
        default="1h",
        show_default=True,
    ),
    number("--min-turns", "Leave out those with fewer calls.", 1),
    argument("SUITE", "Suite or HAR file.", type=click.Path(path_type=Path)),
    text(
        "--against",
        "URL",
        "Where to send: scheme, host, port, and what comes before the path.",
        required=True,
    ),
    text(
        "--expect",
        "WHAT",
        "What an answer must have in common with the recorded one: status, shape (of all that its "
        "endpoint answered: "
        "types, members, enums), or same.",
        type=click.Choice(("status", "shape", "same")),
        default="shape",
        show_default=True,
    ),
    flag("--as-recorded", "Begin requests as far apart as they were."),
    text(
        "--speed",
        "FACTOR",
        "As --as-recorded, so many times as fast: 2, 0.5.",
        type=PositiveNumber(1000),
    ),
    number("--loop", "Send all of it so many times.", 1, 100_000),
    text(
        "--concurrency",
        "N",
        "Requests at a time, at most. Default: 1, or 64 at a pace.",
        type=WholeNumber(1, 1000),
    ),
    text(
        "--timeout-s",
        "SECONDS",
        "Wait so long for an answer.",
        type=PositiveNumber(86_400),
        default=60,
        show_default=True,
    ),
    text(
        "--slower",
        "FACTOR",
        "An endpoint is not as expected if its answers take so many times as long as the recorded "
        "ones: 1.5.",
        type=PositiveNumber(1000),
    ),
    flag("--insecure", "Do not verify the certificate of --against."),
    text(
        "--junit",
        "FILE",
        "Write a report as JUnit XML, too.",
        type=click.Path(path_type=Path),
    ),
    text(
        "--set-header",
        "NAME=VALUE …",
        "Send this header instead; env:NAME takes a variable, an empty value leaves it out.",
        multiple=True,
    ),
    text(
        "--edit",
        "PART=VALUE …",
        "Change path, query.NAME, body or a place in it (body.user.id), where it is; env:NAME "
        "takes a variable.",
        multiple=True,
    ),
    text(
        "--ignore",
        "PLACE …",
        "Set this place apart, as no difference: .generated_at, items[*].id, header:x-runtime.",
        multiple=True,
    ),
    flag("--unsafe", "Send methods that are not safe, too: POST, PUT, PATCH, DELETE, …"),
    text(
        "--min-failed", "N", "Leave out those with fewer failures.", type=WholeNumber(0), default=0
    ),
    text("--min-cost", "USD", "Leave out those that cost less.", "min_cost_usd", default=""),
    text(
        "--html",
        "FILE",
        "Write one conversation into an HTML file that shows the whole run.",
        type=click.Path(path_type=Path),
    ),
)
_DATA_DIR: Final = text(
    "--data-dir",
    "DIR",
    "Its data directory; where none runs, commands that only read take the store there. Default: "
    "SIDELOG_DATA_DIR, "
    "STATE_DIRECTORY, ./sidelog-data, or where that is not, that of `sidelog run` in this project.",
    panel=SOURCE_PANEL,
)
_JSON_LINES: Final = flag("--json", "Print one JSON object per line.", "as_json")
_ALERT: Final = argument("NAME", "Name of the alert.")
_OF_COMMANDS: Final = {
    "run command": argument(
        "[COMMAND]...",
        "The command with its arguments; its options are its own, with or without the -- before "
        "it.",
        "command",
        nargs=-1,
        type=click.UNPROCESSED,
        shell_complete=complete_command,
    ),
    "run route": text(
        "--route",
        "NAME=URL …",
        "Also record what goes to this URL; the command gets its address here as NAME_BASE_URL. "
        "For a known provider: "
        "where it is reached instead.",
        multiple=True,
    ),
    "run proxy": text(
        "--proxy",
        "URL",
        "Use a sidelog that runs, by the URL of its data port; --data-dir is then that of it.",
    ),
    "run data_dir": text(
        "--data-dir", "DIR", "Data directory. Default: one for each project, below ~/.local/state."
    ),
    "run output": Option(
        ["--output", "-o", "output"],
        metavar="FILE",
        help="Write the whole run into this HTML file; default: run.html in the data directory.",
        type=click.Path(path_type=Path),
    ),
    "run opens": flag("--open", "Show the run in a browser at the end.", "opens"),
    "run again": flag("--again", "Run nothing; show what was said of the last run."),
    "demo data_dir": text(
        "--data-dir", "DIR", "Data directory. Default: SIDELOG_DATA_DIR, ./sidelog-demo."
    ),
    "health data_dir": _DATA_DIR,
    "alerts test name": _ALERT,
    "alerts silence name": _ALERT,
    "redact list text": argument(
        "[TEXT]",
        "Only rules that have it in their id, in what they are of, or in a literal, such as ghp_.",
        "text",
        required=False,
        shell_complete=complete_rule,
    ),
    "redact try file": argument(
        "FILE",
        "File with the text, as it would be sent; -: standard input.",
        type=click.Path(path_type=Path),
    ),
    "keys create name": argument("NAME", "Display name."),
    "view save name": argument("NAME", "Name of the view; an existing one is replaced."),
    "view save by": text("--by", "FIELD", "Group by this field, as `sidelog top` does."),
    "mock listen": text(
        "--listen", "HOST:PORT", "Address.", default="127.0.0.1:9000", show_default=True
    ),
    "mock match": text(
        "--match",
        "STRENGTH",
        "Answer no weaker match: exact; same, but for moments and ids made anew; endpoint, by "
        "method and template.",
        type=click.Choice(("exact", "same", "endpoint")),
        default="same",
        show_default=True,
    ),
    "mock ignore": text(
        "--ignore",
        "PLACE",
        "Leave a place of requests out: body.requested_at, items[*].id, query.t, header:accept. "
        "May be repeated.",
        multiple=True,
    ),
    "mock lenient": flag(
        "--lenient", "Answer by the endpoint, whatever query, body and headers are."
    ),
    "mock protobuf": text(
        "--protobuf",
        "FILE",
        "Schema of gRPC services, as for a route: of protoc --include_imports "
        "--descriptor_set_out, or `grpc reflect`.",
        type=click.Path(path_type=Path),
    ),
    "grpc reflect address": argument(
        "ADDRESS", "Address of the service: host:port, or https://host:port."
    ),
    "save name": argument("NAME", "Name of the suite."),
    "save limit": text(
        "--limit", "N", "Save so many at most, the newest. Default: all.", type=WholeNumber(1)
    ),
    "save per_request": text(
        "--per-request",
        "N",
        "Save so many exchanges of the same request at most, the newest. Default: all.",
        type=WholeNumber(1),
    ),
    "replay rate": text(
        "--rate", "N", "Begin so many requests a second.", type=WholeNumber(1, 10_000)
    ),
    "replay protobuf": text(
        "--protobuf",
        "FILE",
        "Schema of gRPC services, as for a route: protoc --include_imports --descriptor_set_out, "
        "or "
        "`sidelog grpc reflect`.",
        type=click.Path(path_type=Path),
    ),
    "replay output": Option(
        ["--output", "-o", "output"],
        metavar="FILE",
        help=(
            "Write a line for each result; what a run that was interrupted left there is not sent "
            "again."
        ),
        type=click.Path(path_type=Path),
    ),
    "tail lines": Option(
        ["--lines", "-n", "lines"],
        metavar="N",
        help="Print so many of the newest records first.",
        type=WholeNumber(0, 1000),
        default=0,
    ),
    "query limit": number("--limit", "Maximum number of records.", 100),
    "top by": text(
        "--by",
        "FIELD",
        "What to group by: endpoint (default), path, ip, ua, key, user, status, outcome, error, "
        "message, failure "
        "(endpoint, reason, status and message), method, host, model, provider, tool (calls of "
        "MCP tools), route, "
        "service, project, container, client, instance, a header (header.x-tenant) or place in "
        "JSON bodies "
        "(body.user.id).",
    ),
    "top sort": text(
        "--sort",
        "FIGURE",
        "Sort by, the highest first: requests, 4xx, 5xx, p50, p95, p99, bytes, tokens or cost.",
        default="requests",
        show_default=True,
    ),
    "top limit": number("--limit", "Maximum number of rows.", 20, 1000),
    "export fields": text(
        "--fields",
        "NAME,…",
        "Columns of CSV, or members of NDJSON: members of records, headers (header.x-tenant), "
        "places in JSON "
        "bodies (body.user.id). Default: all columns.",
    ),
    "conversations sort": text(
        "--sort",
        "FIGURE",
        "What is first: newest, or most cost, turns, failures, tokens or duration.",
        default="newest",
        show_default=True,
    ),
    "conversations limit": number("--limit", "Maximum number of conversations.", 20),
    "query as_json": _JSON_LINES,
    "tail as_json": _JSON_LINES,
    "conversations as_json": _JSON_LINES,
}
PARAMETERS: Final[Mapping[str, Parameter]] = {each.name: each for each in _ALL} | _OF_COMMANDS
"""By name, or where a command has another of that name, by the words of the command and the name.
"""

_ONE: Final = "TEXT"
_MANY: Final = "TEXT …"
_NUMBER: Final = "N"
_FILTERS: Final[tuple[tuple[str, str, str], ...]] = (
    ("query", _ONE, "Search, such as: status:5xx path:/api/* -method:GET (docs/search.md)."),
    (
        "since",
        _ONE,
        "From when, inclusive: an age (15m, 1h30m), a time of day (14:05), today, yesterday, Unix "
        "seconds, "
        "or ISO 8601, local without an offset.",
    ),
    ("until", _ONE, "Until when, exclusive: as for --since."),
    ("status", _MANY, "404, 5xx, or a list."),
    ("method", _MANY, "GET, POST, …"),
    ("host", _MANY, "Host and port the client requested."),
    ("path", _ONE, "Part of the path, case-insensitive."),
    ("endpoint", _MANY, "Template of the path: /users/{id}."),
    ("route", _MANY, "Route id."),
    ("service", _MANY, "Service of the route."),
    ("project", _MANY, "Project of the route."),
    ("container", _MANY, "Container of the route."),
    ("client", _MANY, "Client (organisation) of the route."),
    ("key", _MANY, "Id of an API key of the proxied service."),
    ("level", _MANY, "Severity: debug, info, warn, error."),
    ("kind", _ONE, "Exchanges or events: exchange (default), event, all."),
    ("source", _MANY, "Where the proxy stands: backend or edge."),
    ("outcome", _MANY, "How it ended: ok, upstream_error, client_closed, …"),
    ("error_type", _MANY, "Error code of the provider, the tool or sidelog."),
    ("trace_id", _ONE, "W3C trace id."),
    ("request_id", _MANY, "X-Request-Id."),
    ("client_ip", _MANY, "Address or network of the client: 10.0.0.0/8."),
    ("user_agent", _ONE, "Part of the User-Agent."),
    ("header", _ONE, "Header of request or response, and a part of its value: x-tenant:acme."),
    ("provider", _MANY, "LLM provider."),
    ("model", _MANY, "LLM model, as requested or as the response named it."),
    ("finish_reason", _MANY, "Why the output of an LLM call ended: stop, tool_calls, length, …"),
    ("called_tool", _MANY, "Name of a tool that the model called."),
    ("tool_error", _MANY, "Name of a tool that failed."),
    ("tool", _MANY, "Name of an MCP tool that was called."),
    ("grpc_status", _MANY, "Status of a gRPC call: UNAVAILABLE, 14, !OK."),
    ("redacted", _MANY, "What was taken out: github-token, name:password."),
    ("conversation", _MANY, "Id of a conversation."),
    ("q", _ONE, "A part of the text in path, query, error, headers, bodies or events."),
    ("min_latency_ms", _NUMBER, "Duration in milliseconds, at least."),
    ("max_latency_ms", _NUMBER, "Duration in milliseconds, at most."),
)
"""The native filters of the API (`api/http/params.py`); a test compares the names."""

_SEARCH: Final = argument(
    "[SEARCH]...",
    "Search, such as: 'status:5xx path:/api/* -method:GET' (docs/search.md). Put -- before one "
    "that begins with a "
    "hyphen.",
    "search",
    nargs=-1,
    shell_complete=complete_search,
)


def _filter(name: str, metavar: str, help: str) -> Option:
    kind = WholeNumber(0) if metavar == _NUMBER else None
    option = f"--{name.replace('_', '-')}"
    return text(option, metavar, help, panel=FILTER_PANEL, multiple=metavar == _MANY, type=kind)


def _gather_filters(given: dict[str, Any], _: ExitStack) -> None:
    """Make `filters`, of what was given only, and the `zone` of their times."""
    from proxy.cli.commands.zone import with_offsets, zone_of

    values = {name: given.pop(name) for name, _, _ in _FILTERS}
    filters = {
        name: list(value) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value
    }
    given["zone"] = zone_of(given.pop("utc"))
    given["filters"] = with_offsets(filters, given["zone"])


def _gather_search(given: dict[str, Any], _: ExitStack) -> None:
    """Make one query of the arguments and of `--query`: both must hold."""
    both = [text for text in (" ".join(given.pop("search")), given["query"]) if text]
    given["query"] = both[0] if len(both) == 1 else " ".join(f"({each})" for each in both)


def _gather_reader(given: dict[str, Any], stack: ExitStack) -> None:
    from proxy.cli.commands.reading import reading_client

    given["client"] = stack.enter_context(
        reading_client(*(given.pop(each.name) for each in READER.parameters))
    )


def _gather_later(given: dict[str, Any], _: ExitStack) -> None:
    from proxy.cli.commands.reading import reading_client

    given["reader"] = partial(reading_client, *(given.pop(each.name) for each in READER.parameters))


def _gather_client(given: dict[str, Any], _: ExitStack) -> None:
    from proxy.cli.commands.client import client_from_environment

    given["client"] = client_from_environment(*(given.pop(each.name) for each in CLIENT.parameters))


def settings_flags(*settings: str) -> Shared:
    """Return the flags of settings, which a command gets as `overrides`: dotted setting → text, if
    given.
    """
    names = {setting: setting.replace(".", "__") for setting in settings}

    def gather(given: dict[str, Any], _: ExitStack) -> None:
        texts = {setting: given.pop(name) for setting, name in names.items()}
        given["overrides"] = {setting: text for setting, text in texts.items() if text is not None}

    return Shared(tuple(_setting(FLAGS[setting], name) for setting, name in names.items()), gather)


FILTERS: Final = Shared(tuple(_filter(*each) for each in _FILTERS), _gather_filters)
"""For a command with `utc`."""
SEARCH: Final = Shared((_SEARCH,), _gather_search)
"""For a command with `FILTERS`, behind them."""
_ACCESS: Final = (
    PARAMETERS["url"],
    text(
        "--token",
        "TOKEN",
        "Admin token. Default: SIDELOG_TOKEN, else from the data directory.",
        panel=SOURCE_PANEL,
    ),
)
CLIENT: Final = Shared((*_ACCESS, _DATA_DIR), _gather_client)
"""A running sidelog."""
READER: Final = Shared(
    (
        *_ACCESS,
        _DATA_DIR,
        _config(
            "Configuration file that names the store, when no sidelog runs.", panel=SOURCE_PANEL
        ),
    ),
    _gather_reader,
)
"""A running sidelog, else its store."""
READER_LATER: Final = Shared(READER.parameters, _gather_later)
"""The same, opened by the command if it needs it."""
