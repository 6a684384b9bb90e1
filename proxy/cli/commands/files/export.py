"""`sidelog export` and `sidelog save`: a filter's records as a file, with a progress bar on stderr.

An export that ended early fails with a message: a file written with exit code 0 is complete.
"""

import http.client
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from datetime import tzinfo
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import click

from proxy.cli.command import (
    WholeNumber,
    argument,
    command,
    ignore_option,
    limit_option,
    output_option,
    reader_options,
    search_options,
)
from proxy.cli.commands.client import Client, Filters, no_response, reason_of
from proxy.cli.commands.files.progress import Progress
from proxy.cli.commands.output import CommandError, failing, write_out

PIECE_BYTES: Final = 1 << 16
READ_TIMEOUT_S: Final = 120.0


@command(
    instead={"--limit": "All that match are exported: narrow them by --since, --until or a search."}
)
@argument("format", "What to write: har, ndjson or csv.")
@output_option("Output file; default: standard output.")
@click.option("--bodies", is_flag=True, help="Include bodies (NDJSON, CSV).")
@click.option(
    "--fields",
    metavar="NAME,…",
    help="Columns of CSV, or members of NDJSON: members of records, headers (header.x-tenant), "
    "places in JSON bodies (body.user.id). Default: all columns.",
)
@click.option("--bom", is_flag=True, help="CSV: begin with a byte order mark, for Excel.")
@search_options
@reader_options
def export(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    format: str,
    output: Path | None,
    bodies: bool,
    fields: str | None,
    bom: bool,
) -> int:
    """Export all matching records, oldest first, with a progress bar on stderr.

    Example: sidelog export csv --since yesterday --until today --bom -o yesterday.csv
    """
    options = {
        "format": format,
        "bodies": "true" if bodies else "",
        "bom": "true" if bom else "",
        "fields": fields,
    }
    parameters = {**filters} | {name: value for name, value in options.items() if value}
    _write(client, filters, parameters, output)
    return 0


@command()
@argument("name", "Name of the suite.")
@limit_option("Save only the newest N. Default: all.")
@click.option(
    "--per-request",
    type=WholeNumber(1),
    help="Of exchanges with the same request save only the newest N. Default: all.",
)
@ignore_option
@output_option("Output file; default: standard output.")
@search_options
@reader_options
def save(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    name: str,
    limit: int | None,
    per_request: int | None,
    ignore: tuple[str, ...],
    output: Path | None,
) -> int:
    """Save matching exchanges with their bodies as a suite, a plain file that can be replayed.

    Example: sidelog save checkout method:GET --since 1h -o checkout.ndjson
    """
    from api.compare.ignored import read_places

    with failing("--ignore", ValueError, exit_code=2):
        read_places(ignore)

    write_suite(client, filters, output, name, limit, per_request, ignore)
    return 0


def distinct(lines: Iterable[bytes], per_request: int) -> Iterator[bytes]:
    """Yield the first `per_request` lines of each request. For each distinct request, memory holds
    a key of 16 bytes.
    """
    from api.identity.match import keys_of
    from api.identity.request import request_of
    from api.replay.suite import read_line

    times: Counter[bytes] = Counter()
    for line in lines:
        _, record, payload = read_line(line)
        key = keys_of(request_of(record, payload)).stable
        times[key] += 1
        if times[key] <= per_request:
            yield line


def write_suite(
    client: Client,
    filters: Filters,
    output: Path | None,
    name: str = "",
    limit: int | None = None,
    per_request: int | None = None,
    ignore: tuple[str, ...] = (),
) -> None:
    """Write the matching exchanges, or the newest of them and of each request, as a suite, oldest
    first. Replays of it ignore the given paths.
    """
    from api.replay.suite import header_line
    from storage.record import now_us

    begin = header_line(
        name, " ".join(f"{key}={value}" for key, value in filters.items()), now_us(), ignore
    )
    parameters = {**filters, "kind": "exchange", "format": "ndjson", "bodies": "true"}
    _write(client, filters, parameters, output, begin, limit, per_request)


def _write(
    client: Client,
    filters: Filters,
    parameters: Filters,
    output: Path | None,
    begin: bytes = b"",
    limit: int | None = None,
    per_request: int | None = None,
) -> None:
    if sys.stderr.isatty():
        expected = _expected_lines(client, filters)
    else:
        expected = None
    progress = Progress(expected if limit is None or expected is None else min(limit, expected))

    if limit is per_request is None:
        found = _pieces
    else:
        found = partial(_newest, limit, per_request)
    try:
        with closing(found(client, parameters, progress, begin)) as pieces:
            write_out(pieces, output)
    finally:
        progress.end(is_kept=True)


def _pieces(
    client: Client, parameters: Filters, progress: Progress, begin: bytes
) -> Generator[bytes, None, None]:
    """Yield the export as it arrives, after the part that was read already.

    Raises:
        CommandError: the server refused, cannot be reached, or broke off.
    """
    is_answered = False
    size_bytes = 0

    lines = 0
    try:
        with client.stream("/api/export", parameters, {}, READ_TIMEOUT_S) as response:
            is_answered = True
            if begin:
                yield begin
            while piece := response.read1(PIECE_BYTES):
                size_bytes = size_bytes + len(piece)
                lines = lines + piece.count(b"\n")
                progress.show(lines, _received(size_bytes, lines))
                yield piece
    except (OSError, http.client.HTTPException) as error:
        if not is_answered:
            raise no_response(client.url, error) from error
        text = (
            f"the export failed after {_received(size_bytes, lines)}: {reason_of(error)}; the "
            "file is incomplete"
        )
        raise CommandError(text) from error


def _newest(
    limit: int | None,
    per_request: int | None,
    client: Client,
    parameters: Filters,
    progress: Progress,
    begin: bytes,
) -> Generator[bytes, None, None]:
    """Yield the newest lines of an export and of each request, in the order of a suite; a temporary
    file holds them.
    """
    with tempfile.TemporaryFile() as kept:
        ends = [0]
        with closing(_pieces(client, {**parameters, "order": "desc"}, progress, b"")) as pieces:
            lines = _lines(pieces)
            if per_request is not None:
                lines = distinct(lines, per_request)
            for line in islice(lines, limit):
                kept.write(line)
                ends.append(kept.tell())

        yield begin
        for start, end in reversed([*pairwise(ends)]):
            kept.seek(start)
            yield kept.read(end - start)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the whole lines of a text that comes in pieces."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in lines)


def _received(size_bytes: int, lines: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB, {lines:,} lines"


def _expected_lines(client: Client, filters: Filters) -> int | None:
    """Return the number of lines, one per record; None if there are too many to count in time."""
    summary = client.get_json("/api/summary", filters)
    if summary["complete"]:
        return summary["exchanges"] + summary["events"] or None
    return None
