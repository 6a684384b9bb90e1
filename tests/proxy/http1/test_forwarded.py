"""Who the client is, and what the upstream is told."""

import pytest

from proxy.http1.forwarded import (
    MAX_FORWARDED_BYTES,
    MAX_PROXIES,
    Original,
    TrustedProxies,
    forwarded_elements,
    forwarded_lines,
    peer_address,
)
from proxy.http1.request_head import RequestHead
from tests.support.cases import each_of

NETWORKS = ("10.0.0.0/8", "fd00::/8", "192.168.1.7")


@each_of(
    ("address", "expected"),
    [
        ("10.1.2.3", True), ("11.1.2.3", False), ("192.168.1.7", True), ("192.168.1.8", False), ("fd00::1", True),
        ("[fd00::1]", True), ("fe00::1", False), ("::ffff:10.1.2.3", True), (" 10.1.2.3 ", True), ("", False),
        ("10.1.2.3:80", False), ("unix", False),
    ],
)  # fmt: skip
def test_trusted_networks(address: str, expected: bool) -> None:
    """Addresses of both families, in brackets or mapped, are looked up; anything else is not
    trusted.
    """
    assert TrustedProxies(NETWORKS).has(address) is expected
    assert TrustedProxies(()).has(address) is False


@pytest.mark.parametrize("network", ["::ffff:10.0.0.0/104", "::ffff:10.1.2.3", "10.0.0.0/8"])
def test_a_network_of_mapped_addresses_is_one_of_ipv4(network: str) -> None:
    """A socket for both families shows those of IPv4 mapped, and so may a configuration."""
    assert TrustedProxies((network,)).has("10.1.2.3")
    assert TrustedProxies((network,)).has("::ffff:10.1.2.3")
    assert not TrustedProxies((network,)).has("11.1.2.3")
    assert TrustedProxies(("::/0",)).has("fd00::1")


@each_of(
    ("name", "address"),
    [
        (("1.2.3.4", 80), b"1.2.3.4"),
        (("::ffff:1.2.3.4", 80, 0, 0), b"1.2.3.4"),
        (("::1", 80, 0, 0), b"::1"),
        (("fe80::1%eth0", 80, 0, 2), b"fe80::1"),
        ("", b"127.0.0.1"),
        ("/run/client.sock", b"127.0.0.1"),
        (b"\x00client", b"127.0.0.1"),
        (None, b""),
    ],
)
def test_a_peer_has_one_address_whatever_socket_it_came_to(name: object, address: bytes) -> None:
    """That of IPv4 without the prefix of mapped ones, that of IPv6 without its zone; one of a Unix
    socket is here.
    """
    assert peer_address(name) == address


@each_of(
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
        (b"[2001:db8::1]:4711, 10.0.0.2:80", "2001:db8::1"),
        (b"2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        (b"[2001:0db8::0001]:4711", "2001:db8::1"),
        (b"0:0:0:0:0:ffff:102:304", "1.2.3.4"),
        (b"[::FFFF:1.2.3.4]:80, ::ffff:10.0.0.2", "1.2.3.4"),
        (b"1.2.3.4:5678", "1.2.3.4"),
        (b"fe80::1%eth0", "fe80::1"),
        (b"[fe80::1%<b>" + b"x" * 9000 + b"]:80", "fe80::1"),
        (b"fd00::1%x, 10.0.0.2", "fd00::1"),
        (b"1.2.3.4%x", "10.0.0.1"),
        (b"1.2.3.4:x, 10.0.0.2", "10.0.0.2"),
        (b"\xe4", "10.0.0.1"),
    ],
)
def test_the_client_is_the_right_most_entry_that_is_no_trusted_proxy(
    chain: bytes, client: str
) -> None:
    """What a client wrote itself, left of the first untrusted entry or as garbage, is not believed."""
    assert TrustedProxies(NETWORKS).client("10.0.0.1", chain) == client


TRUSTED, FOREIGN = b"10.0.0.1", b"1.1.1.1"


