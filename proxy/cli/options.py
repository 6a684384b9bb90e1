"""Options that several commands share, and the native filters, declared once for every command that takes them.

`with_filters` puts one option per filter into a command's signature, so that `query`, `tail`, `stats` and `export`
take the same ones under the same names as the API; the command gets them together, as `filters`. `with_reader` and
`with_client` do the same for the options that say which sidelog is meant; the command gets a client, as `admin`.
`with_settings` gives a command the flags of settings; it gets them together, as `overrides`.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from typer import Argument, Option

from proxy.cli.completion import complete_search, complete_view
from proxy.settings.flags import FLAGS, Flag

FILTER_PANEL: Final = "Filters (values of a repeated option are alternatives)"
SOURCE_PANEL: Final = "Which sidelog"


def _help_of(flag: Flag) -> str:
    """Write what is said of a setting as help is written."""
    default = f" Default: {flag.default}." if flag.default else ""
    return f"{flag.help[0].upper()}{flag.help[1:]}.{default}"


Config = Annotated[
    Path | None, Option("--config", metavar="FILE", envvar="SIDELOG_CONFIG", help="Configuration file (TOML).")
]
DataDir = Annotated[
    str | None,
    Option(FLAGS["data_dir"].option, metavar=FLAGS["data_dir"].metavar, help=_help_of(FLAGS["data_dir"])),
]
Json = Annotated[bool, Option("--json", metavar="", help="Print JSON.")]
Fields = Annotated[
    str | None,
    Option(
        "--fields",
        metavar="NAME,…",
        help="Columns: time, code, ms, target, request, any member of the JSON, any header (header.x-tenant) or place "
        "in a JSON body (body.user.id). Default: what fits the terminal.",
    ),
]
FromView = Annotated[
    str | None,
    Option(
        "--view",
        metavar="NAME",
        help="Start from a view (`sidelog view list`): its search, period, order, columns; other options override it.",
        autocompletion=complete_view,
    ),
]
Wide = Annotated[bool, Option("--wide", metavar="", help="Show all columns in full, however narrow the terminal.")]
Utc = Annotated[
    bool,
    Option(
        "--utc",
        metavar="",
        help="Show times in UTC, and read times without an offset as UTC. Default: the local time zone.",
    ),
]
Url = Annotated[
    str | None,
    Option(
        "--url",
        metavar="URL",
        help="URL of the admin port. Default: SIDELOG_URL, else from the data directory.",
        rich_help_panel=SOURCE_PANEL,
    ),
]
Token = Annotated[
    str | None,
    Option(
        "--token",
        metavar="TOKEN",
        help="Admin token. Default: SIDELOG_TOKEN, else from the data directory.",
        rich_help_panel=SOURCE_PANEL,
    ),
]
SourceDataDir = Annotated[
    str | None,
    Option(
        "--data-dir",
        metavar="DIR",
        help="Data directory to read from; its store is read directly when no sidelog runs. Default: SIDELOG_DATA_DIR, "
        "STATE_DIRECTORY, ./sidelog-data.",
        rich_help_panel=SOURCE_PANEL,
    ),
]
SourceConfig = Annotated[
    Path | None,
    Option(
        "--config",
        metavar="FILE",
        envvar="SIDELOG_CONFIG",
        help="Configuration file that names the store, when no sidelog runs.",
        rich_help_panel=SOURCE_PANEL,
    ),
]
Command = Callable[..., int]
Overrides = dict[str, str]
"""Dotted setting → text of its flag; only what was given."""
Many = list[str] | None
Filters = dict[str, str | list[str]]
"""Filter name → value, or alternatives; only what was given."""

_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY
_ONE: Final = str | None
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
    ("q", _ONE, "Words in path, query, error, headers or bodies."),
    ("min_latency_ms", int | None, "Duration in milliseconds, at least."),
    ("max_latency_ms", int | None, "Duration in milliseconds, at most."),
)
"""The native filters of the API (`api/http/params.py`); a test compares the names."""

_SEARCH: Final = Argument(
    metavar="SEARCH",
    help="Search, such as: 'status:5xx path:/api/* -method:GET' (docs/search.md). Put -- before one that begins with "
    "a hyphen.",
    autocompletion=complete_search,
)


def _option(kind: object, text: str) -> Any:
    metavar = "TEXT" if kind == _ONE else "TEXT …" if kind == Many else "N"
    return Option(help=text, metavar=metavar, rich_help_panel=FILTER_PANEL)


def with_filters(command: Command) -> Command:
    """Give a command that takes `filters` an option for each filter."""
    options = [_keyword(name, kind, _option(kind, text)) for name, kind, text in _FILTERS]

    def run(**given: Any) -> int:
        filters: Filters = {}
        for name, _, _ in _FILTERS:
            value = given.pop(name)
            if value:
                filters[name] = value if isinstance(value, list) else str(value)
        return command(filters=filters, **given)

    return _declared(run, command, "filters", options)


def with_search(command: Command) -> Command:
    """Give a command that takes the filters a search among its arguments; with `--query`, both must hold."""

    def run(search: Many, **given: Any) -> int:
        both = [text for text in (" ".join(search or ()), given.pop("query")) if text]
        text = both[0] if len(both) == 1 else " ".join(f"({each})" for each in both)
        return command(query=text or None, **given)

    return _declared(run, command, "", [_keyword("search", Many, _SEARCH)])


def with_settings(*settings: str) -> Callable[[Command], Command]:
    """Give a command that takes `overrides` the flags of these settings."""

    def declare(command: Command) -> Command:
        names = {setting.replace(".", "__"): setting for setting in settings}

        def run(**given: Any) -> int:
            texts = {setting: given.pop(name) for name, setting in names.items()}
            overrides: Overrides = {
                setting: FLAGS[setting].value or text for setting, text in texts.items() if text is not None
            }
            return command(overrides=overrides, **given)

        flags = {name: FLAGS[setting] for name, setting in names.items()}
        options = [
            _keyword(
                name,
                bool | None if flag.value else _ONE,
                Option(flag.option, metavar=flag.metavar, help=_help_of(flag)),
            )
            for name, flag in flags.items()
        ]
        return _declared(run, command, "overrides", options)

    return declare


def with_reader(command: Command) -> Command:
    """Give a command that takes `admin` the options that say where to read: a running sidelog, else its store."""

    def run(url: str | None, token: str | None, data_dir: str | None, config: Path | None, **given: Any) -> int:
        from proxy.cli.commands.reading import reading_client

        with reading_client(url, token, data_dir, config) as admin:
            return command(admin=admin, **given)

    sources = {"url": Url, "token": Token, "data_dir": SourceDataDir, "config": SourceConfig}
    return _declared(run, command, "admin", [_keyword(name, kind) for name, kind in sources.items()])


def with_client(command: Command) -> Command:
    """Give a command that takes `admin` the options that say which running sidelog is meant."""

    def run(url: str | None, token: str | None, data_dir: str | None, **given: Any) -> int:
        from proxy.cli.commands.client import client_from_environment

        return command(admin=client_from_environment(url, token, data_dir), **given)

    sources = {"url": Url, "token": Token, "data_dir": DataDir}
    return _declared(run, command, "admin", [_keyword(name, kind) for name, kind in sources.items()])


def _keyword(name: str, kind: Any, option: Any = None) -> inspect.Parameter:
    annotation = kind if option is None else Annotated[kind, option]
    return inspect.Parameter(name, _KEYWORD, default=None, annotation=annotation)


def _declared(run: Command, command: Command, replaced: str, options: list[inspect.Parameter]) -> Command:
    """Show `run` to typer as the command with options in the place of one parameter."""
    signature = inspect.signature(command)
    own = [p.replace(kind=_KEYWORD) for p in signature.parameters.values() if p.name != replaced]
    functools.update_wrapper(run, command)
    run.__signature__ = inspect.Signature([*own, *options], return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*own, *options]} | {"return": int}
    return run
