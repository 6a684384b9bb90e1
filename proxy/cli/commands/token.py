"""`sidelog token`: the admin token of a data directory."""

import os

import click

from proxy.cli.command import Group
from proxy.cli.commands.client import data_directory, read_token
from proxy.cli.commands.output import CommandError, report
from proxy.cli.options import data_dir_option, json_option
from proxy.collector.admin_token import rotate_token


@click.group(cls=Group)
def token() -> None:
    """The admin token."""


@token.command()
@data_dir_option
@json_option
def show(data_dir: str | None, as_json: bool) -> int:
    """Print the admin token of a data directory.

    Example: curl -H "Authorization: Bearer $(sidelog token show)" http://127.0.0.1:8090/api/status
    """
    found = read_token(data_directory(data_dir, os.environ))
    if not found:
        raise CommandError(
            "the token file is empty; remove it and start sidelog again to get a new one"
        )
    return report({"token": found}, found, as_json=as_json)


@token.command()
@data_dir_option
@json_option
def rotate(data_dir: str | None, as_json: bool) -> int:
    """Replace the admin token. A running sidelog uses the new one at once; sessions of the web UI
    end.

    Example: sidelog token rotate --data-dir /var/lib/sidelog
    """
    directory = data_directory(data_dir, os.environ)
    read_token(directory)  # The directory must be one a sidelog has run in.
    try:
        made = rotate_token(directory)
    except OSError as error:
        raise CommandError(f"cannot replace the token in {directory}: {error.strerror}") from error

    return report({"token": made}, made, as_json=as_json)