def head_with(**fields: object) -> RequestHead:
    """Make a head in which a proxy says something."""
    head = RequestHead(is_keep_alive=True)
    for name, value in fields.items():
        setattr(head, name, value)
    return head


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (
            FOREIGN,
            b"X-Forwarded-For: 9.9.9.9, 1.1.1.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "
            b"h:1\r\n",
        ),
        (
            TRUSTED,
            b"X-Forwarded-For: 9.9.9.9, 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
            b"first\r\n",
        ),
    ],
)
def test_the_chain_is_appended_to_and_the_rest_believed_only_from_trusted_proxies(
    peer: bytes, expected: bytes
) -> None:
    """X-Forwarded-For grows by the peer; Proto and Host are a trusted proxy's to say."""
    head = head_with(forwarded_for=b"9.9.9.9", forwarded_proto=b"https", forwarded_host=b"first")
    original = TrustedProxies(NETWORKS).original(peer, head)
    assert forwarded_lines(head, peer, b"http", b"h:1", original) == expected
    assert original.client == (b"9.9.9.9" if peer == TRUSTED else FOREIGN)


@pytest.mark.parametrize("peer", [FOREIGN, TRUSTED])
def test_without_earlier_entries_the_peer_is_the_chain(peer: bytes) -> None:
    """A first proxy writes all three fields itself."""
    head = head_with()
    original = TrustedProxies(NETWORKS).original(peer, head)
    expected = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n" % peer
    assert forwarded_lines(head, peer, b"http", b"h", original) == expected


def test_mapped_addresses_in_the_chain_are_written_plain() -> None:
    """A proxy with a socket for both families writes them; what else it and the client wrote stays."""
    chain = (
        b"::ffff:9.9.9.9, x::ffff:1.1.1.1,::FFFF:8.8.8.8, [::ffff:7.7.7.7]:80, ::ffff:c000:207, "
        b"2001:db8::1"
    )
    lines = forwarded_lines(
        head_with(forwarded_for=chain), FOREIGN, b"http", b"", Original(FOREIGN, b"", b"")
    )
    plain = (
        b"9.9.9.9, x::ffff:1.1.1.1,8.8.8.8, [::ffff:7.7.7.7]:80, ::ffff:c000:207, 2001:db8::1, "
        b"1.1.1.1"
    )
    assert lines.startswith(b"X-Forwarded-For: %b\r\n" % plain)


def test_a_host_that_nobody_named_is_left_out() -> None:
    """HTTP/1.0 needs none; Django, which believes the field, refuses an empty one."""
    expected = b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: http\r\n"
    assert (
        forwarded_lines(head_with(), FOREIGN, b"http", b"", Original(FOREIGN, b"", b"")) == expected
    )


@each_of(
    ("forwarded", "expected"),
    [
        (b"for=1.2.3.4;proto=https;host=a.example", Original(b"1.2.3.4", b"https", b"a.example")),
        (b'For="[2001:db8::1]:47" ; Proto=https', Original(b"2001:db8::1", b"https", b"")),
        (b"for=1.2.3.4;proto=https, for=10.0.0.9;proto=http", Original(b"1.2.3.4", b"https", b"")),
        (b"for=6.6.6.6;proto=ws, for=1.2.3.4;proto=https", Original(b"1.2.3.4", b"https", b"")),
        (b"for=10.0.0.9;proto=https", Original(b"10.0.0.9", b"https", b"")),
        (b"for=unknown;proto=https", Original(TRUSTED, b"https", b"")),
        (b"for=_hidden, for=10.0.0.9", Original(b"10.0.0.9", b"", b"")),
        (b"proto=https", Original(TRUSTED, b"https", b"")),
        (b"for=1.2.3.4;proto=https, broken", Original(TRUSTED, b"", b"")),
        (b'for="1.2.3.4', Original(TRUSTED, b"", b"")),
    ],
)
def test_forwarded_of_a_trusted_proxy_counts_without_the_other_fields(
    forwarded: bytes, expected: Original
) -> None:
    """The element of the client counts, a malformed field not at all; nobody else is believed;
    X-Forwarded-* win.
    """
    trusted = TrustedProxies(NETWORKS)
    assert trusted.original(TRUSTED, head_with(forwarded=forwarded)) == expected
    assert trusted.original(FOREIGN, head_with(forwarded=forwarded)) == Original(FOREIGN, b"", b"")
    older = head_with(
        forwarded=forwarded, forwarded_for=b"7.7.7.7", forwarded_proto=b"wss", forwarded_host=b"b"
    )
    assert trusted.original(TRUSTED, older) == Original(b"7.7.7.7", b"wss", b"b")


