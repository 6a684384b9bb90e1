"""The authority of outgoing calls, judged by OpenSSL as clients ask it."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.egress.authority import (
    OF_MACHINE,
    AuthorityError,
    open_authority,
    rotate,
    write_bundle,
)
from tests.support.cases import each_of
from tests.support.outgoing import server_context


def _shake_hands(server_side: ssl.SSLContext, trusted: Path, name: str) -> None:
    """Have a strict client connect to a server; raises `ssl.SSLError` as the client does."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(trusted)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    own, peer = socket.socketpair()

    def serve() -> None:
        try:
            server_side.wrap_socket(peer, server_side=True).close()
        except OSError:
            peer.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        with own, client_context.wrap_socket(own, server_hostname=name):
            pass
    finally:
        server.join()


@each_of("host", ["api.example.com", "10.0.0.1", "::1", "xn--mnchen-3ya.example"])
def test_a_strict_client_takes_a_leaf_for_its_host_alone(tmp_path: Path, host: str) -> None:
    ca = tmp_path / "ca"
    server = server_context(open_authority(ca), host)
    for trusted in ("ca.pem", "bundle.pem"):
        _shake_hands(server, ca / trusted, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        _shake_hands(server, ca / "ca.pem", "other.example.com")


def test_it_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    ca = tmp_path / "data" / "ca"
    first = open_authority(ca)
    assert open_authority(ca).fingerprint == first.fingerprint
    assert (ca / "ca.pem").read_bytes() == first.pem
    assert stat.S_IMODE((ca / "ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((ca / "ca.pem").stat().st_mode) == 0o644
    assert first.expires_at - datetime.now(UTC) > timedelta(days=3650)


def test_a_new_one_is_told_from_the_old_one(tmp_path: Path) -> None:
    old = open_authority(tmp_path)
    new = rotate(tmp_path)
    assert new.fingerprint != old.fingerprint
    assert open_authority(tmp_path).fingerprint == new.fingerprint
    assert new.pem in (tmp_path / "bundle.pem").read_bytes()
    assert old.pem not in (tmp_path / "bundle.pem").read_bytes()


def test_processes_that_start_at_once_share_one(tmp_path: Path) -> None:
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(open_authority(tmp_path).fingerprint))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_the_bundle_has_the_users_authorities_and_ours_behind_them(tmp_path: Path) -> None:
    theirs = tmp_path / "corp.pem"
    theirs.write_bytes(open_authority(tmp_path / "corp").pem.rstrip(b"\n"))
    ca = tmp_path / "ca"
    bundle = write_bundle(ca, [theirs])
    assert bundle.read_bytes() == theirs.read_bytes() + b"\n" + open_authority(ca).pem
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o644

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    assert len(context.get_ca_certs()) == 2


def test_what_is_added_stands_beside_the_machines_authorities(tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    open_authority(ca)
    bundle = (ca / "bundle.pem").read_bytes()
    assert bundle.startswith(OF_MACHINE)
    of_machine = bundle.removeprefix(OF_MACHINE).removesuffix((ca / "ca.pem").read_bytes())
    theirs = open_authority(tmp_path / "corp")
    written = write_bundle(ca, added=[theirs.path]).read_bytes()
    assert written == of_machine + theirs.pem + open_authority(ca).pem


def test_the_bundle_follows_the_machines_authorities(tmp_path: Path) -> None:
    """At each start, unless it has those that a user named."""
    ca = tmp_path / "ca"
    open_authority(ca)
    bundle = ca / "bundle.pem"
    current = bundle.read_bytes()
    bundle.write_bytes(OF_MACHINE + open_authority(tmp_path / "former").pem)
    open_authority(ca)
    assert bundle.read_bytes() == current

    theirs = open_authority(tmp_path / "corp")
    named = write_bundle(ca, added=[theirs.path]).read_bytes()
    open_authority(ca)
    assert bundle.read_bytes() == named


def test_a_bundle_of_ours_is_not_put_into_itself(tmp_path: Path) -> None:
    authority = open_authority(tmp_path)
    bundle = tmp_path / "bundle.pem"
    write_bundle(tmp_path, [bundle])
    assert bundle.read_bytes().count(authority.pem) == 1


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    open_authority(tmp_path / "other")
    text = tmp_path / "notes.txt"
    text.write_text("no certificate")
    with pytest.raises(AuthorityError, match=r"notes\.txt holds no certificate"):
        write_bundle(tmp_path / "ca", [text])

    key = tmp_path / "ca" / "ca.key"
    key.write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(AuthorityError, match="not the key of"):
        open_authority(tmp_path / "ca")
    key.write_bytes(b"damaged")
    with pytest.raises(AuthorityError, match=r"ca\.key is damaged .*sidelog ca rotate"):
        open_authority(tmp_path / "ca")
    key.unlink()
    with pytest.raises(AuthorityError, match=r"ca\.key is missing.*sidelog ca rotate"):
        open_authority(tmp_path / "ca")

    rotate(tmp_path / "ca")
    open_authority(tmp_path / "ca")
