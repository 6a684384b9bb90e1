"""The `sidelog view` commands, declared; what they do is in `proxy/cli/commands/views.py`."""

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from proxy.cli.completion import complete_view
from proxy.cli.options import Fields, Filters, Json, Utc, with_client, with_filters, with_reader, with_search

if TYPE_CHECKING:
    from proxy.cli.commands.client import Client

views_app = typer.Typer(help="Saved searches.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a view.", autocompletion=complete_view)]


@views_app.command("list")
@with_reader
def view_list(admin: "Client", as_json: Json = False) -> int:
    """List the views.

    Example: sidelog view list
    """
    from proxy.cli.commands import views as command

    return command.list_views(admin, as_json=as_json)


@views_app.command("save")
@with_search
@with_filters
@with_client
def view_save(
    admin: "Client",
    filters: Filters,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the view; an existing one is replaced.")],
    fields: Fields = None,
    order: Annotated[str | None, Option(metavar="ORDER", help="Newest first (desc, default), or oldest (asc).")] = None,
    by: Annotated[str | None, Option(metavar="FIELD", help="Group by this field, as `sidelog top` does.")] = None,
    utc: Utc = False,
    as_json: Json = False,
) -> int:
    """Save a search under a name, with its columns, period and order.

    Example: sidelog view save "slow tenants" 'status:5xx duration:>1s' --since 24h --fields time,code,header.x-tenant
    """
    from proxy.cli.commands import views as command

    return command.save(admin, command.members(name, filters, fields, order, by, is_utc=utc), as_json=as_json)


@views_app.command("show")
@with_reader
def view_show(admin: "Client", name: Name, as_json: Json = False) -> int:
    """Show a view.

    Example: sidelog view show "slow tenants" --json
    """
    from proxy.cli.commands import views as command

    return command.show(admin, name, as_json=as_json)


@views_app.command("rename")
@with_client
def view_rename(
    admin: "Client",
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW-NAME", help="New name of the view.")],
    as_json: Json = False,
) -> int:
    """Rename a view.

    Example: sidelog view rename "slow tenants" slow
    """
    from proxy.cli.commands import views as command

    return command.rename(admin, name, new_name, as_json=as_json)


@views_app.command("delete")
@with_client
def view_delete(admin: "Client", name: Name, as_json: Json = False) -> int:
    """Delete a view.

    Example: sidelog view delete slow
    """
    from proxy.cli.commands import views as command

    return command.delete(admin, name, as_json=as_json)
