"""`sidelog run`: starts a sidelog and a command that calls models through it, then sums up the
calls.

Invariants: our exit code is the command's, even if recording fails. The user's settings are not
changed: addresses are passed to this start only, by variables and arguments.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import click

from proxy.cli.command import argument, command, output_option
from proxy.cli.commands.authority import proxy_of, variables_for
from proxy.cli.commands.client import Client, Filters, connect, data_directory
from proxy.cli.commands.output import CommandError, complain, say, show_in_browser
from proxy.cli.commands.run.child import executable_of, run_child
from proxy.cli.commands.run.directories import LAST_RUN, claimed_directory, last_directory
from proxy.cli.commands.run.outgoing import hosts_of, obstacle
from proxy.cli.commands.run.own_sidelog import own_sidelog, settings_environment, stored_records
from proxy.cli.commands.run.programs import Program, program_of
from proxy.cli.commands.run.providers import VARIABLES, Plan, plan, variable_of
from proxy.cli.commands.run.running_sidelog import addresses_in, settled
from proxy.cli.commands.run.summary import Figures, lines_of, read_figures
from proxy.cli.welcome import own_program
from proxy.egress.trust import direct_variables
from proxy.process.data_dir import read_state, token_of, update_state
from proxy.process.terminal import without_credentials
from proxy.settings.addresses import parse_upstream

PAGE_FILE: Final = "run.html"
MAX_SERVICE_CHARACTERS: Final = 256
_PROXIES: Final = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


class Asked(NamedTuple):
    """Options of a run, apart from the command."""

    wanted: Mapping[str, str]
    """Name → upstream of further routes."""
    data_dir: str | None
    output: Path | None
    opens: bool
    hosts: Sequence[str]
    """Hosts whose calls are decrypted; empty: outgoing calls are not recorded."""


class Wrapped(NamedTuple):
    """The command, and the addresses that it will use."""

    program: str
    """Path of its executable."""
    command: Sequence[str]
    known: Program
    own_places: frozenset[str]
    """Places where the program looks for the addresses of its providers; other places are variables
    of further routes.
    """
    planned: Plan

    @property
    def name(self) -> str:
        return os.path.basename(self.command[0])


@command(context_settings={"allow_interspersed_args": False})
@argument(
    "command",
    "Command with its arguments; options after its name are its own, with or without -- before it.",
    nargs=-1,
    type=click.UNPROCESSED,
)
@click.option(
    "--route",
    metavar="NAME=URL …",
    multiple=True,
    help="Also record calls to this URL; the command gets the address of its route as NAME_BASE_URL. "
    "With the name of a known provider: call it at this URL instead.",
)
@click.option(
    "--hosts",
    metavar="HOST,… …",
    multiple=True,
    help="Also decrypt calls to these hosts, in addition to those of models: api.example.com, "
    "*.example.com, or * for all. Calls to other hosts are recorded without content.",
)
@click.option(
    "--no-egress",
    is_flag=True,
    help="Set no proxy and no authority for the command: only calls to the addresses in its variables "
    "are recorded.",
)
@click.option(
    "--proxy",
    metavar="URL",
    help="Use a running sidelog, by the URL of its data port; --data-dir is then its directory.",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    help="Data directory. Default: one for each project, below ~/.local/state.",
)
@output_option("Write the whole run into this HTML file; default: run.html in the data directory.")
@click.option("--open", "opens", is_flag=True, help="Show the run in a browser at the end.")
@click.option("--again", is_flag=True, help="Run nothing; print the summary of the last run again.")
def run(
    command: tuple[str, ...],
    route: tuple[str, ...],
    hosts: tuple[str, ...],
    no_egress: bool,
    proxy: str | None,
    data_dir: str | None,
    output: Path | None,
    opens: bool,
    again: bool,
) -> int:
    """Run a command, such as a coding agent, and record the model calls that it makes; at the end,
    sum up calls, failures and cost. The exit code is the command's.

    Example: sidelog run -- claude
    """
    is_read = not (no_egress or again)
    wanted = dict(map(_read_route, route))
    asked = Asked(wanted, data_dir, output, opens, _read_hosts(hosts) if is_read else ())
    if again:
        return _show_last(asked)
    _check_output(output)
    if not command:
        raise click.UsageError("there is no command to run, as in: sidelog run -- claude")

    wrapped = _wrapped(command, asked)
    if proxy is None:
        return _run_with_own(wrapped, asked)
    if hosts:
        raise click.UsageError(
            "--hosts cannot be combined with --proxy: set [egress] hosts of that sidelog"
        )

    return _run_through(proxy, wrapped, asked)


def _check_output(output: Path | None) -> None:
    """Refuse an output file that cannot be written, before anything runs.

    Raises:
        BadParameter: the directory does not exist, or this user cannot write there.
    """
    if output is None:
        return
    if not output.parent.is_dir():
        raise click.BadParameter(f"-o {output}: there is no directory {output.parent}")
    if output.is_dir() or not os.access(output if output.exists() else output.parent, os.W_OK):
        raise click.BadParameter(f"-o {output}: cannot be written")


def _read_route(text: str) -> tuple[str, str]:
    """Parse NAME=URL.

    Raises:
        BadParameter: the text is not NAME=URL, or the URL is invalid.
    """
    name, is_given, url = text.partition("=")
    if not is_given or not name.isascii() or not name.replace("-", "").isalnum():
        expected = "expected NAME=URL, as in search=https://api.example.com"
        raise click.BadParameter(f"--route {text!r}: {expected}")

    try:
        parse_upstream(url)
    except ValueError as error:
        shown = without_credentials(repr(url))
        raise click.BadParameter(f"--route {name}={shown}: {error}") from error

    return name.lower(), url.rstrip("/")


def _read_hosts(texts: Sequence[str]) -> Sequence[str]:
    """Return the hosts whose calls are decrypted. If that is impossible, return none, and report
    why on stderr.

    Raises:
        BadParameter: a host is invalid, or hosts were given although decrypting is impossible.
    """
    try:
        hosts = hosts_of(texts, os.environ)
    except ValueError as error:
        raise click.BadParameter(f"--hosts: {error}") from error

    why = obstacle(os.environ)
    if not why:
        return hosts
    if texts:
        raise click.BadParameter(f"--hosts: {why}")
    complain(f"sidelog: only calls to the addresses in variables are recorded: {why}")
    return ()


def _wrapped(command: Sequence[str], asked: Asked) -> Wrapped:
    """Find the addresses that a command uses, and report those that will not be recorded."""
    program = executable_of(command[0], os.environ)
    known = program_of(command)
    found = known.find(os.environ, [program, *command[1:]])
    planned = plan(found.places, found.given, asked.wanted)
    own_places = frozenset(place for places in found.places.values() for place in places)
    wrapped = Wrapped(program, command, known, own_places, planned)
    if known.note:
        complain(f"sidelog: {wrapped.name} {known.note}")
    for place, why in planned.left.items():
        complain(f"sidelog: {place} is not changed, and its calls are not recorded: {why}")
    return wrapped


def _run_with_own(wrapped: Wrapped, asked: Asked) -> int:
    """Run the command with a sidelog of its own, which ends after it."""
    data_dir, claim = claimed_directory(asked.data_dir, os.environ)
    service = wrapped.name[:MAX_SERVICE_CHARACTERS]
    environ = settings_environment(os.environ, wrapped.planned.routes, service, asked.hosts)
    began = _now()

    try:
        with own_sidelog(data_dir, environ) as running:
            if sys.stderr.isatty():
                complain(f"sidelog: live at {running.admin_url}/login#token={token_of(data_dir)}")
            targets = wrapped.planned.targets
            addresses = {place: running.url + target.path for place, target in targets.items()}
            outgoing = _outgoing(data_dir, addresses)
            code = _run_child(wrapped, addresses, outgoing, asked)

        with _kept_from_failing():
            period = {"since": began, "until": _now()}
            update_state(data_dir, **{LAST_RUN: {**period, "service": service, "code": code}})
            with stored_records(data_dir) as client:
                _conclude(client, period, data_dir, asked)
    finally:
        os.close(claim)

    return code


def _run_through(proxy: str, wrapped: Wrapped, asked: Asked) -> int:
    """Run the command through a running sidelog."""
    client = connect(None, None, asked.data_dir)
    configuration = client.get_json("/api/status")["configuration"]
    has_outgoing = bool(asked.hosts and configuration["egress"]["listen"])
    addresses = addresses_in(
        proxy, configuration["routes"], wrapped.planned, has_outgoing=has_outgoing
    )

    for name, url in asked.wanted.items():
        if addresses.keys().isdisjoint(_places_of(name)):
            text = f"the sidelog at {proxy} has no route to {url}"
            raise CommandError(f"{text}, as --route {name} asks")

    began = _now()
    data_dir = data_directory(asked.data_dir)
    if has_outgoing:
        outgoing = _outgoing(data_dir, addresses)
    else:
        outgoing = _around_proxies(addresses)
    code = _run_child(wrapped, addresses, outgoing, asked)
    with _kept_from_failing():
        settled(client)
        _conclude(client, {"since": began, "until": _now()}, None, asked)
    return code


def _outgoing(data_dir: Path, addresses: Mapping[str, str]) -> dict[str, str]:
    """Return variables for the command: it uses the port of outgoing calls, if there is one, and
    reaches its own addresses without a proxy.
    """
    proxy = proxy_of(data_dir)
    if not proxy:
        return _around_proxies(addresses)
    variables = variables_for(data_dir, proxy, os.environ)
    return variables | direct_variables(_hosts_in(addresses), variables)


def _run_child(
    wrapped: Wrapped, addresses: Mapping[str, str], outgoing: Mapping[str, str], asked: Asked
) -> int:
    """Run the command with its addresses; return its exit code."""
    own = {place: address for place, address in addresses.items() if place in wrapped.own_places}
    further = {place: address for place, address in addresses.items() if place not in own}
    start = wrapped.known.start(wrapped.command, own, os.environ)
    for place in (place for name in asked.wanted for place in _places_of(name)):
        if place in addresses:
            complain(f"sidelog: {place}={addresses[place]}")
    environ = {**os.environ, **outgoing, **start.variables, **further}
    return run_child(wrapped.program, start.command, environ)


def _places_of(name: str) -> Iterable[str]:
    """Return the variables of a route, by its name."""
    return VARIABLES.get(name, (variable_of(name),))


def _around_proxies(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return variables that exempt these addresses from a proxy of the environment."""
    if not any(map(os.environ.get, _PROXIES)):
        return {}
    return direct_variables(_hosts_in(addresses), os.environ)


