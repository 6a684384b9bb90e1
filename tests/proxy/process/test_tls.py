"""TLS contexts: what our ports offer, and whom a client on this machine trusts."""

import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from proxy.process.tls import Http2, client_context, server_context
from tests.support.certificate import self_signed


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str | None, str | None]:
    """Shake hands over a socket pair; return protocol version and ALPN as the client sees them."""
    ours, theirs = socket.socketpair()

    def accept() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname="localhost") as secured:
            return secured.version(), secured.selected_alpn_protocol()
    finally:
        thread.join()


def test_no_certificate_is_no_tls() -> None:
    """A port without `tls_cert_file` speaks plain HTTP; one that cannot be read is an error."""
    assert server_context("", "") is None
    with pytest.raises(OSError, match="No such file"):
        server_context("/does/not/exist", "")


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    """OpenSSL would ask the terminal for it and wait, in every process."""
    cert, key = self_signed(tmp_path)
    locked = tmp_path / "locked.pem"
    command = [
        "openssl",
        "ec",
        "-aes128",
        "-passout",
        "pass:word",
        "-in",
        str(key),
        "-out",
        str(locked),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ValueError, match="passphrase"):
        server_context(str(cert), str(locked))


@pytest.mark.parametrize(
    ("http2", "both", "only_h2"),
    [("off", "http/1.1", None), ("on", "http/1.1", "h2"), ("prefer", "h2", "h2")],
)
def test_a_port_chooses_a_protocol_that_it_speaks(
    tmp_path: Path, http2: Http2, both: str, only_h2: str | None
) -> None:
    """Never `h2` where HTTP/2 is off: the client would read HTTP/1.1 as frames (RFC 7301 §3.2)."""
    cert, key = self_signed(tmp_path)
    server = server_context(str(cert), str(key), http2=http2)
    assert server is not None
    client = client_context(str(cert))
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert handshake(server, client) == ("TLSv1.3", both)
    client.set_alpn_protocols(["h2"])
    assert handshake(server, client) == ("TLSv1.3", only_h2)


def test_the_admin_port_is_trusted_by_its_own_certificate(tmp_path: Path) -> None:
    """TLS 1.2 at least, and HTTP/1.1 or nothing; without the certificate the client refuses."""
    cert, key = self_signed(tmp_path)
    server = server_context(str(cert), str(key))
    assert server is not None
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2
    client = client_context(str(cert))
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert handshake(server, client) == ("TLSv1.3", "http/1.1")
    client.set_alpn_protocols(["h2"])
    assert handshake(server, client) == ("TLSv1.3", None)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client_context(""))
