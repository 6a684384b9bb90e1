"""The `sidelog db` commands, declared; what they do is in `proxy/cli/commands/db.py`."""

import os

import typer

from proxy.cli.options import Config, DataDir, Json

db_app = typer.Typer(help="The store's layout and space.", no_args_is_help=True)


@db_app.command("status")
def db_status(config: Config = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Show what the store holds, its layout, its size, and how far retention is. Changes nothing.

    Example: sidelog db status --data-dir /var/lib/sidelog
    """
    from proxy.cli.commands import db as command

    return command.status(command.settings_of(config, data_dir, os.environ), as_json=as_json)


@db_app.command("migrate")
def db_migrate(config: Config = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Bring the store to the newest layout; a start of sidelog does the same.

    Example: sidelog db migrate --data-dir /var/lib/sidelog
    """
    from proxy.cli.commands import db as command

    return command.migrate(command.settings_of(config, data_dir, os.environ), as_json=as_json)


@db_app.command("vacuum")
def db_vacuum(config: Config = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Give free space back to the file system. Sidelog may run meanwhile.

    Example: sidelog db vacuum --data-dir /var/lib/sidelog
    """
    from proxy.cli.commands import db as command

    return command.vacuum(command.settings_of(config, data_dir, os.environ), as_json=as_json)
