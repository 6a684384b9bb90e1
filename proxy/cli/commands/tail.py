"""`sidelog tail`: prints new records as they are stored, from the API's event stream, without gaps.

The ids of the stream mark the position. When the connection ends, the next one sends the last id,
and the server sends the missed records, from its store if necessary. An event (`gap`) announces
records that it can no longer send; they are reported. Standard: WHATWG HTML §9.2 (event streams).
"""

import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from functools import partial
from typing import Final, NamedTuple

import click

from proxy.cli.command import (
    WholeNumber,
    client_options,
    command,
    fields_option,
    json_lines_option,
    search_options,
)
from proxy.cli.commands.client import Client, Filters, TemporaryRefusal, no_response, reason_of
from proxy.cli.commands.listing import View, line_of, read_fields, selected
from proxy.cli.commands.output import (
    Json,
    check_reader,
    complain,
    console,
    flush,
    say_json,
    say_styled,
)
from proxy.cli.commands.records import pages

READ_TIMEOUT_S: Final = 45.0
"""Time of three heartbeats of the server, after which the connection counts as dead."""
RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 10.0


class Event(NamedTuple):
    """One event of a stream."""

    name: str
    id: str
    data: str


@command(instead={"--limit": "-n shows that many records before new ones."})
@click.option(
    "--lines",
    "-n",
    type=WholeNumber(0, 1000),
    default=0,
    help="First print the newest N records.",
)
@fields_option
@search_options
@json_lines_option
@client_options
def tail(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    lines: int,
    fields: str | None,
    as_json: bool,
) -> int:
    """Follow new records as they are stored; resumes without a gap when the connection breaks or
    sidelog restarts.

    Example: sidelog tail --level warn --level error
    """
    view = View(fields=read_fields(fields), zone=zone)
    if "since" in filters:
        complain("sidelog: tail shows new records only; `sidelog query --since …` shows older ones")
    asked = {**filters, **view.asked}
    read_newest = partial(pages, client, {**asked, "order": "desc"}, lines)
    return _follow(client, asked, _Output(read_newest, view, as_json=as_json))


class _Output:
    """Prints the newest records once the stream has begun, so that none is missed in between, then
    the records of the stream.
    """

    def __init__(
        self, read_newest: Callable[[], Iterable[Json]], view: View, *, as_json: bool
    ) -> None:
        """Print what `read_newest` returns when the stream begins, in reverse order. It is called
        again if it fails.
        """
        self._read_newest = read_newest
        self._view = view
        self._as_json = as_json
        self._out = console()
        self._known: set[str] | None = None

    def begin(self) -> None:
        """Print the newest records once; the stream may repeat some of them."""
        if self._known is None:
            newest = [*self._read_newest()][::-1]
            for record in newest:
                self.write(record)
            self._known = {record["id"] for record in newest}

    def write(self, record: Json) -> None:
        """Print a record that is not one of the newest; each line is flushed at once."""
        if record["id"] in (self._known or ()):
            return
        if self._as_json:
            say_json(selected(record, self._view), is_line=True)
        else:
            say_styled(line_of(record, self._view, self._out))
        flush()


def _follow(client: Client, filters: Filters, output: _Output) -> int:
    last_id = ""
    retry_s = RETRY_S
    is_connected = False
    is_away = False

    while True:
        check_reader()
        try:
            for event in _events(client, filters, last_id):
                if is_away:
                    complain(f"connected again to {client.url}")
                    is_away = False
                is_connected = True
                retry_s = RETRY_S
                last_id = event.id or last_id
                if not _show(event, output):
                    return 0

            reason = "the stream ended"
        except (OSError, http.client.HTTPException) as error:
            if not is_connected:
                raise no_response(client.url, error) from error
            reason = reason_of(error)
        except TemporaryRefusal as error:  # a restart, or a balancer before it
            if not is_connected:
                raise
            reason = str(error)

        if not is_away:  # once, however many attempts it takes
            complain(f"disconnected from {client.url} ({reason}); reconnecting")
            is_away = True
        time.sleep(retry_s)
        retry_s = min(2 * retry_s, MAX_RETRY_S)


def _events(client: Client, filters: Filters, last_id: str) -> Iterator[Event]:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
    with client.stream("/api/records/stream", filters, headers, READ_TIMEOUT_S) as response:
        yield Event("open", "", "")
        yield from parse_events(_while_read(response))


def _while_read(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines as long as stdout has a reader: apart from heartbeats a live list may be silent
    for hours.
    """
    for line in lines:
        check_reader()
        yield line


def parse_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events in the lines of a stream; comments and unfinished events are left out.

    An id without data is yielded as an event named "id", after which a reconnect resumes as well.
    """
    name = "message"
    event_id = ""
    told_id = ""
    data: list[str] = []

    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield Event(name, event_id, "\n".join(data))
            elif event_id != told_id:
                yield Event("id", event_id, "")

            told_id = event_id
            name = "message"
            data = []
            continue

        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif field == "data":
            data.append(value)


def _show(event: Event, output: _Output) -> bool:
    """Print one event; return False if it is the last."""
    if event.id:
        output.begin()
    match event.name:
        case "open" | "id" | "shutdown":
            pass  # the end of the connection is reported next
        case "message":
            output.write(json.loads(event.data))
        case "gap":
            complain(f"gap: records are missing here, {event.data}")
        case "reset":
            complain("the store was replaced; continuing with new records")
        case "scope-destroyed":
            complain(f"the scope was destroyed: {event.data}")
            return False
        case _:
            complain(f"{event.name}: {event.data}")

    return True
