"""Options that several commands share, and the values that commands get from them.

A decorator such as `client_options` adds options and replaces them by their meaning, such as a
client. Invariant: this module imports nothing that only a running command needs, so that `sidelog
version` does not load the proxy.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

import click

from proxy.cli.command import FILTER_PANEL, SOURCE_PANEL, PanelOption
from proxy.cli.filters import FILTER_OPTION, filters_of
from proxy.cli.parameter_types import FILE, WholeNumber
from proxy.settings.flags import FLAGS

Function = Callable[..., int]
"""A command's function; it returns the exit code."""
Decorator = Callable[[Function], Function]


def argument(name: str, help: str, **more: Any) -> Decorator:
    """Declare an argument; if it is given, it is not empty."""
    return click.argument(name, help=help, callback=_not_empty, **more)


def _not_empty(_: click.Context, parameter: click.Parameter, value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise click.BadParameter("it is empty", param=parameter)
    return value


def _combined(*options: Decorator) -> Decorator:
    """Combine decorators; help shows their options in this order."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _setting(setting: str, name: str) -> Decorator:
    """Declare the flag of a setting, with the setting's help in the style of help texts."""
    flag = FLAGS[setting]
    default = f" Default: {flag.default}." if flag.default else ""
    help = f"{flag.help[0].upper()}{flag.help[1:]}.{default}"
    value: dict[str, Any] = {"flag_value": flag.value} if flag.value else {"metavar": flag.metavar}
    return click.option(flag.option, name, help=help, **value)


def _config(help: str, **more: Any) -> Decorator:
    return click.option(
        "--config",
        metavar="FILE",
        envvar="SIDELOG_CONFIG",
        show_envvar=True,
        type=FILE,
        help=help,
        **more,
    )


json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
json_lines_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)
config_option: Final = _config("Configuration file (TOML).")
_WHERE: Final = (
    "Default: SIDELOG_DATA_DIR, STATE_DIRECTORY, ./sidelog-data; where no sidelog ran there, "
    "./sidelog-demo, or that of `sidelog run` in this project."
)
data_dir_option: Final = click.option("--data-dir", metavar="DIR", help=f"Data directory. {_WHERE}")
fields_option: Final = click.option(
    "--fields",
    metavar="NAME,…",
    help="Columns: time, code, ms, target, request, any member of the JSON, any header "
    "(header.x-tenant) or place in a JSON body (body.user.id). Default: what fits the terminal.",
)
from_view_option: Final = click.option(
    "--view",
    "from_view",
    metavar="NAME",
    help="Start from a view (`sidelog view list`): its search, period, order, columns; other "
    "options override it.",
)
order_option: Final = click.option(
    "--order", metavar="ORDER", help="Newest first (desc, default), or oldest (asc)."
)
ignore_option: Final = click.option(
    "--ignore",
    metavar="PLACE …",
    multiple=True,
    help="Set this place apart, as no difference: .generated_at, items[*].id, header:x-runtime.",
)
protobuf_option: Final = click.option(
    "--protobuf",
    metavar="FILE",
    type=FILE,
    help="Schema of gRPC services, as for a route: protoc --include_imports --descriptor_set_out, "
    "or `sidelog grpc reflect`.",
)
record_argument: Final = argument(
    "record_id",
    "Record id, with or without dashes, its beginning, req_…, or an X-Request-Id.",
    metavar="ID",
)


def output_option(help: str) -> Decorator:
    """Declare the output file of a command."""
    return click.option("--output", "-o", metavar="FILE", type=FILE, help=help)


def limit_option(help: str, default: int | None = None, most: int | None = None) -> Decorator:
    """Declare the number of items that a command shows or writes, at least one."""
    return click.option(
        "--limit",
        type=WholeNumber(1, most),
        default=default,
        show_default=default is not None,
        help=help,
    )


def settings_options(*settings: str) -> Decorator:
    """Give a command `overrides`, the given flags of settings: dotted setting → text."""
    names = {setting: setting.replace(".", "__") for setting in settings}

    def decorate(function: Function) -> Function:
        @wraps(function)
        def run(**given: Any) -> int:
            texts = {setting: given.pop(name) for setting, name in names.items()}
            overrides = {setting: text for setting, text in texts.items() if text is not None}
            return function(overrides=overrides, **given)

        return _combined(*(_setting(setting, name) for setting, name in names.items()))(run)

    return decorate


