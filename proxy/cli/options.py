"""Options of the commands, each declared once, and how a command is declared.

Parameters are rows of a table: a name, a type, and what typer says of it. What a command gets together as one value (a
client, the filters, the flags of settings) is a group of them, with what makes that value. What a command does is in
`proxy/cli/commands/`, imported when it runs, so that `sidelog version` does not pay for the proxy.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer
from typer import Argument, Option

from proxy.cli.completion import Shell, complete_search, complete_view
from proxy.settings.flags import FLAGS, Flag

FILTER_PANEL: Final = "Filters (values of a repeated option are alternatives)"
SOURCE_PANEL: Final = "Which sidelog"

Parameters = Mapping[str, tuple[Any, Any]]
"""Name → type, and the Option or Argument with its default."""
Many = list[str] | None
_ONE: Final = str | None


class Shared(NamedTuple):
    """Parameters that a command gets together, as other values."""

    parameters: Parameters
    gather: Callable[[dict[str, Any], ExitStack], None]
    """Replace the values of parameters by these; resources to close go on the stack."""


class Command(NamedTuple):
    """One command."""

    words: str
    help: str
    example: str
    """What is behind the words; or a whole line, where another program is before them."""
    parameters: str
    """Names, in the order of help."""
    shared: tuple[Shared, ...] = ()
    run: str = ""
    """Module below `proxy/cli/commands` and function that returns the exit code, where they are called otherwise."""


def declare(app: typer.Typer, groups: Mapping[str, typer.Typer], commands: tuple[Command, ...]) -> None:
    """Give the application, or the group that is its first word, each command."""
    for command in commands:
        *group, name = command.words.split()
        place = groups[group[0]] if group else app
        before = "" if f"sidelog {command.words}" in command.example else f"sidelog {command.words} "
        line = f"{before}{command.example}".strip()
        place.command(name, help=f"{command.help}\n\nExample: {line}")(_callback(command))


def _callback(command: Command) -> Callable[..., int]:
    def run(**given: Any) -> int:
        with ExitStack() as stack:
            for shared in reversed(command.shared):
                shared.gather(given, stack)
            first, *others = command.words.split()
            module, _, function = (command.run or f"{first}:{'_'.join(others) or 'run'}").partition(":")
            code: int = getattr(import_module(f"proxy.cli.commands.{module}"), function)(**given)
        return code

    words = command.words
    parameters = {name: PARAMETERS.get(f"{words} {name}") or PARAMETERS[name] for name in command.parameters.split()}
    for shared in command.shared:
        parameters |= shared.parameters
    signature = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=declared, annotation=kind)
        for name, (kind, declared) in parameters.items()
    ]
    run.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    run.__annotations__ = {name: kind for name, (kind, _) in parameters.items()}
    return run


def flag(name: str, text: str) -> tuple[Any, Any]:
    """Declare an option without a value."""
    return bool, Option(False, name, metavar="", help=text)


def text(metavar: str, help: str, default: str | None = None, *names: str, **more: Any) -> tuple[Any, Any]:
    """Declare an option whose value is a text; without names it is called as its parameter."""
    return _ONE if default is None else str, Option(default, *names, metavar=metavar, help=help, **more)


def number(help: str, default: int, most: int | None = None) -> tuple[Any, Any]:
    """Declare an option whose value is a whole number, one at least."""
    return int, Option(default, min=1, max=most, metavar="N", help=help)


def argument(metavar: str, help: str, kind: Any = str, **more: Any) -> tuple[Any, Any]:
    """Declare an argument that a command cannot do without."""
    return kind, Argument(..., metavar=metavar, help=help, **more)


def _setting(flag: Flag) -> tuple[Any, Any]:
    """Declare the flag of a setting; what is said of it is written as help is."""
    default = f" Default: {flag.default}." if flag.default else ""
    help = f"{flag.help[0].upper()}{flag.help[1:]}.{default}"
    return bool | None if flag.value else _ONE, Option(None, flag.option, metavar=flag.metavar, help=help)


def _config(help: str, **more: Any) -> tuple[Any, Any]:
    return Path | None, Option(None, "--config", metavar="FILE", envvar="SIDELOG_CONFIG", help=help, **more)


_JSON_LINES: Final = flag("--json", "Print one JSON object per line.")
PARAMETERS: Final[Parameters] = {
    "config": _config("Configuration file (TOML)."),
    "data_dir": _setting(FLAGS["data_dir"]),
    "rate": flag("--rate", "Measure, too, which rate this machine sustains with everything stored: 30 s."),
    "as_json": flag("--json", "Print JSON."),
    "fields": text(
        "NAME,…",
        "Columns: time, code, ms, target, request, any member of the JSON, any header (header.x-tenant) or place in a "
        "JSON body (body.user.id). Default: what fits the terminal.",
    ),
    "from_view": text(
        "NAME",
        "Start from a view (`sidelog view list`): its search, period, order, columns; other options override it.",
        None,
        "--view",
        autocompletion=complete_view,
    ),
    "order": text("ORDER", "Newest first (desc, default), or oldest (asc)."),
    "wide": flag("--wide", "Show all columns in full, however narrow the terminal."),
    "utc": flag("--utc", "Show times in UTC, and read times without an offset as UTC. Default: the local time zone."),
    "url": text(
        "URL",
        "URL of the admin port. Default: SIDELOG_URL, else from the data directory.",
        rich_help_panel=SOURCE_PANEL,
    ),
    "key": argument("KEY", "Id of a key, or its name if that is unique."),
    "name": argument("NAME", "Name of a view.", autocompletion=complete_view),
    "greets": flag("--greet", "Print addresses and commands to try, as on a terminal."),
    "listen": text("HOST:PORT", "Address of the data port.", "127.0.0.1:8080"),
    "admin_listen": text("HOST:PORT", "Address of the admin port.", "127.0.0.1:8090"),
    "shell": argument("SHELL", "Which shell: bash, zsh or fish.", Shell),
    "context": (typer.Context, None),
    "keys create name": argument("NAME", "Display name."),
    "scope": (Many, Option(None, metavar="TEXT …", help="Scope of the key; may be repeated. Default: all.")),
    "agent": (Many, Option(None, metavar="TEXT …", help="Agent of the key; may be repeated. Default: all.")),
    "expires": text("TEXT", "Expiry: RFC 3339, or relative to now: 12h, 30d. Default: never."),
    "disabled": flag("--disabled", "Create the key disabled."),
    "project": text("TEXT", "Project of the records of its requests."),
    "user": text("TEXT", "User of the records of its requests."),
    "file": argument("FILE", "File for the copy; must not exist.", Path),
    "view save name": argument("NAME", "Name of the view; an existing one is replaced."),
    "view save by": text("FIELD", "Group by this field, as `sidelog top` does."),
    "new_name": argument("NEW-NAME", "New name of the view."),
    "record_id": argument("ID", "Record id, with or without dashes, its beginning, req_…, or an X-Request-Id."),
    "raw": flag("--raw", "Print only the stored bytes of the response body."),
    "request": flag("--request", "With --raw: the request body instead."),
    "around": flag("--around", "List what the same service did a minute before and after."),
    "curl": flag("--curl", "Print a curl command that repeats the request."),
    "har": flag("--har", "Print the exchange as an HTTP Archive (HAR 1.2)."),
    "has_all": flag("--all", "Print all fields, with timings and usage."),
    "query limit": number("Maximum number of records.", 100),
    "no_header": flag("--no-header", "Leave out the line with the titles."),
    "top by": text(
        "FIELD",
        "What to group by: endpoint (default), path, ip, ua, key, user, status, outcome, error, failure "
        "(endpoint, reason and status), method, host, model, provider, tool (calls of MCP tools), route, "
        "service, project, container, client, instance, a header (header.x-tenant) or place in JSON bodies "
        "(body.user.id).",
    ),
    "top sort": text(
        "FIGURE", "Sort by, the highest first: requests, 4xx, 5xx, p50, p95, p99, bytes, tokens or cost.", "requests"
    ),
    "top limit": number("Maximum number of rows.", 20, 1000),
    "format": argument("FORMAT", "What to write: har, ndjson or csv."),
    "output": (
        Path | None,
        Option(None, "--output", "-o", metavar="FILE", help="Output file; default: standard output."),
    ),
    "bodies": flag("--bodies", "Include bodies (NDJSON, CSV)."),
    "export fields": text(
        "NAME,…",
        "Columns of CSV, or members of NDJSON: members of records, headers (header.x-tenant), places in JSON "
        "bodies (body.user.id). Default: all columns.",
    ),
    "bom": flag("--bom", "CSV: begin with a byte order mark, for Excel."),
    "conversation_id": (
        str | None,
        typer.Argument(None, metavar="[ID]", help="One conversation, with its calls: its id, or the beginning of it."),
    ),
    "min_turns": number("Leave out those with fewer calls.", 1),
    "conversations sort": text(
        "FIGURE", "What is first: newest, or most cost, turns, failures, tokens or duration.", "newest"
    ),
    "conversations limit": number("Maximum number of conversations.", 20),
    "query as_json": _JSON_LINES,
    "tail as_json": _JSON_LINES,
    "conversations as_json": _JSON_LINES,
}
"""By name, or where a command has another of that name, by the words of the command and the name."""

_FILTERS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("query", _ONE, "Search, such as: status:5xx path:/api/* -method:GET (docs/search.md)."),
    (
        "since",
        _ONE,
        "From when, inclusive: an age (15m, 1h30m), a time of day (14:05), today, yesterday, Unix seconds, "
        "or ISO 8601, local without an offset.",
    ),
    ("until", _ONE, "Until when, exclusive: as for --since."),
    ("status", Many, "404, 5xx, or a list."),
    ("method", Many, "GET, POST, …"),
    ("host", Many, "Host and port the client requested."),
    ("path", _ONE, "Part of the path, case-insensitive."),
    ("endpoint", Many, "Template of the path: /users/{id}."),
    ("route", Many, "Route id."),
    ("service", Many, "Service of the route."),
    ("project", Many, "Project of the route."),
    ("container", Many, "Container of the route."),
    ("client", Many, "Client (organisation) of the route."),
    ("key", Many, "Id of an API key of the proxied service."),
    ("level", Many, "Severity: debug, info, warn, error."),
    ("kind", _ONE, "Exchanges or events: exchange (default), event, all."),
    ("source", Many, "Where the proxy stands: backend or edge."),
    ("outcome", Many, "How it ended: ok, upstream_error, client_closed, …"),
    ("error_type", Many, "Error code of the provider, the tool or sidelog."),
    ("trace_id", _ONE, "W3C trace id."),
    ("request_id", Many, "X-Request-Id."),
    ("client_ip", Many, "Address or network of the client: 10.0.0.0/8."),
    ("user_agent", _ONE, "Part of the User-Agent."),
    ("header", _ONE, "Header of request or response, and a part of its value: x-tenant:acme."),
    ("provider", Many, "LLM provider."),
    ("model", Many, "LLM model, as requested or as the response named it."),
    ("finish_reason", Many, "Why the output of an LLM call ended: stop, tool_calls, length, …"),
    ("called_tool", Many, "Name of a tool that the model called."),
    ("tool", Many, "Name of an MCP tool that was called."),
    ("conversation", Many, "Id of a conversation."),
    ("q", _ONE, "A part of the text in path, query, error, headers, bodies or events."),
    ("min_latency_ms", int | None, "Duration in milliseconds, at least."),
    ("max_latency_ms", int | None, "Duration in milliseconds, at most."),
)
"""The native filters of the API (`api/http/params.py`); a test compares the names."""

_SEARCH: Final = Argument(
    None,
    metavar="SEARCH",
    help="Search, such as: 'status:5xx path:/api/* -method:GET' (docs/search.md). Put -- before one that begins with "
    "a hyphen.",
    autocompletion=complete_search,
)


def _filter(kind: Any, text: str) -> tuple[Any, Any]:
    metavar = "TEXT" if kind == _ONE else "TEXT …" if kind == Many else "N"
    return kind, Option(None, help=text, metavar=metavar, rich_help_panel=FILTER_PANEL)


def _gather_filters(given: dict[str, Any], _: ExitStack) -> None:
    """Make `filters`, of what was given only, and the `zone` of their times."""
    from proxy.cli.commands.zone import with_offsets, zone_of

    values = {name: given.pop(name) for name, _, _ in _FILTERS}
    filters = {name: value if isinstance(value, list) else str(value) for name, value in values.items() if value}
    given["zone"] = zone_of(given.pop("utc"))
    given["filters"] = with_offsets(filters, given["zone"])


def _gather_search(given: dict[str, Any], _: ExitStack) -> None:
    """Make one query of the arguments and of `--query`: both must hold."""
    both = [text for text in (" ".join(given.pop("search") or ()), given["query"]) if text]
    given["query"] = both[0] if len(both) == 1 else " ".join(f"({each})" for each in both)


def _gather_reader(given: dict[str, Any], stack: ExitStack) -> None:
    from proxy.cli.commands.reading import reading_client

    given["client"] = stack.enter_context(reading_client(*map(given.pop, READER.parameters)))


def _gather_client(given: dict[str, Any], _: ExitStack) -> None:
    from proxy.cli.commands.client import client_from_environment

    given["client"] = client_from_environment(*map(given.pop, CLIENT.parameters))


def settings_flags(*settings: str) -> Shared:
    """Return the flags of settings, which a command gets as `overrides`: dotted setting → text, if given."""
    names = {setting.replace(".", "__"): setting for setting in settings}

    def gather(given: dict[str, Any], _: ExitStack) -> None:
        texts = {setting: given.pop(name) for name, setting in names.items()}
        given["overrides"] = {name: FLAGS[name].value or text for name, text in texts.items() if text is not None}

    return Shared({name: _setting(FLAGS[setting]) for name, setting in names.items()}, gather)


FILTERS: Final = Shared({name: _filter(kind, text) for name, kind, text in _FILTERS}, _gather_filters)
"""For a command with `utc`."""
SEARCH: Final = Shared({"search": (Many, _SEARCH)}, _gather_search)
"""For a command with `FILTERS`, behind them."""
_ACCESS: Final = {
    "url": PARAMETERS["url"],
    "token": text(
        "TOKEN", "Admin token. Default: SIDELOG_TOKEN, else from the data directory.", rich_help_panel=SOURCE_PANEL
    ),
}
CLIENT: Final = Shared(_ACCESS | {"data_dir": PARAMETERS["data_dir"]}, _gather_client)
"""A running sidelog."""
READER: Final = Shared(
    _ACCESS
    | {
        "data_dir": text(
            "DIR",
            "Data directory to read from; its store is read directly when no sidelog runs. Default: SIDELOG_DATA_DIR, "
            "STATE_DIRECTORY, ./sidelog-data.",
            rich_help_panel=SOURCE_PANEL,
        ),
        "config": _config(
            "Configuration file that names the store, when no sidelog runs.", rich_help_panel=SOURCE_PANEL
        ),
    },
    _gather_reader,
)
"""A running sidelog, else its store."""
