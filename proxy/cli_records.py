"""The commands that read records, declared: get, query, tail, stats, export. What they do is in `proxy/commands/`."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from proxy.cli_options import Filters, Json, SourceConfig, SourceDataDir, Token, Url, with_filters

records_app = typer.Typer()

Ndjson = Annotated[bool, Option("--json", metavar="", help="One JSON object a line.")]


@records_app.command()
def get(
    record_id: Annotated[str, typer.Argument(metavar="ID", help="Record id, in any of its spellings.")],
    raw: Annotated[bool, Option("--raw", metavar="", help="Only the stored bytes of the response body.")] = False,
    request: Annotated[bool, Option("--request", metavar="", help="With --raw: of the request body.")] = False,
    curl: Annotated[bool, Option("--curl", metavar="", help="A curl line that sends the request again.")] = False,
    har: Annotated[bool, Option("--har", metavar="", help="An HTTP Archive (HAR 1.2) of this exchange.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: SourceDataDir = None,
    config: SourceConfig = None,
    as_json: Json = False,
) -> int:
    """Show one exchange: fields, heads, bodies, timings and usage.

    Example: sidelog get 0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6 --curl
    """
    from proxy.commands import records
    from proxy.commands.reading import reading_client

    if raw + curl + har + as_json > 1 or (request and not raw):
        raise typer.BadParameter("--raw, --curl, --har and --json exclude each other; --request goes with --raw")
    with reading_client(url, token, data_dir, config) as client:
        if raw:
            return records.download(client, record_id, "request-body" if request else "response-body")
        if har:
            return records.download(client, record_id, "har")
        if curl:
            return records.get_curl(client, record_id)
        return records.get(client, record_id, as_json=as_json)


@records_app.command()
@with_filters
def query(
    filters: Filters,
    order: Annotated[str | None, Option(metavar="ORDER", help="desc (newest first, default) or asc.")] = None,
    limit: Annotated[int, Option(min=1, metavar="N", help="Most records to print.")] = 100,
    url: Url = None,
    token: Token = None,
    data_dir: SourceDataDir = None,
    config: SourceConfig = None,
    as_json: Ndjson = False,
) -> int:
    """Search records; options that can be repeated are alternatives.

    Example: sidelog query --status 5xx --since 15m
    """
    from proxy.commands import records
    from proxy.commands.reading import reading_client

    parameters = filters | ({"order": order} if order else {})
    with reading_client(url, token, data_dir, config) as client:
        return records.query(client, parameters, limit, as_json=as_json)


@records_app.command()
@with_filters
def tail(
    filters: Filters,
    url: Url = None,
    token: Token = None,
    data_dir: SourceDataDir = None,
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
    filters: Filters,
    url: Url = None,
    token: Token = None,
    data_dir: SourceDataDir = None,
    config: SourceConfig = None,
    as_json: Json = False,
) -> int:
    """Totals of a filter: by status, level, project, container, service; latency percentiles.

    Example: sidelog stats --since 24h --route default
    """
    from proxy.commands import stats as command
    from proxy.commands.reading import reading_client

    with reading_client(url, token, data_dir, config) as client:
        return command.run(client, filters, as_json=as_json)


@records_app.command()
@with_filters
def export(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="har, ndjson or csv.")],
    filters: Filters,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FILE", help="File; default: standard output.")
    ] = None,
    bodies: Annotated[bool, Option("--bodies", metavar="", help="NDJSON: heads and bodies too.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: SourceDataDir = None,
    config: SourceConfig = None,
) -> int:
    """Write all records of a filter to a file, oldest first, with a progress bar on stderr.

    Example: sidelog export csv --since 24h -o yesterday.csv
    """
    from proxy.commands import export as command
    from proxy.commands.reading import reading_client

    parameters = filters | {"format": format} | ({"bodies": "true"} if bodies else {})
    with reading_client(url, token, data_dir, config) as client:
        return command.run(client, parameters, output)
