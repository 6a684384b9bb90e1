"""Who the client is, and what the upstream is told."""

import pytest

from proxy.http1.forwarded import TrustedProxies, forwarded_lines
from proxy.http1.request_head import RequestHead

NETWORKS = ("10.0.0.0/8", "fd00::/8", "192.168.1.7")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.168.1.7", True),
        ("192.168.1.8", False),
        ("fd00::1", True),
        ("[fd00::1]", True),
        ("fe00::1", False),
        ("::ffff:10.1.2.3", True),
        (" 10.1.2.3 ", True),
        ("", False),
        ("10.1.2.3:80", False),
        ("unix", False),
    ],
)
def test_trusted_networks(address: str, expected: bool) -> None:
    """Addresses of both families, in brackets or mapped, are looked up; anything else is not trusted."""
    assert TrustedProxies(NETWORKS).has(address) is expected
    assert TrustedProxies(()).has(address) is False


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"1.2.3.4", "1.2.3.4"),
        (b"6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        (b"6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (b"1.2.3.4, , 10.0.0.2", "1.2.3.4"),
        (b"1.2.3.4, garbage, 10.0.0.2", "10.0.0.2"),
        (b"garbage", "10.0.0.1"),
        (b", ", "10.0.0.1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"\xe4", "10.0.0.1"),
    ],
)
def test_the_client_is_the_right_most_entry_that_is_no_trusted_proxy(chain: bytes, client: str) -> None:
    """What a client wrote itself, left of the first untrusted entry or as garbage, is not believed."""
    assert TrustedProxies(NETWORKS).client("10.0.0.1", chain) == client


@pytest.mark.parametrize(
    ("is_trusted", "expected"),
    [
        (False, b"X-Forwarded-For: 9.9.9.9, 1.1.1.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\n"),
        (True, b"X-Forwarded-For: 9.9.9.9, 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: original\r\n"),
    ],
)
def test_the_chain_is_appended_to_and_the_rest_believed_only_from_trusted_proxies(
    is_trusted: bool, expected: bytes
) -> None:
    """X-Forwarded-For grows by the peer; Proto and Host are a trusted proxy's to say."""
    head = RequestHead(is_keep_alive=True)
    head.forwarded_for, head.forwarded_proto, head.forwarded_host = b"9.9.9.9", b"https", b"original"
    assert forwarded_lines(head, b"1.1.1.1", b"http", b"h:1", is_trusted=is_trusted) == expected


def test_without_earlier_entries_the_peer_is_the_chain() -> None:
    """A first proxy writes all three fields itself."""
    expected = b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
    for is_trusted in (False, True):
        head = RequestHead(is_keep_alive=True)
        assert forwarded_lines(head, b"1.1.1.1", b"http", b"h", is_trusted=is_trusted) == expected
