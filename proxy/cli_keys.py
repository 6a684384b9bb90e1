"""The `sidelog keys` commands, declared; what they do is in `proxy/commands/keys.py`."""

from typing import Annotated

import typer
from typer import Option

from proxy.cli_options import DataDir, Json, Many, Token, Url

keys_app = typer.Typer(help="API keys of the proxied service.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of a key, or its name when only one has it.")]


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    scope: Annotated[Many, Option(metavar="TEXT …", help="Scope it opens; may be repeated. Default: all.")] = None,
    agent: Annotated[Many, Option(metavar="TEXT …", help="Agent it may call; may be repeated. Default: all.")] = None,
    expires: Annotated[
        str | None, Option(metavar="TEXT", help="RFC 3339 time, or from now: 12h, 30d. Default: never.")
    ] = None,
    disabled: Annotated[bool, Option("--disabled", metavar="", help="Create it switched off.")] = False,
    project: Annotated[str | None, Option(metavar="TEXT", help="Project of the records it makes.")] = None,
    user: Annotated[str | None, Option(metavar="TEXT", help="User of the records it makes.")] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> int:
    """Create a key and print its secret, this once.

    Example: sidelog keys create "Mobile app" --scope agent --expires 30d
    """
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    members = command.members(name, scope, agent, expires, is_disabled=disabled, project=project, user=user)
    return command.create(client_from_environment(url, token, data_dir), members, as_json=as_json)


@keys_app.command("list")
def keys_list(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """List the keys.

    Example: sidelog keys list --json
    """
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.list_keys(client_from_environment(url, token, data_dir), as_json=as_json)


@keys_app.command("disable")
def keys_disable(
    key: KeyId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Switch a key off; takes effect within a second.

    Example: sidelog keys disable "Mobile app"
    """
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.switch(client_from_environment(url, token, data_dir), key, is_disabled=True, as_json=as_json)


@keys_app.command("enable")
def keys_enable(
    key: KeyId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Switch a key on again.

    Example: sidelog keys enable "Mobile app"
    """
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.switch(client_from_environment(url, token, data_dir), key, is_disabled=False, as_json=as_json)


@keys_app.command("delete")
def keys_delete(
    key: KeyId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Delete a key for good; records keep its name.

    Example: sidelog keys delete "Mobile app"
    """
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.delete(client_from_environment(url, token, data_dir), key, as_json=as_json)
