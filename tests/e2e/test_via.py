"""Upstreams behind a proxy that tunnels."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.e2e.test_tls import Hello, fetch
from tests.support.certificate import self_signed
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import read_head

CREDENTIALS = "me:s@fe"


@contextmanager
def tunnelling(asked: list[bytes]) -> Iterator[int]:
    """A proxy that makes tunnels for those who show credentials, and notes what it was asked;
    yields its port.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client:
            head = read_head(client)
            asked.append(head)
            if base64.b64encode(CREDENTIALS.encode()) not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return

            port = int(head.split()[1].rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(upstream, client))
                back.start()
                pump(client, upstream)
                back.join()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,)).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    with closing(listener):
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_an_upstream_is_reached_through_a_proxy(tmp_path: Path) -> None:
    """By a tunnel, kept for the next request; what the proxy refuses is a 502 that says so, without
    the password.
    """
    cert, key = self_signed(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()

    asked: list[bytes] = []
    try:
        with tunnelling(asked) as port:
            url = f"https://localhost:{server.server_port}"
            ways = {
                "allowed": f"http://me:s%40fe@127.0.0.1:{port}",
                "refused": f"http://me:wrong@127.0.0.1:{port}",
            }
            known = {"upstream": url, "upstream_ca_file": str(cert)}
            routes = [
                {"id": name, "path": f"/{name}/", "via": via, **known} for name, via in ways.items()
            ]

            environ = {"SIDELOG_ROUTES": json.dumps(routes)}
            with Sidelog(tmp_path / "data", "http://127.0.0.1:1", environ=environ) as sidelog:
                assert [fetch(f"{sidelog.url}/allowed/{number}")[0] for number in (1, 2)] == [
                    200,
                    200,
                ]
                status, body = fetch(f"{sidelog.url}/refused/x")
                assert status == 502
                assert b"407 Proxy Authentication Required" in body
                stored = eventually(lambda: found if len(found := sidelog.records()) == 3 else None)
                records = {record["path"]: record for record in stored}
                assert records["/allowed/1"]["upstream"] == f"localhost:{server.server_port}"
                assert (records["/refused/x"]["error_type"], records["/refused/x"]["level"]) == (
                    "upstream_refused", "error",
                )  # fmt: skip
                shown = json.dumps(sidelog.api("/api/status"))
                assert "s%40fe" not in shown + sidelog.log
                assert "wrong" not in shown + sidelog.log
    finally:
        server.shutdown()
        server.server_close()

    assert [head.split()[1] for head in asked] == [f"localhost:{server.server_port}".encode()] * 2
