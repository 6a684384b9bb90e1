"""The schema of a service, fetched by reflection over a connection of HTTP/2."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from proxy.enrich.grpc.descriptors import parts_of, read_schema, text_of, values_of
from tests.proxy.cli.conftest import Run
from tests.support.grpc_secrets import field, frame

SHOP = FileDescriptorProto(name="shop.proto", package="shop")
BASE = FileDescriptorProto(name="base.proto", package="base")
SHOP.dependency.append("base.proto")
SHOP.service.add(name="Cart").method.add(
    name="Add", input_type=".base.Item", output_type=".base.Item"
)
BASE.message_type.add(name="Item")
FILES = {"shop.Cart": SHOP, "shop.proto": SHOP, "base.proto": BASE}


def answer_of(message: bytes) -> bytes:
    """Answer a request of reflection as a service does that sends each file alone."""
    request = values_of(message)
    name = text_of(request, 3) or text_of(request, 4)
    number = 7
    content = b"\x12\x07no such"

    if 7 in request:
        number = 6
        content = field(field(b"shop.Cart"))
    elif name in FILES:
        number = 4
        content = field(FILES[name].SerializeToString())

    return bytes((number << 3 | 2, len(content))) + content


class Service:
    """Serves connections of HTTP/2, one after the other."""

    def __init__(self, known: str, listener: socket.socket) -> None:
        self._known = known
        self._listener = listener
        self._is_known = False

    def run(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        codec = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        codec.initiate_connection()
        connection.sendall(codec.data_to_send())

        while data := connection.recv(65536):
            for event in codec.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    path = dict(event.headers or ()).get(b":path", b"").decode()
                    self._is_known = (
                        path
                        == f"/grpc.reflection.{self._known}.ServerReflection/ServerReflectionInfo"
                    )
                    status = [] if self._is_known else [("grpc-status", "12")]
                    codec.send_headers(
                        event.stream_id or 0, [(":status", "200"), *status], end_stream=bool(status)
                    )
                elif isinstance(event, h2.events.DataReceived) and self._is_known:
                    codec.send_data(
                        event.stream_id or 0, frame(0, answer_of((event.data or b"")[5:]))
                    )

            connection.sendall(codec.data_to_send())


@contextmanager
def service(known: str) -> Iterator[str]:
    """Serve a version of reflection; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=Service(known, listener).run)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("known", ["v1", "v1alpha"])
def test_a_schema_is_fetched_with_what_it_imports(known: str, tmp_path: Path, run: Run) -> None:
    """By the version that the service knows."""
    file = tmp_path / "api.pb"
    with service(known) as address:
        run(f"grpc reflect {address} -o {file}")
    schema = read_schema(file.read_bytes())
    assert schema.methods["/shop.Cart/Add"].request == "base.Item"
    assert len(parts_of(values_of(file.read_bytes()), 1)) == 2


def test_what_goes_wrong_is_said(tmp_path: Path, run: Run) -> None:
    """A service without reflection, an unreachable one, and invalid addresses."""
    with service("v2") as address:
        said = run(f"grpc reflect {address} -o {tmp_path}/x", code=1).err
    assert said == "sidelog: reflection ended: UNIMPLEMENTED\n"
    assert "Connection refused" in run(f"grpc reflect {address}", code=1).err
    for wrong in ("ftp://x", "unix:/run/a.sock", "http://x/path", "127.0.0.1:99999", "[::1"):
        assert "expected host:port" in run(f"grpc reflect {wrong}", code=2).err
    assert not (tmp_path / "x").exists()
