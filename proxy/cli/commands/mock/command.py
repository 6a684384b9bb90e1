"""The command `sidelog mock`."""

from pathlib import Path

import click

from proxy.cli.command import FILE, argument, command, protobuf_option
from proxy.cli.commands.output import CommandError, complain, failing


@command()
@argument("suite", "Suite or HAR file.", type=FILE)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9000",
    show_default=True,
    help="Address.",
)
@click.option(
    "--match",
    metavar="STRENGTH",
    type=click.Choice(("exact", "same", "endpoint")),
    default="same",
    show_default=True,
    help="Answer no weaker match: exact; same, but for moments and ids made anew; endpoint, by "
    "method and template.",
)
@click.option(
    "--ignore",
    metavar="PLACE …",
    multiple=True,
    help="Leave a place of requests out: body.requested_at, items[*].id, query.t, header:accept.",
)
@protobuf_option
def mock(
    suite: Path,
    listen: str,
    match: str,
    ignore: tuple[str, ...],
    protobuf: Path | None,
) -> int:
    """Answer requests from a suite or a HAR file, streams with their recorded timing.

    Example: sidelog mock checkout.ndjson --listen 127.0.0.1:9000 --ignore body.requested_at
    """
    # The server imports much; help and completion do without it.
    import asyncio

    from api.identity.match import Level
    from api.identity.places import read_request_places
    from proxy.cli.commands.files.call_messages import schema_in
    from proxy.cli.commands.files.source import recorded_in
    from proxy.cli.commands.mock.service import Service
    from proxy.cli.commands.mock.serving import serve
    from proxy.settings.addresses import parse_address

    with failing("--ignore", ValueError, exit_code=2):
        places = read_request_places(ignore)
    with failing(f"--listen {listen!r}", ValueError, exit_code=2):
        host, port = parse_address(listen)

    schema = schema_in(protobuf)
    service = Service(recorded_in(suite), Level[match.upper()], places, schema)
    for reason, times in service.left_out.most_common():
        complain(f"{times:,} exchange{'s are' if times > 1 else ' is'} left out: {reason}")
    if not service.answers:
        raise CommandError(f"{suite} has no answer that was kept whole")

    with failing(f"cannot listen at {listen}", OSError):
        asyncio.run(serve(service, host, port, listen))
    return 0