_source_option = partial(click.option, cls=PanelOption, panel=SOURCE_PANEL)
url_option: Final = _source_option(
    "--url",
    metavar="URL",
    help="URL of the admin port. Default: SIDELOG_URL, else from the data directory.",
)
store_option: Final = _source_option(
    "--data-dir",
    metavar="DIR",
    help="Its data directory; where none runs, commands that only read take the store there. "
    + _WHERE,
)
_running_options: Final = _combined(
    url_option,
    _source_option(
        "--token",
        metavar="TOKEN",
        help="Admin token. Default: SIDELOG_TOKEN, else from the data directory.",
    ),
    store_option,
)
_reading_options: Final = _combined(
    _running_options,
    _config(
        "Configuration file that names the store, when no sidelog runs.",
        cls=PanelOption,
        panel=SOURCE_PANEL,
    ),
)


def client_options(function: Function) -> Function:
    """Give a command the `client` of a running sidelog."""

    @wraps(function)
    def run(url: str | None, token: str | None, data_dir: str | None, **given: Any) -> int:
        from proxy.cli.commands.client import client_from_environment

        return function(client=client_from_environment(url, token, data_dir), **given)

    return _running_options(run)


def reader_options(function: Function) -> Function:
    """Give a command the `client` of a running sidelog, else of its store."""

    def run(reader: Callable[[], Any], **given: Any) -> int:
        with reader() as client:
            return function(client=client, **given)

    return later_reader_options(wraps(function)(run))


def later_reader_options(function: Function) -> Function:
    """Give a command a `reader`, which opens such a client if the command needs it."""

    @wraps(function)
    def run(
        url: str | None,
        token: str | None,
        data_dir: str | None,
        config: Path | None,
        **given: Any,
    ) -> int:
        from proxy.cli.commands.reading import reading_client

        return function(reader=partial(reading_client, url, token, data_dir, config), **given)

    return _reading_options(run)


_ONE: Final = "TEXT"
_MANY: Final = "TEXT …"
SHOWN_FILTERS: Final = (
    (
        "since",
        _ONE,
        "From when, inclusive: an age (15m, 1h30m), a time of day (14:05), today, yesterday, Unix "
        "seconds, or ISO 8601, local without an offset.",
    ),
    ("until", _ONE, "Until when, exclusive: as for --since."),
    ("status", _MANY, "404, 5xx, or a list."),
    ("path", _ONE, "Part of the path, case-insensitive."),
    ("model", _MANY, "LLM model, as requested or as the response named it."),
)
"""The most-used filters."""


class _AnyFilter(PanelOption):
    """Stands in help for the flags of all fields, which become it (`proxy.cli.filters`)."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return "--FIELD TEXT …", self.help or ""


def _filter(name: str, metavar: str, help: str) -> Decorator:
    return click.option(
        f"--{name}",
        cls=PanelOption,
        panel=FILTER_PANEL,
        metavar=metavar,
        multiple=metavar == _MANY,
        help=help,
    )


_filter_options: Final = _combined(
    click.option(
        "--utc",
        is_flag=True,
        help="Show times in UTC, and read times without an offset as UTC. Default: the local time "
        "zone.",
    ),
    *(_filter(*each) for each in SHOWN_FILTERS),
    click.option(
        FILTER_OPTION,
        "terms",
        cls=_AnyFilter,
        panel=FILTER_PANEL,
        nargs=2,
        multiple=True,
        help="Every field of docs/search.md is a flag, too: --level error, --duration '>500ms', "
        "--header.x-tenant acme. --query takes a whole search.",
    ),
)


def filter_options(function: Function) -> Function:
    """Give a command `filters`, only those given, and the `zone` of their times."""

    @wraps(function)
    def run(
        utc: bool, terms: Sequence[tuple[str, str]], search: Sequence[str] = (), **given: Any
    ) -> int:
        from proxy.cli.commands.output import complain
        from proxy.cli.commands.zone import with_offsets, yesterday_notice, zone_of

        shown = {name: given.pop(name) for name, _, _ in SHOWN_FILTERS}
        filters = filters_of(search, shown, terms)
        zone = zone_of(utc)
        now = datetime.now(UTC)
        written = with_offsets(filters, zone, now)
        if notice := yesterday_notice(filters, written, now):
            complain(f"sidelog: {notice}")
        return function(filters=written, zone=zone, **given)

    return _filter_options(run)


def search_options(function: Function) -> Function:
    """Give a command `filters` and `zone`; its further arguments are part of the search."""
    return argument(
        "search",
        "Search, such as: 'status:5xx path:/api/* -method:GET' (docs/search.md). Put -- before "
        "one that begins with a hyphen.",
        nargs=-1,
    )(filter_options(function))
