"""The commands that read records: get, query, tail, stats, export. What they do is in `proxy/cli/commands/`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from proxy.cli.options import (
    Fields,
    Filters,
    FromView,
    Json,
    Utc,
    Wide,
    with_client,
    with_filters,
    with_reader,
    with_search,
)

if TYPE_CHECKING:
    from proxy.cli.commands.client import Client

records_app = typer.Typer()

Ndjson = Annotated[bool, Option("--json", metavar="", help="Print one JSON object per line.")]


@records_app.command()
@with_reader
def get(
    admin: "Client",
    record_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Record id, with or without dashes, its beginning, req_…, or an X-Request-Id."
        ),
    ],
    raw: Annotated[bool, Option("--raw", metavar="", help="Print only the stored bytes of the response body.")] = False,
    request: Annotated[bool, Option("--request", metavar="", help="With --raw: the request body instead.")] = False,
    around: Annotated[
        bool, Option("--around", metavar="", help="List what the same service did a minute before and after.")
    ] = False,
    curl: Annotated[bool, Option("--curl", metavar="", help="Print a curl command that repeats the request.")] = False,
    har: Annotated[bool, Option("--har", metavar="", help="Print the exchange as an HTTP Archive (HAR 1.2).")] = False,
    has_all: Annotated[bool, Option("--all", metavar="", help="Print all fields, with timings and usage.")] = False,
    as_json: Json = False,
) -> int:
    """Show one exchange: its outcome, headers and bodies.

    Example: sidelog get 0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6 --curl
    """
    from proxy.cli.commands import records

    if raw + curl + har + (as_json and not around) + around + has_all > 1 or (request and not raw):
        raise typer.BadParameter(
            "--raw, --curl, --har, --json, --around and --all are mutually exclusive, but for --around --json; "
            "--request requires --raw"
        )
    if raw:
        return records.download(admin, record_id, "request-body" if request else "response-body")
    if har:
        return records.download(admin, record_id, "har")
    if curl:
        return records.get_curl(admin, record_id)
    if around:
        return records.around(admin, record_id, as_json=as_json)
    return records.get(admin, record_id, has_all=has_all, as_json=as_json)


@records_app.command()
@with_search
@with_filters
@with_reader
def query(
    filters: Filters,
    admin: "Client",
    order: Annotated[str | None, Option(metavar="ORDER", help="Newest first (desc, default), or oldest (asc).")] = None,
    limit: Annotated[int, Option(min=1, metavar="N", help="Maximum number of records.")] = 100,
    fields: Fields = None,
    wide: Wide = False,
    no_header: Annotated[bool, Option("--no-header", metavar="", help="Leave out the line with the titles.")] = False,
    from_view: FromView = None,
    utc: Utc = False,
    as_json: Ndjson = False,
) -> int:
    """Search records.

    Example: sidelog query 'status:5xx path:/api/*' --since 15m
    """
    from proxy.cli.commands import records, views
    from proxy.cli.commands.listing import View, read_fields
    from proxy.cli.commands.zone import with_offsets, zone_of

    if from_view is not None:
        found = views.find(admin, from_view)
        filters, order = views.applied(found, filters), order or found["order"]
        fields = fields or views.fields_of(found)
    view = View(fields=read_fields(fields), is_wide=wide, has_header=not no_header, zone=zone_of(utc))
    parameters = with_offsets(filters, view.zone) | ({"order": order} if order else {}) | view.asked
    return records.query(admin, parameters, limit, view, as_json=as_json)


@records_app.command()
@with_search
@with_filters
@with_client
def tail(
    filters: Filters,
    admin: "Client",
    fields: Fields = None,
    wide: Wide = False,
    utc: Utc = False,
    as_json: Ndjson = False,
) -> int:
    """Follow new records as they are stored; resumes without a gap when the connection breaks or sidelog restarts.

    Example: sidelog tail --level warn --level error
    """
    from proxy.cli.commands import tail as command
    from proxy.cli.commands.listing import View, read_fields
    from proxy.cli.commands.zone import with_offsets, zone_of

    view = View(fields=read_fields(fields), is_wide=wide, zone=zone_of(utc))
    return command.run(admin, with_offsets(filters, view.zone) | view.asked, view, as_json=as_json)


@records_app.command()
@with_search
@with_filters
@with_reader
def stats(
    filters: Filters,
    admin: "Client",
    utc: Utc = False,
    as_json: Json = False,
) -> int:
    """Show totals by status, level, project, container and service, and latency percentiles.

    Example: sidelog stats --since 24h --route default
    """
    from proxy.cli.commands import stats as command
    from proxy.cli.commands.zone import with_offsets, zone_of

    zone = zone_of(utc)
    return command.run(admin, with_offsets(filters, zone), zone, as_json=as_json)


@records_app.command()
@with_search
@with_filters
@with_reader
def top(
    filters: Filters,
    admin: "Client",
    by: Annotated[
        str,
        Option(
            metavar="FIELD",
            help="What to group by: endpoint (default), path, ip, ua, key, user, status, outcome, error, failure "
            "(endpoint, reason and status), method, host, model, provider, tool (calls of MCP tools), route, service, "
            "project, container, client, instance, a header (header.x-tenant) or place in JSON bodies (body.user.id).",
        ),
    ] = "",
    sort: Annotated[
        str,
        Option(
            metavar="FIGURE",
            help="Sort by, the highest first: requests, 4xx, 5xx, p50, p95, p99, bytes, tokens or cost.",
        ),
    ] = "requests",
    from_view: FromView = None,
    limit: Annotated[int, Option(min=1, max=1000, metavar="N", help="Maximum number of rows.")] = 20,
    utc: Utc = False,
    as_json: Json = False,
) -> int:
    """Show the most frequent endpoints, or values of another field, with errors, latency, bytes and cost.

    Example: sidelog top --since 1h --sort p95
    """
    from proxy.cli.commands import stats as command
    from proxy.cli.commands import views
    from proxy.cli.commands.zone import with_offsets, zone_of

    if from_view is not None:
        found = views.find(admin, from_view)
        filters, by = views.applied(found, filters), by or found["group_by"] or ""
    parameters = with_offsets(filters, zone_of(utc)) | {"by": by or "endpoint", "sort": sort, "limit": str(limit)}
    return command.run_top(admin, parameters, as_json=as_json)


@records_app.command()
@with_search
@with_filters
@with_reader
def export(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="What to write: har, ndjson or csv.")],
    filters: Filters,
    admin: "Client",
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FILE", help="Output file; default: standard output.")
    ] = None,
    bodies: Annotated[bool, Option("--bodies", metavar="", help="Include bodies (NDJSON, CSV).")] = False,
    fields: Annotated[
        str | None,
        Option(
            "--fields",
            metavar="NAME,…",
            help="Columns of CSV, or members of NDJSON: members of records, headers (header.x-tenant), places in JSON "
            "bodies (body.user.id). Default: all columns.",
        ),
    ] = None,
    bom: Annotated[bool, Option("--bom", metavar="", help="CSV: begin with a byte order mark, for Excel.")] = False,
    utc: Utc = False,
) -> int:
    """Export all matching records, oldest first, with a progress bar on stderr.

    Example: sidelog export csv --since yesterday --until today --bom -o yesterday.csv
    """
    from proxy.cli.commands import export as command
    from proxy.cli.commands.zone import with_offsets, zone_of

    parameters = with_offsets(filters, zone_of(utc)) | {"format": format}
    parameters |= {name: "true" for name, is_asked in (("bodies", bodies), ("bom", bom)) if is_asked}
    return command.run(admin, parameters | ({"fields": fields} if fields else {}), output)


@records_app.command()
@with_filters
@with_reader
def conversations(
    filters: Filters,
    admin: "Client",
    conversation_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="One conversation, with its calls: its id, or the beginning of it."),
    ] = None,
    min_turns: Annotated[int, Option(min=1, metavar="N", help="Leave out those with fewer calls.")] = 1,
    sort: Annotated[
        str,
        Option(metavar="FIGURE", help="What is first: newest, or most cost, turns, failures, tokens or duration."),
    ] = "newest",
    limit: Annotated[int, Option(min=1, metavar="N", help="Maximum number of conversations.")] = 20,
    utc: Utc = False,
    as_json: Ndjson = False,
) -> int:
    """List LLM conversations, or show one: turns, tools, tokens, cost, time, where it failed.

    Example: sidelog conversations --since 24h --sort cost
    """
    from proxy.cli.commands import conversations as command
    from proxy.cli.commands.listing import View
    from proxy.cli.commands.zone import with_offsets, zone_of

    view = View(zone=zone_of(utc))
    if conversation_id is not None:
        return command.get(admin, conversation_id, view, as_json=as_json)
    parameters = with_offsets(filters, view.zone) | {"min_turns": str(min_turns), "sort": sort}
    return command.run(admin, parameters, limit, view, as_json=as_json)
