"""`sidelog grpc reflect`: fetches the schema of a service that offers reflection, for `[[routes]]
protobuf`.

One call asks for the names of all services, for the file of each, then for imports that did not
come along; each request waits for its response.

Standard: gRPC Server Reflection, v1 and v1alpha. Only their names differ.
"""

import socket
from pathlib import Path
from typing import Final

import click

from proxy.cli.command import Group, argument, output_option
from proxy.cli.commands.files.call_messages import framed
from proxy.cli.commands.files.http2_call import CallEnded, Http2Call, connect
from proxy.cli.commands.output import CommandError, complain, failing, write_out
from proxy.enrich.grpc.descriptors import Values, parts_of, text_of, values_of
from proxy.enrich.grpc.status import status_in
from proxy.enrich.grpc.wire import Cut, NotWire
from proxy.enrich.grpc.writer import sized
from proxy.http1.errors import why_unreached
from proxy.process.tls import upstream_context
from proxy.settings.addresses import UpstreamAddress, parse_upstream
from storage.grpc import status_name

_SERVICES: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
_BY_NAME, _BY_SYMBOL, _LIST = 3, 4, 7
"""Fields of a request."""
_FILES, _NAMES, _ERROR = 4, 6, 7
"""Fields of a response."""
_UNIMPLEMENTED: Final = 12
_TIMEOUT_S: Final = 30.0
_MAX_FILES: Final = 10_000


class _Unimplemented(CommandError):
    """The service does not know this version of reflection."""


class _Call:
    """One reflection call."""

    def __init__(self, connection: socket.socket, address: UpstreamAddress, service: str) -> None:
        path = f"/{service}/ServerReflectionInfo".encode()
        self._call = Http2Call(
            connection, address, path, b"Content-Type: application/grpc\r\nTE: trailers\r\n"
        )

    def ask(self, field: int, text: str) -> Values:
        """Send a request of reflection and return the values of its response."""
        data = sized(field, text.encode())
        body = self._call.body
        self._call.send(framed([data]))
        while len(body) < 5 or len(body) < 5 + int.from_bytes(body[1:5], "big"):
            self._read()
        end = 5 + int.from_bytes(body[1:5], "big")
        message = bytes(body[5:end])
        del body[:end]

        response = values_of(message)
        for error in map(values_of, parts_of(response, _ERROR)):
            raise CommandError(
                f"reflection of {text or 'the list of services'}: {text_of(error, 2)}"
            )

        return response

    def _read(self) -> None:
        with failing("", CallEnded):
            self._call.read()

        head = self._call.head
        if head is not None:
            self._end(head.lines)
            if head.status != 200:
                raise CommandError(
                    f"the service answered with status {head.status}, not as gRPC does"
                )

        self._end(self._call.trailers or b"")

    def _end(self, lines: bytes) -> None:
        status = status_in(lines)
        if status is not None:
            if status.message is None:
                said = b""
            else:
                said = status.message
            text = f"reflection ended: {status_name(status.code)} {said.decode(errors='replace')}".rstrip()
            raise (_Unimplemented if status.code == _UNIMPLEMENTED else CommandError)(text)


@click.group(cls=Group)
def grpc() -> None:
    """Schemas of gRPC services."""


@grpc.command()
@argument("address", "Address of the service: host:port, or https://host:port.")
@output_option("Output file; default: standard output.")
def reflect(address: str, output: Path | None) -> int:
    """Fetch the schema of a service that offers reflection, for `protobuf` of its route.

    Example: sidelog grpc reflect 127.0.0.1:50051 -o api.pb
    """
    try:
        service = parse_upstream(address if "://" in address else f"http://{address}")
    except ValueError:
        service = None

    if service is None or service.scheme == "unix" or service.base_path:
        raise CommandError(
            f"ADDRESS is {address!r}, expected host:port, or https://host:port", exit_code=2
        )

    try:
        files = _fetch(service)
    except OSError as error:
        raise CommandError(f"cannot reach {address}: {why_unreached(error)}") from error
    except (NotWire, Cut, UnicodeDecodeError) as error:
        raise CommandError(f"{address} does not answer as reflection does") from error

    write_out((sized(1, file) for file in files.values()), output)
    complain(f"{len(files):,} files of {address} were written")
    return 0


def _fetch(address: UpstreamAddress) -> dict[str, bytes]:
    """Fetch the schema of a server by reflection; try v1, then v1alpha, each over a connection of
    its own.
    """
    refusal = CommandError("no version of reflection is known")
    if address.scheme == "https":
        tls = upstream_context("", "h2", is_verified=True)
    else:
        tls = None
    for service in _SERVICES:
        with connect(address, _TIMEOUT_S, tls) as connection:
            try:
                return _files_of(_Call(connection, address, service))
            except _Unimplemented as error:
                refusal = error

    raise refusal


def _files_of(call: _Call) -> dict[str, bytes]:
    """Fetch the files of all services, and their imports."""
    files: dict[str, bytes] = {}
    wanted = [
        (_BY_SYMBOL, text_of(values_of(each), 1))
        for names in parts_of(call.ask(_LIST, ""), _NAMES)
        for each in parts_of(values_of(names), 1)
    ]
    while wanted and len(files) < _MAX_FILES:
        field, name = wanted.pop()
        if name in files:
            continue
        for found in parts_of(call.ask(field, name), _FILES):
            for file in parts_of(values_of(found), 1):
                values = values_of(file)
                files[text_of(values, 1)] = file
                wanted += [(_BY_NAME, part.decode()) for part in parts_of(values, 3)]

    return files
