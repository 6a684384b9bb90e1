"""Options that several commands share, and the native filters, declared once for every command that takes them.

`with_filters` puts one option per filter into a command's signature, so that `query`, `tail`, `stats` and `export`
take the same ones under the same names as the API; the command gets them together, as `filters`.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from typer import Option

FILTER_PANEL: Final = "Filters (those that can be repeated take alternatives)"
SOURCE_PANEL: Final = "Which sidelog"

Config = Annotated[Path | None, Option("--config", metavar="FILE", envvar="SIDELOG_CONFIG", help="TOML file.")]
DataDir = Annotated[str | None, Option("--data-dir", metavar="DIR", help="where everything that lasts is kept")]
Json = Annotated[bool, Option("--json", metavar="", help="JSON for programs.")]
Url = Annotated[
    str | None,
    Option(
        "--url",
        metavar="URL",
        help="Admin port; default: SIDELOG_URL, else from the data directory.",
        rich_help_panel=SOURCE_PANEL,
    ),
]
Token = Annotated[
    str | None,
    Option(
        "--token",
        metavar="T",
        help="Default: SIDELOG_TOKEN, else from the data directory.",
        rich_help_panel=SOURCE_PANEL,
    ),
]
SourceDataDir = Annotated[
    str | None,
    Option(
        "--data-dir",
        metavar="DIR",
        help="Of the sidelog to read from; its store is read itself when it does not run. Default: SIDELOG_DATA_DIR, "
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
        help="TOML file that names the store, when nothing runs.",
        rich_help_panel=SOURCE_PANEL,
    ),
]
Many = list[str] | None
Filters = dict[str, str | list[str]]
"""Filter name → value, or alternatives; only what was given."""

_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY
_ONE: Final = str | None
_FILTERS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("since", _ONE, "Inclusive; ISO 8601, or relative: 15m, 24h."),
    ("until", _ONE, "Exclusive."),
    ("status", Many, "404, 5xx, lists."),
    ("method", Many, "GET, POST, …"),
    ("host", Many, "Authority the client asked for."),
    ("path", _ONE, "Part of the path, upper and lower case alike."),
    ("route", Many, "Route id."),
    ("service", Many, "Service of the route."),
    ("project", Many, "Project of the route."),
    ("container", Many, "Container of the route."),
    ("client", Many, "Client (organisation) of the route."),
    ("key", Many, "Id of an API key of the proxied service."),
    ("level", Many, "debug, info, warn, error."),
    ("kind", _ONE, "exchange (default), event, all."),
    ("source", Many, "backend or edge."),
    ("outcome", Many, "ok, upstream_error, client_closed, …"),
    ("error_type", Many, "Error code."),
    ("trace_id", _ONE, "W3C trace id."),
    ("provider", Many, "LLM provider."),
    ("model", Many, "LLM model, as requested."),
    ("tool", Many, "Name of an MCP tool that was called."),
    ("q", _ONE, "Text in path, error or bodies."),
    ("min_latency_ms", int | None, "At least this long."),
    ("max_latency_ms", int | None, "At most this long."),
)
"""The native filters of the API (`api/params.py`); a test compares the names."""


def _option(kind: object, text: str) -> Any:
    metavar = "TEXT" if kind == _ONE else "TEXT …" if kind == Many else "N"
    return Option(help=text, metavar=metavar, rich_help_panel=FILTER_PANEL)


def with_filters(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command that takes `filters` an option for each filter."""
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "filters"]
    options = [
        inspect.Parameter(name, _KEYWORD, default=None, annotation=Annotated[kind, _option(kind, text)])
        for name, kind, text in _FILTERS
    ]

    @functools.wraps(command)
    def run(**given: Any) -> int:
        filters: Filters = {}
        for name, _, _ in _FILTERS:
            value = given.pop(name)
            if value:
                filters[name] = value if isinstance(value, list) else str(value)
        return command(filters=filters, **given)

    keyword = [p.replace(kind=_KEYWORD) for p in own]
    run.__signature__ = inspect.Signature([*options, *keyword], return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*options, *keyword]} | {"return": int}
    return run
