"""`sidelog export`: a filter's records as a file, streamed from the API with a progress bar on stderr.

An export that ended early fails with a message: a file written with exit code 0 is complete.
"""

import http.client
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import tzinfo
from pathlib import Path
from typing import Final

from proxy.cli.commands.client import Client, Filters, no_response, reason_of
from proxy.cli.commands.output import CommandError, ReaderGone, Verbatim, complain

PIECE_BYTES: Final = 1 << 16
READ_TIMEOUT_S: Final = 120.0
REPORT_EVERY_S: Final = 0.5
BAR_CHARACTERS: Final = 24


def run(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    *,
    format: str,
    output: Path | None,
    bodies: bool,
    fields: str | None,
    bom: bool,
) -> int:
    """Write the export to a file, or to standard output; the zone is that of the filters."""
    options = {"format": format, "bodies": "true" if bodies else "", "bom": "true" if bom else "", "fields": fields}
    parameters = {**filters} | {name: value for name, value in options.items() if value}
    progress = _Progress(_expected_lines(client, filters) if sys.stderr.isatty() else None)
    try:
        with closing(_pieces(client, parameters, progress)) as pieces:
            if output is None:
                _write_out(pieces)
            else:
                _write_file(pieces, output)
    finally:
        progress.end()
    return 0


def _write_out(pieces: Iterator[bytes]) -> None:
    out = Verbatim()
    try:
        for piece in pieces:
            out.write(piece)
        out.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def _write_file(pieces: Iterator[bytes], output: Path) -> None:
    """Write a file; an existing one stays until there is an answer to replace it."""
    first = next(pieces, b"")
    try:
        with output.open("wb") as file:
            file.write(first)
            for piece in pieces:
                file.write(piece)
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror or error}") from error


def _pieces(client: Client, parameters: Filters, progress: "_Progress") -> Generator[bytes, None, None]:
    """Yield the export as it arrives.

    Raises:
        CommandError: the server refused, cannot be reached, or broke off.
    """
    is_answered = False
    try:
        with client.stream("/api/export", parameters, {}, READ_TIMEOUT_S) as response:
            is_answered = True
            while piece := response.read1(PIECE_BYTES):
                progress.add(piece)
                yield piece
    except (OSError, http.client.HTTPException) as error:
        if not is_answered:
            raise no_response(client.url, error) from error
        text = f"the export failed after {progress.text()}: {reason_of(error)}; the file is incomplete"
        raise CommandError(text) from error


def _expected_lines(client: Client, filters: Filters) -> int | None:
    """Return the number of records, a line each; None when there are too many to be counted in time."""
    summary = client.get_json("/api/summary", filters)
    return (summary["exchanges"] + summary["events"] or None) if summary["complete"] else None


class _Progress:
    """A bar on stderr, when that is a terminal: how much has been received."""

    def __init__(self, expected_lines: int | None) -> None:
        self._expected_lines = expected_lines
        self._bytes = self._lines = 0
        self._shown_s = time.monotonic()
        self._is_shown = False

    def add(self, piece: bytes) -> None:
        """Count a piece, and show it now and then."""
        self._bytes += len(piece)
        self._lines += piece.count(b"\n")
        now_s = time.monotonic()
        if sys.stderr.isatty() and now_s - self._shown_s >= REPORT_EVERY_S:
            self._shown_s, self._is_shown = now_s, True
            sys.stderr.write(f"\r\x1b[K{self._bar()}{self.text()}")
            sys.stderr.flush()

    def _bar(self) -> str:
        if self._expected_lines is None:
            return ""
        share = min(1.0, self._lines / self._expected_lines)
        return f"{'━' * round(share * BAR_CHARACTERS):{BAR_CHARACTERS}} {share:4.0%}  "

    def text(self) -> str:
        """Return how much has been received."""
        return f"{self._bytes / 1e6:,.1f} MB, {self._lines:,} lines"

    def end(self) -> None:
        """Leave the last figures behind."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            complain(self.text())