def _hosts_in(addresses: Mapping[str, str]) -> list[str]:
    return sorted({urlsplit(address).hostname or "" for address in addresses.values()})


def _now() -> str:
    return datetime.now(UTC).isoformat()


@contextmanager
def _kept_from_failing() -> Iterator[None]:
    """Report an error of the summary and continue, since the exit code is the command's."""
    try:
        yield
    except (CommandError, OSError, KeyboardInterrupt) as error:
        with suppress(OSError):  # the terminal is gone
            complain(f"sidelog: the run cannot be summed up: {str(error) or 'interrupted'}")


def _conclude(
    client: Client,
    period: Filters,
    data_dir: Path | None,
    asked: Asked,
    tell: Callable[[str], None] = complain,
) -> None:
    """Print the summary, write the page of the run, and open it if asked to."""
    figures = read_figures(client, period)
    if not figures.totals["exchanges"]:
        tell("sidelog: no calls were recorded; docs/guides/run.md lists what it cannot record")
        return

    for line in lines_of(figures):
        tell(f"sidelog: {line}")
    page = _write_page(client, figures, data_dir, asked)
    tell(f"sidelog: {_where(page, figures, data_dir or asked.data_dir)}")
    if asked.opens and page:
        show_in_browser(page)


def _write_page(client: Client, figures: Figures, data_dir: Path | None, asked: Asked) -> str:
    """Return the address of the run's page, in a file or in a running sidelog; empty without a
    page.
    """
    if figures.conversation is None:
        return ""
    if data_dir is None and asked.output is None:
        return f"{client.url}/conversations/{figures.conversation['id']}"

    path = asked.output or Path(data_dir or ".", PAGE_FILE)
    client.save_conversation(figures.conversation["id"], path)
    return path.absolute().as_uri()


def _where(page: str, figures: Figures, data_dir: Path | str | None) -> str:
    """Return where the run is shown, and the command that lists its requests."""
    others = figures.conversations - 1
    if others > 0:
        more = f" (the longest of {figures.conversations} conversations)"
    else:
        more = ""
    if data_dir is not None:
        option = f" --data-dir {shlex.quote(str(data_dir))}"
    else:
        option = ""
    each = f"each request: {own_program()} query{option}"
    if page:
        return f"the run: {page}{more}; {each}"
    return each


def _show_last(asked: Asked) -> int:
    """Print the summary of the last run again."""
    data_dir = last_directory(asked.data_dir, os.environ)
    last = read_state(data_dir)[LAST_RUN]
    period = {name: str(last[name]) for name in ("since", "until")}
    with stored_records(data_dir) as client:
        _conclude(client, period, data_dir, asked, say)
    return 0
