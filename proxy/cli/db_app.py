"""The `sidelog db` commands, declared; what they do is in `proxy/cli/commands/db.py`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.options import Config, DataDir, Json

db_app = typer.Typer(help="Inspect, migrate and back up the store.", no_args_is_help=True)


@db_app.command("status")
def db_status(config: Config = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Show the store's contents, layout, size and retention. Changes nothing.

    Example: sidelog db status --data-dir /var/lib/sidelog
    """
    from proxy.cli.commands import db as command

    return command.status(command.settings_of(config, data_dir, os.environ), as_json=as_json)


@db_app.command("migrate")
def db_migrate(config: Config = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Migrate the store to the newest layout, as a start of sidelog does.

    Example: sidelog db migrate --data-dir /var/lib/sidelog
    """
    from proxy.cli.commands import db as command

    return command.migrate(command.settings_of(config, data_dir, os.environ), as_json=as_json)


@db_app.command("vacuum")
def db_vacuum(config: Config = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Return free space to the file system; works while sidelog is running.

    Example: sidelog db vacuum --data-dir /var/lib/sidelog
    """
    from proxy.cli.commands import db as command

    return command.vacuum(command.settings_of(config, data_dir, os.environ), as_json=as_json)


@db_app.command("backup")
def db_backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File for the copy; must not exist.")],
    config: Config = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> int:
    """Copy a SQLite store into a file, as it is at this moment; works while sidelog is running.

    Example: sidelog db backup records.db
    """
    from proxy.cli.commands import db as command

    return command.backup(command.settings_of(config, data_dir, os.environ), file, as_json=as_json)
