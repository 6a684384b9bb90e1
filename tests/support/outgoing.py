"""A port of outgoing calls in this process, and hosts of our own behind it."""

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.egress.authority import Authority, key_pem, open_authority
from proxy.settings.model import EgressSettings, Settings
from tests.support.client import Client
from tests.support.plane import Loop, Plane, running_plane, settings_for
from tests.support.upstream import running, service

HOST = "api.example.test"
"""A name that leads to this machine."""


def server_context(authority: Authority, host: str, *protocols: str) -> ssl.SSLContext:
    """Return the context of a server with a certificate for a host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    with tempfile.NamedTemporaryFile() as file:
        file.write(leaf_and_key(authority, host))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def leaf_and_key(authority: Authority, host: str) -> bytes:
    """Return a certificate for a host, and its private key, in one PEM document."""
    key = ec.generate_private_key(ec.SECP256R1())
    return authority.leaf(host, key.public_key()) + key_pem(key)


@dataclass
class Outgoing:
    """A running port of outgoing calls."""

    plane: Plane
    ours: Path
    """The certificate that clients have to trust."""
    theirs: Path
    """The certificate of the authority that signed for the hosts."""

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.plane.egress_port}"

    def connect(self) -> Client:
        """Open a connection to the port."""
        return Client(socket.create_connection(("127.0.0.1", self.plane.egress_port), timeout=30))

    def connect_to(self, authority: str) -> Client:
        """Open a connection and have it lead to a host."""
        client = self.connect()
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = client.head()
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"ontent-" not in head
        return client

    def secured(self, client: Client, host: str, *protocols: str) -> Client:
        """Do a handshake through a connection, as a client that trusts our authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ours)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return Client(context.wrap_socket(client.socket, server_hostname=host))


@contextlib.contextmanager
def host(
    directory: Path, *protocols: str, certified: str = HOST, signed_by: str = "theirs"
) -> Iterator[str]:
    """Run a service over TLS that `HOST` leads to; gives its authority, as in CONNECT."""
    context = server_context(open_authority(directory / signed_by), certified, *protocols)
    with known_names(HOST), running(service(), context) as url:
        yield f"{HOST}:{url.rpartition(':')[2]}"


@contextlib.contextmanager
def outgoing(
    directory: Path, loop: Loop = "uvloop", settings: Settings | None = None, **egress: Any
) -> Iterator[Outgoing]:
    """Run a port of outgoing calls that trusts the authority of our hosts."""
    theirs = open_authority(directory / "theirs")
    base = settings or settings_for("http://127.0.0.1:9")
    given = {"listen": "127.0.0.1:8888", "upstream_ca": str(theirs.path)} | egress
    base = msgspec.structs.replace(
        base, data_dir=str(directory / "data"), egress=EgressSettings(**given)
    )
    (directory / "data").mkdir(exist_ok=True)
    with running_plane(base, directory, loop) as plane:
        yield Outgoing(plane, directory / "data" / "ca" / "ca.pem", theirs.path)


@contextlib.contextmanager
def known_names(*names: str, address: str = "127.0.0.1") -> Iterator[None]:
    """Have names lead to this machine or another, as far as this process looks them up."""
    resolve = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        return resolve(address if host in names else host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield
