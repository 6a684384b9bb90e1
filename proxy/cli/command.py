"""What commands are declared with: commands and groups, option types, and options that several
commands share.

A decorator adds options and replaces them by their meaning: `client_options` gives a command a
client. Invariant: this module imports nothing that only a running command needs, so that `sidelog
version` does not load the proxy.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import click

from proxy.cli.filters import FILTER_OPTION, closest_flags, filters_of, with_filters
from proxy.settings.flags import FLAGS

if TYPE_CHECKING:
    from proxy.cli.commands.output import Result

OWN_PANEL: Final = "Options"
SOURCE_PANEL: Final = "Which sidelog"
FILTER_PANEL: Final = "Filters (values of a repeated option are alternatives)"


class PanelOption(click.Option):
    """An option that help shows in a named panel."""

    def __init__(self, *declarations: Any, panel: str, **more: Any) -> None:
        super().__init__(*declarations, **more)
        self.panel = panel


class Command(click.Command):
    """A command whose help shows options by panel; its group's list shows its whole first
    paragraph.
    """

    def __init__(self, *given: Any, instead: Mapping[str, str] = {}, **more: Any) -> None:
        """Make a command. `instead` maps options of other commands to advice for this one."""
        super().__init__(*given, **more)
        self._instead = instead

    @property
    def _options(self) -> list[str]:
        """Return the names of the command's options."""
        return [
            name for each in self.params for name in each.opts if isinstance(each, click.Option)
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        has_filters = FILTER_OPTION in self._options
        if has_filters:
            args = with_filters(args, self._options)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = self._instead.get(error.option_name, "")
            near = error.possibilities
            if has_filters:
                near = closest_flags(error.option_name, self._options)
            if not hint and near:
                hint = f"Did you mean {near[0]}?"
            raise click.UsageError(f"{error.message} {hint}".rstrip(), ctx) from error

    def get_short_help_str(self, limit: int = 45) -> str:
        return " ".join((self.help or "").partition("\n\n")[0].split())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        panels: dict[str, list[tuple[str, str]]] = {
            OWN_PANEL: [],
            SOURCE_PANEL: [],
            FILTER_PANEL: [],
        }
        for each in self.get_params(ctx):
            if isinstance(each, click.Option) and (record := each.get_help_record(ctx)):
                if isinstance(each, PanelOption):
                    panel = each.panel
                else:
                    panel = OWN_PANEL
                panels[panel].append(record)

        for title, records in panels.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(click.Group):
    """A group that lists its commands in the order of their declaration."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def command(**settings: Any) -> Callable[[Callable[..., int]], Command]:
    """Declare a command of the program; its function returns the exit code."""
    return click.command(cls=Command, **settings)


_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
BARE_NUMBER: Final = re.compile(r"\s*[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
"""A duration without a unit."""
NUMBER_WITH_UNIT: Final = "a number with a unit (s, m, h, d or w)"


class WholeNumber(click.IntRange):
    """A whole number, refused with its value and its limits."""

    name = "n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if _WHOLE_NUMBER.fullmatch(str(value)):
            number = int(value)
        else:
            number = None
        if (
            number is None
            or number < (self.min or 0)
            or (self.max is not None and number > self.max)
        ):
            if self.max is None:
                limits = f", at least {self.min}"
            else:
                limits = f" from {self.min} to {self.max}"
            self.fail(f"expected a whole number{limits}, got {value!r}", param, ctx)

        return number


def seconds_in(text: str) -> int:
    """Return whole seconds, with units as in settings.

    Raises:
        ValueError: the text is not a duration, or it is negative.
    """
    import msgspec

    from proxy.settings.conversion import convert
    from proxy.settings.sources import Given

    wanted = Annotated[int, msgspec.Meta(ge=0)]
    seconds: int = convert("_s", Given(text, "", is_text=True), wanted)
    return seconds


class Seconds(click.ParamType[int]):
    """Whole seconds, with units as in settings: `90s`, `1h30m`; `0` stands for none."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value

        if BARE_NUMBER.fullmatch(value) and value.strip() != "0":
            self.fail(f"expected {NUMBER_WITH_UNIT}, such as 5m, got {value!r}", param, ctx)
        try:
            return seconds_in(value)
        except ValueError as error:
            self.fail(f"{error}, got {value!r}", param, ctx)


class PositiveNumber(click.ParamType[float]):
    """A number above 0, refused with its value and its limit."""

    name = "number"

    def __init__(self, most: float) -> None:
        self._most = most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if _NUMBER.fullmatch(str(value)):
            number = float(value)
        else:
            number = 0.0
        if not 0 < number <= self._most:
            self.fail(
                f"expected a number above 0, at most {self._most:g}, got {value!r}", param, ctx
            )
        return number


FILE: Final = click.Path(path_type=Path)

Function = Callable[..., int]
"""A command's function; it returns the exit code."""
Decorator = Callable[[Function], Function]


def argument(name: str, help: str, **more: Any) -> Decorator:
    """Return a decorator that declares an argument of a command. The argument must not be an empty
    text.
    """
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
    if flag.default:
        default = f" Default: {flag.default}."
    else:
        default = ""
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


json_flag: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
json_lines_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)
config_option: Final = _config("Configuration file (TOML).")
_WHERE: Final = (
    "Default: SIDELOG_DATA_DIR, STATE_DIRECTORY, else ./sidelog-data or ./sidelog-demo: the one "
    "that is in use, else the first with records; else that of `sidelog run` in this project."
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
    help="Ignore differences in this place: .generated_at, items[*].id, header:x-runtime.",
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


def json_option(function: Callable[..., "Result"]) -> Function:
    """Give a command that returns a result `--json`, and print the result.

    The printer may need the command's client, so this decorator is the innermost one.
    """

    @wraps(function)
    def run(*, as_json: bool, **given: Any) -> int:
        return function(**given).print(as_json=as_json)

    return json_flag(run)


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
    """Declare the options by which a command gets the `client` of a running sidelog."""

    @wraps(function)
    def run(url: str | None, token: str | None, data_dir: str | None, **given: Any) -> int:
        from proxy.cli.commands.client import connect

        return function(client=connect(url, token, data_dir), **given)

    return _running_options(run)


def reader_options(function: Function) -> Function:
    """Declare the options by which a command gets the `client` of a running sidelog, or else of its
    store.
    """

    def run(reader: Callable[[], Any], **given: Any) -> int:
        with reader() as client:
            return function(client=client, **given)

    return later_reader_options(wraps(function)(run))


def later_reader_options(function: Function) -> Function:
    """Give a command a `reader`: it opens a client of a running sidelog, or else of its store."""

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
    """The option that flags of fields become (`proxy.cli.filters`); in help it represents all of
    them.
    """

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
    """Declare the options by which a command gets `filters`, with only the given ones, and the
    `zone` of their times.
    """

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
    """Declare the options by which a command gets `filters` and `zone`. The further arguments of
    the command are part of the search.
    """
    return argument(
        "search",
        "Search, such as: 'status:5xx path:/api/* -method:GET' (docs/search.md). Put -- before "
        "one that begins with a hyphen.",
        nargs=-1,
    )(filter_options(function))
