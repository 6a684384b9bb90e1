"""TLS on both ports and towards the upstream: certificates are checked, and the way round the check
is loud.
"""

import json
import ssl
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.certificate import self_signed
from tests.support.sidelog import ROOT, Sidelog, eventually


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1."""
    return self_signed(tmp_path_factory.mktemp("tls"))


class Hello(BaseHTTPRequestHandler):
    """Answers what it was told about the client."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Echo the headers."""
        body = json.dumps(dict(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


def fetch(url: str, cert: Path | None = None) -> tuple[int, bytes]:
    """GET, trusting one certificate."""
    context = ssl.create_default_context(cafile=str(cert)) if cert else None
    try:
        with urllib.request.urlopen(url, timeout=60, context=context) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_both_ports_speak_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """With certificates set both ports answer HTTPS; upstream and record know it; the command line
    trusts its own.
    """
    cert, key = certificate
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever).start()

    try:
        environ = {
            f"SIDELOG_{port}__TLS_{kind}_FILE": str(path)
            for port in ("PROXY", "ADMIN")
            for kind, path in (("CERT", cert), ("KEY", key))
        }
        sidelog = Sidelog(
            tmp_path / "data",
            f"http://127.0.0.1:{server.server_port}",
            environ=environ,
            tls_cert=cert,
        )
        with sidelog:
            status, body = fetch(f"https://localhost:{sidelog.port}/x", cert)
            assert status == 200
            assert json.loads(body)["X-Forwarded-Proto"] == "https"
            (record,) = eventually(lambda: sidelog.records())
            assert record["scheme"] == "https"
            command = [
                sys.executable,
                "-m",
                "proxy",
                "query",
                "--json",
                "--data-dir",
                str(tmp_path / "data"),
            ]
            shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            assert json.loads(shown.stdout)["path"] == "/x"
    finally:
        server.shutdown()
        server.server_close()


def test_upstream_certificates_are_checked(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """An unknown certificate is a 502; a CA file makes it known; switching it off is said in the
    log.
    """
    cert, key = certificate
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()

    try:
        url = f"https://localhost:{server.server_port}"
        ways: dict[str, dict[str, object]] = {
            "unknown": {},
            "known": {"upstream_ca_file": str(cert)},
            "unchecked": {"tls_verify": False},
        }

        routes = [
            {"id": name, "path": f"/{name}/", "upstream": url, **way} for name, way in ways.items()
        ]
        with Sidelog(
            tmp_path / "data", url, environ={"SIDELOG_ROUTES": json.dumps(routes)}
        ) as sidelog:
            statuses = {name: fetch(f"{sidelog.url}/{name}/x")[0] for name in ways}
            assert statuses == {"unknown": 502, "known": 200, "unchecked": 200}
            (line,) = [line for line in sidelog.log.splitlines() if "is not checked" in line]
            assert "unchecked" in line
    finally:
        server.shutdown()
        server.server_close()


def test_an_upstream_that_asks_for_a_certificate_gets_ours(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """Mutual TLS; without one the handshake fails, which is a 502 with a record."""
    cert, key = certificate
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()

    try:
        url = f"https://localhost:{server.server_port}/base"
        known = {"upstream": url, "upstream_ca_file": str(cert)}
        ours = {"upstream_cert_file": str(cert), "upstream_key_file": str(key)}
        routes = [
            {"id": "ours", "path": "/ours/", **known, **ours},
            {"id": "none", "path": "/none/", **known},
        ]

        environ = {"SIDELOG_ROUTES": json.dumps(routes)}
        with Sidelog(tmp_path / "data", "http://127.0.0.1:1", environ=environ) as sidelog:
            assert {name: fetch(f"{sidelog.url}/{name}/x")[0] for name in ("ours", "none")} == {
                "ours": 200,
                "none": 502,
            }
            records = eventually(lambda: found if len(found := sidelog.records()) == 2 else None)
            paths = sorted(record["path"] for record in records)
            assert paths == ["/none/x", "/ours/x"]
    finally:
        server.shutdown()
        server.server_close()
