"""`sidelog grpc reflect`: fetch the schema of a service that tells it by reflection, for `[[routes]] protobuf`.

Strategy: one call, of which each request waits for its response: the names of all services, the files with each of
them, then what those import and did not come with them.

Standard: gRPC Server Reflection, v1 and v1alpha, which differ in their name alone.
"""

import socket
import time
from pathlib import Path
from typing import Final

from api.metrics.protobuf import encoded_message, encoded_text
from proxy.cli.commands.files.export import write_file, write_out
from proxy.cli.commands.output import CommandError, complain
from proxy.enrich.grpc.descriptors import Values, parts_of, text_of, values_of
from proxy.enrich.grpc.status import status_in
from proxy.enrich.grpc.wire import Cut, NotWire
from proxy.http1.errors import why_unreached
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.events import ConnectionEnded, DataReceived, ResponseReceived, StreamReset, TrailersReceived
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields
from proxy.process.tls import client_context
from proxy.settings.addresses import parse_upstream
from storage.grpc import status_name

_SERVICES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
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
    """One call of reflection."""

    def __init__(self, connection: socket.socket, scheme: str, authority: str, service: str) -> None:
        self._socket = connection
        self._codec = Connection(Limits(max_header_bytes=1 << 16), LineEncoder(), time.monotonic_ns(), is_server=False)
        lines = b"Host: %b\r\nContent-Type: application/grpc\r\nTE: trailers\r\n" % authority.encode()
        path = f"/{service}/ServerReflectionInfo".encode()
        head = RequestFields(b"POST", path, scheme.encode(), lines, -1, None)
        self._stream = self._codec.send_request(head, authority.encode())
        self._body = b""

    def ask(self, field: int, text: str) -> Values:
        """Send a request and wait for its response."""
        data = encoded_text(field, text)
        self._codec.send_data(self._stream, b"\0" + len(data).to_bytes(4, "big") + data, time.monotonic_ns())
        while len(self._body) < 5 or len(self._body) < 5 + int.from_bytes(self._body[1:5], "big"):
            self._read()
        end = 5 + int.from_bytes(self._body[1:5], "big")
        message, self._body = self._body[5:end], self._body[end:]
        response = values_of(message)
        for error in map(values_of, parts_of(response, _ERROR)):
            raise CommandError(f"reflection of {text or 'the list of services'}: {text_of(error, 2)}")
        return response

    def _read(self) -> None:
        self._socket.sendall(self._codec.output.take())
        data = self._socket.recv(65536)
        if not data:
            raise CommandError("the service closed the connection")
        events = self._codec.receive(data, time.monotonic_ns())
        while self._codec.has_more:
            events += self._codec.receive(b"", time.monotonic_ns())
        for event in events:
            if isinstance(event, DataReceived):
                self._body += event.data
                self._codec.credit(self._stream, len(event.data))
            elif isinstance(event, ResponseReceived):
                self._end(event.head.lines)
                if event.head.status != 200:
                    raise CommandError(f"the service answered with status {event.head.status}, not as gRPC does")
            elif isinstance(event, TrailersReceived):
                self._end(event.lines)
            elif isinstance(event, StreamReset | ConnectionEnded):
                raise CommandError(f"the service ended the call: {event.reason or event.code}")

    def _end(self, lines: bytes) -> None:
        status = status_in(lines)
        if status is not None:
            said = b"" if status.message is None else status.message
            text = f"reflection ended: {status_name(status.code)} {said.decode(errors='replace')}".rstrip()
            raise (_Unimplemented if status.code == _UNIMPLEMENTED else CommandError)(text)


def reflect(*, address: str, output: Path | None) -> int:
    """Write a set of file descriptors with all that a service offers."""
    try:
        service = parse_upstream(address if "://" in address else f"http://{address}")
    except ValueError:
        service = None
    if service is None or service.scheme == "unix" or service.base_path:
        raise CommandError(f"ADDRESS is {address!r}, expected host:port, or https://host:port", exit_code=2)
    try:
        files = _fetch((service.host, service.port), service.scheme, service.authority)
    except OSError as error:
        raise CommandError(f"cannot reach {address}: {why_unreached(error)}") from error
    except (NotWire, Cut, UnicodeDecodeError) as error:
        raise CommandError(f"{address} does not answer as reflection does") from error
    written = (encoded_message(1, file) for file in files.values())
    if output is None:
        write_out(written)
    else:
        write_file(written, output)
    complain(f"{len(files):,} files of {address} were written")
    return 0


def _fetch(place: tuple[str, int], scheme: str, authority: str) -> dict[str, bytes]:
    """Ask by the newer name first, each over a connection of its own."""
    refusal = CommandError("no version of reflection is known")
    for service in _SERVICES:
        with socket.create_connection(place, _TIMEOUT_S) as plain:
            if scheme == "https":
                context = client_context("")
                context.set_alpn_protocols(["h2"])
                plain = context.wrap_socket(plain, server_hostname=place[0])
            try:
                return _files_of(_Call(plain, scheme, authority, service))
            except _Unimplemented as error:
                refusal = error
    raise refusal


def _files_of(call: _Call) -> dict[str, bytes]:
    """Fetch the files of all services, and what they import."""
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
