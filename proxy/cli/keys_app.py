"""The `sidelog keys` commands, declared; what they do is in `proxy/cli/commands/keys.py`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option
from typer.core import TyperGroup

from proxy.cli.options import Json, Many, with_client

if TYPE_CHECKING:
    from proxy.cli.commands.client import Client


class _Keys(TyperGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[:1] == ["revoke"]:
            ctx.fail("no such command 'revoke': `keys disable` can be undone, `keys delete` cannot")
        return super().resolve_command(ctx, args)


keys_app = typer.Typer(cls=_Keys, help="API keys of the proxied service.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of a key, or its name if that is unique.")]


@keys_app.command("create")
@with_client
def keys_create(
    admin: "Client",
    name: Annotated[str, typer.Argument(metavar="NAME", help="Display name.")],
    scope: Annotated[Many, Option(metavar="TEXT …", help="Scope of the key; may be repeated. Default: all.")] = None,
    agent: Annotated[Many, Option(metavar="TEXT …", help="Agent of the key; may be repeated. Default: all.")] = None,
    expires: Annotated[
        str | None,
        Option(metavar="TEXT", help="Expiry: RFC 3339, or relative to now: 12h, 30d. Default: never."),
    ] = None,
    disabled: Annotated[bool, Option("--disabled", metavar="", help="Create the key disabled.")] = False,
    project: Annotated[str | None, Option(metavar="TEXT", help="Project of the records of its requests.")] = None,
    user: Annotated[str | None, Option(metavar="TEXT", help="User of the records of its requests.")] = None,
    as_json: Json = False,
) -> int:
    """Create a key and print its secret, which is not shown again.

    Example: sidelog keys create "Mobile app" --scope agent --expires 30d
    """
    from proxy.cli.commands import keys as command

    members = command.members(name, scope, agent, expires, is_disabled=disabled, project=project, user=user)
    return command.create(admin, members, as_json=as_json)


@keys_app.command("list")
@with_client
def keys_list(admin: "Client", as_json: Json = False) -> int:
    """List the keys.

    Example: sidelog keys list --json
    """
    from proxy.cli.commands import keys as command

    return command.list_keys(admin, as_json=as_json)


@keys_app.command("disable")
@with_client
def keys_disable(admin: "Client", key: KeyId, as_json: Json = False) -> int:
    """Disable a key. Takes effect within a second.

    Example: sidelog keys disable "Mobile app"
    """
    from proxy.cli.commands import keys as command

    return command.switch(admin, key, is_disabled=True, as_json=as_json)


@keys_app.command("enable")
@with_client
def keys_enable(admin: "Client", key: KeyId, as_json: Json = False) -> int:
    """Enable a key again.

    Example: sidelog keys enable "Mobile app"
    """
    from proxy.cli.commands import keys as command

    return command.switch(admin, key, is_disabled=False, as_json=as_json)


@keys_app.command("delete")
@with_client
def keys_delete(admin: "Client", key: KeyId, as_json: Json = False) -> int:
    """Delete a key permanently. Records keep its name.

    Example: sidelog keys delete "Mobile app"
    """
    from proxy.cli.commands import keys as command

    return command.delete(admin, key, as_json=as_json)
