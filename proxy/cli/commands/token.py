"""`sidelog token`: the admin token of a data directory."""

import click

from proxy.cli.command import Group, data_dir_option, json_option
from proxy.cli.commands.client import data_directory, read_token
from proxy.cli.commands.output import CommandError, Result, failing
from proxy.collector.admin_token import rotate_token
from proxy.process.data_dir import TOKEN_FILE


@click.group(cls=Group)
def token() -> None:
    """The admin token."""


@token.command()
@data_dir_option
@json_option
def show(data_dir: str | None) -> Result:
    """Print the admin token of a data directory.

    Example: curl -H "Authorization: Bearer $(sidelog token show)" http://127.0.0.1:8090/api/status
    """
    directory = data_directory(data_dir)
    found = read_token(directory)
    if not found:
        raise CommandError(
            f"{directory / TOKEN_FILE} is empty; remove it and start sidelog again to get a new token"
        )
    return Result({"token": found}, found)


@token.command()
@data_dir_option
@json_option
def rotate(data_dir: str | None) -> Result:
    """Replace the admin token. A running sidelog uses the new one at once; sessions of the web UI
    end.

    Example: sidelog token rotate --data-dir /var/lib/sidelog
    """
    directory = data_directory(data_dir)
    read_token(directory)  # The directory must be one a sidelog has run in.
    with failing(f"cannot replace the token in {directory}", OSError):
        made = rotate_token(directory)
    return Result({"token": made}, made)