@pytest.mark.parametrize(
    ("older", "expected"),
    [
        ({"forwarded_for": b"7.7.7.7"}, Original(b"7.7.7.7", b"", b"")),
        ({"forwarded_proto": b"http"}, Original(TRUSTED, b"http", b"")),
        ({"forwarded_host": b"b"}, Original(TRUSTED, b"", b"b")),
    ],
)
def test_forwarded_is_not_read_beside_one_of_the_others(
    older: dict[str, bytes], expected: Original
) -> None:
    """A proxy that writes those passes this one as its client wrote it: nginx does."""
    head = head_with(forwarded=b"for=6.6.6.6;proto=https;host=evil.example", **older)
    assert TrustedProxies(NETWORKS).original(TRUSTED, head) == expected


CDN = "CF-Connecting-IP"


@each_of(
    ("lines", "client"),
    [
        ([b"CF-Connecting-IP: 203.0.113.7"], b"203.0.113.7"),
        ([b"cf-connecting-ip:[2001:DB8::7]"], b"2001:db8::7"),
        ([b"CF-Connecting-IP: ::ffff:203.0.113.7"], b"203.0.113.7"),
        ([b"CF-Connecting-IP: 10.0.0.9"], b"10.0.0.9"),
        ([b"CF-Connecting-IP: "], b"7.7.7.7"),
        ([b"CF-Connecting-IP: unknown"], b"7.7.7.7"),
        ([b"CF-Connecting-IP: 1.1.1.2, 1.1.1.3"], b"7.7.7.7"),
        ([b"CF-Connecting-IP: 1.1.1.2", b"CF-Connecting-IP: 1.1.1.3"], b"7.7.7.7"),
        ([b"CF_Connecting_IP: 1.1.1.2"], b"7.7.7.7"),
        ([], b"7.7.7.7"),
    ],
)
def test_the_field_of_a_trusted_proxy_names_the_client(lines: list[bytes], client: bytes) -> None:
    """One address counts, anything else is as if the field were not there; from others it says
    nothing.
    """
    trusted = TrustedProxies(NETWORKS, CDN)
    head = head_with(lines=lines, forwarded_for=b"7.7.7.7", forwarded_proto=b"https")
    assert trusted.original(TRUSTED, head) == Original(client, b"https", b"")
    assert trusted.original(FOREIGN, head) == Original(FOREIGN, b"", b"")


def test_the_field_is_read_beside_forwarded_and_beside_nothing() -> None:
    """Scheme and host are those of Forwarded, where the older fields are missing."""
    trusted = TrustedProxies(NETWORKS, CDN)
    lines = [b"CF-Connecting-IP: 203.0.113.7"]
    head = head_with(lines=lines, forwarded=b"for=9.9.9.9;proto=https;host=shop.example")
    assert trusted.original(TRUSTED, head) == Original(b"203.0.113.7", b"https", b"shop.example")
    assert trusted.original(TRUSTED, head_with(lines=lines)) == Original(b"203.0.113.7", b"", b"")


def test_a_chain_of_proxies_has_an_end() -> None:
    """Who writes thousands of them into a field does not have each looked up."""
    trusted = TrustedProxies(NETWORKS)
    chain = [b"10.1.0.%d" % number for number in range(MAX_PROXIES + 1)]
    assert trusted.client("10.0.0.1", b"1.2.3.4, " + b", ".join(chain[1:])) == "1.2.3.4"
    assert trusted.client("10.0.0.1", b"1.2.3.4, " + b", ".join(chain)) == "10.1.0.1"
    elements = b", ".join(b"for=%b;host=h" % entry for entry in chain)
    original = trusted.original(TRUSTED, head_with(forwarded=b"for=1.2.3.4, " + elements))
    assert original == Original(b"10.1.0.0", b"", b"h")
    assert forwarded_elements(b"for=1.2.3.4;by=_" + b"a" * MAX_FORWARDED_BYTES) == []


def test_elements_of_forwarded() -> None:
    """Names in lower case, quotes and escapes undone, separators within quotes left alone."""
    assert forwarded_elements(rb'FOR="a\"b,c;d" ;by=_x , , host="h:1"') == [
        {b"for": b'a"b,c;d', b"by": b"_x"},
        {b"host": b"h:1"},
    ]
    assert forwarded_elements(b"") == []
