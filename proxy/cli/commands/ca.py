"""`sidelog ca`: the authority of outgoing calls, and what programs need to trust it."""

import os
import shlex
from typing import TYPE_CHECKING, Final

import click

from proxy.cli.command import Group, data_dir_option, json_flag, json_option
from proxy.cli.commands.authority import authority_of, proxy_of, variables_for
from proxy.cli.commands.client import data_directory
from proxy.cli.commands.output import (
    CommandError,
    Result,
    columns_of,
    print_table,
    say,
    say_json,
)
from proxy.egress.trust import NODE_PROXY, NODE_PROXY_READERS, TRUST

if TYPE_CHECKING:
    from proxy.egress.authority import Authority

_NO_PORT: Final = (
    "no sidelog with [egress] listen ran in {}; pass --proxy, as in --proxy http://127.0.0.1:8888"
)


@click.group(cls=Group, invoke_without_command=True)
@data_dir_option
@json_flag
@click.pass_context
def ca(context: click.Context, data_dir: str | None, as_json: bool) -> int:
    """The authority by which outgoing calls are read: its file, and what to set so that programs
    trust it.

    Example: sidelog ca
    """
    if context.invoked_subcommand is not None:
        return 0

    directory = data_directory(data_dir)
    described = _described(authority_of(directory))
    proxy = proxy_of(directory)
    variables = variables_for(directory, proxy, os.environ)
    if as_json:
        say_json({**described, "proxy": proxy or None, "variables": variables})
        return 0

    for name, value in described.items():
        say(f"{name:<12} {value}")
    say("")
    readers = {each.name: each.readers for each in TRUST} | {NODE_PROXY: NODE_PROXY_READERS}
    rows = [(name, value, readers.get(name, "all")) for name, value in variables.items()]
    print_table(columns_of("variable", "value", "read by"), rows)
    say("")
    say('For all programs of this shell: eval "$(sidelog ca env)"; for one: sidelog run -- COMMAND')
    return 0


@ca.command()
@data_dir_option
@click.option(
    "--proxy",
    metavar="URL",
    help="URL of the port of outgoing calls. Default: that of the last start, on this machine.",
)
def env(data_dir: str | None, proxy: str | None) -> int:
    """Print lines for a shell that make its programs use the port of outgoing calls, and trust its
    authority.

    Example: eval "$(sidelog ca env)"
    """
    directory = data_directory(data_dir)
    url = proxy or proxy_of(directory)
    if not url:
        raise CommandError(_NO_PORT.format(directory))

    for name, value in variables_for(directory, url, os.environ).items():
        say(f"export {name}={shlex.quote(value)}")
    return 0


@ca.command()
@data_dir_option
@json_option
def rotate(data_dir: str | None) -> Result:
    """Replace the authority by a new one, which programs have to trust anew. A running sidelog uses
    it after a reload (SIGHUP).

    Example: sidelog ca rotate --data-dir /var/lib/sidelog
    """
    directory = data_directory(data_dir)
    described = _described(authority_of(directory, is_new=True))
    return Result(described, f"{described['certificate']}: {described['sha256']}")


def _described(authority: "Authority") -> dict[str, str]:
    return {
        "certificate": str(authority.path),
        "sha256": authority.fingerprint,
        "expires": f"{authority.expires_at:%Y-%m-%d}",
    }
