"""The commands that read records, declared: get, query, tail, stats, export. What they do is in `proxy/commands/`."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from proxy.cli_options import DataDir, Filters, Json, Token, Url, with_filters

records_app = typer.Typer()

Ndjson = Annotated[bool, Option("--json", help="One JSON object a line.")]


@records_app.command()
def get(
    record_id: Annotated[str, typer.Argument(metavar="ID", help="Record id, in any of its spellings.")],
    raw: Annotated[bool, Option("--raw", help="Only the stored bytes of the response body.")] = False,
    request: Annotated[bool, Option("--request", help="With --raw: of the request body.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> int:
    """Show one exchange: fields, heads and bodies."""
    from proxy.commands import records
    from proxy.commands.client import client_from_environment

    client = client_from_environment(url, token, data_dir)
    if raw:
        return records.get_raw(client, record_id, "request" if request else "response")
    return records.get(client, record_id, as_json=as_json)


@records_app.command()
@with_filters
def query(
    filters: Filters,
    order: Annotated[str | None, Option(help="desc (newest first, default) or asc.")] = None,
    limit: Annotated[int, Option(min=1, help="Most records to print.")] = 100,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Ndjson = False,
) -> int:
    """Search records; options that can be repeated are alternatives.

    Example: sidelog query --status 5xx --since 15m
    """
    from proxy.commands import records
    from proxy.commands.client import client_from_environment

    parameters = filters | ({"order": order} if order else {})
    return records.query(client_from_environment(url, token, data_dir), parameters, limit, as_json=as_json)


@records_app.command()
@with_filters
def tail(
    filters: Filters,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Ndjson = False,
) -> int:
    """Follow new records as they are stored; goes on without a gap when the connection or sidelog itself restarts.

    Example: sidelog tail --level warn --level error
    """
    from proxy.commands import tail as command
    from proxy.commands.client import client_from_environment

    return command.run(client_from_environment(url, token, data_dir), filters, as_json=as_json)


@records_app.command()
@with_filters
def stats(
    filters: Filters, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Totals of a filter: by status, level, project, container, service; latency percentiles.

    Example: sidelog stats --since 24h --route default
    """
    from proxy.commands import stats as command
    from proxy.commands.client import client_from_environment

    return command.run(client_from_environment(url, token, data_dir), filters, as_json=as_json)


@records_app.command()
@with_filters
def export(
    format: Annotated[str, typer.Argument(help="har, ndjson or csv.")],
    filters: Filters,
    output: Annotated[Path | None, Option("--output", "-o", help="File; default: standard output.")] = None,
    bodies: Annotated[bool, Option("--bodies", help="NDJSON: heads and bodies too.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> int:
    """Write all records of a filter to a file, oldest first, with a progress line on stderr.

    Example: sidelog export csv --since 24h -o yesterday.csv
    """
    from proxy.commands import export as command
    from proxy.commands.client import client_from_environment

    parameters = filters | {"format": format} | ({"bodies": "true"} if bodies else {})
    return command.run(client_from_environment(url, token, data_dir), parameters, output)
