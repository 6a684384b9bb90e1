"""Every system that is installed here forwards, plain and over TLS, and logs; what is not installed is skipped."""

import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.macro import peers
from bench.macro.commands import PEERS
from bench.macro.peers import Peer, started
from bench.macro.place import PeerUnavailable, Place, make_certificate, program
from bench.macro.scenarios import HUGE_BYTES, JSON_BYTES, LARGE_BYTES
from tests.support.ports import free_port
from tests.support.programs import PROGRAM_S
from tests.support.wide import wide

SYSTEMS = ["haproxy", *(name for name in PEERS if name != "upstream")]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is there is waited for, however busy the machine is: else its test would be left out."""
    monkeypatch.setattr(peers, "TIMEOUT_START_S", PROGRAM_S)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Peer]:
    """Start the upstream, on a port and on a socket beside its directory."""
    port = free_port()
    try:
        with started("upstream", place(tmp_path / "upstream", port, port)) as peer:
            yield peer
    except PeerUnavailable as error:
        pytest.skip(str(error))


def place(directory: Path, port: int, upstream_port: int, *, is_tls: bool = False, is_unix: bool = False) -> Place:
    """Return a place on any core."""
    return Place(directory=directory, port=port, upstream_port=upstream_port, is_tls=is_tls, is_unix=is_unix)


def size_of(url: str) -> int:
    """Return how many bytes an answer has, whoever signed the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Host": "bench.local"})
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return len(answer.read())


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("way", ["plain", wide("tls"), wide("unix")])
def test_a_peer_forwards_and_logs(name: str, way: str, upstream: Peer, tmp_path: Path) -> None:
    """Bodies of all sizes come through unchanged in length, and the log knows of them once the peer has stopped."""
    upstream_port = int(upstream.url.rpartition(":")[2])
    here = place(tmp_path / name, free_port(), upstream_port, is_tls=way == "tls", is_unix=way == "unix")
    try:
        with started(name, here) as peer:
            sizes = [size_of(peer.url + path) for path in ("/json/items/7?run=1", "/16k", "/1m")]
    except PeerUnavailable as error:
        pytest.skip(str(error))
    assert sizes == [JSON_BYTES, LARGE_BYTES, HUGE_BYTES]
    assert peer.logged_bytes() > 0
    if peer.access_log:
        assert "/json/items/7?run=1" in peer.access_log.read_text().replace("\\u0026", "&")


def test_a_program_that_is_not_there_is_named() -> None:
    """With the command that installs it."""
    with pytest.raises(PeerUnavailable, match=r"no-such-proxy is not installed \(make bench-setup\)"):
        program("no-such-proxy")


def test_a_certificate_comes_with_its_key(tmp_path: Path) -> None:
    """In one file, which every peer reads."""
    try:
        make_certificate(place(tmp_path, 1, 1))
    except PeerUnavailable as error:
        pytest.skip(str(error))
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "certificate.pem")
    assert (tmp_path / "certificate.pem").read_text().count("-----BEGIN") == 2
