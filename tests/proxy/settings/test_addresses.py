"""Addresses: what is read, what is refused, and which upstream is evidently ourselves."""

import pytest

from proxy.settings.addresses import (
    UpstreamAddress,
    Via,
    is_loopback,
    leads_to,
    parse_address,
    parse_listen,
    parse_upstream,
    parse_via,
    proxy_in,
    via_for,
)
from tests.support.cases import each_of


@each_of(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("localhost:0", ("localhost", 0)),
        (":8080", ("0.0.0.0", 8080)),
        ("app-1.internal:65535", ("app-1.internal", 65535)),
    ],
)
def test_listen_address_is_read(text: str, expected: tuple[str, int]) -> None:
    """host:port, bracketed IPv6, port 0 and an empty host are addresses."""
    assert parse_address(text) == expected


@each_of(
    "text",
    [
        "",
        "8080",
        "127.0.0.1",
        "::1:8080",
        "[::1]",
        "[x]:80",
        "host:65536",
        "host:-1",
        "a b:80",
        "host:80/",
        "h:٣",
    ],
)
def test_bad_listen_address_is_refused(text: str) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)


@pytest.mark.parametrize("text", ["unix:/run/proxy.sock", "unix:///run/proxy.sock"])
def test_the_data_port_may_be_a_unix_socket(text: str) -> None:
    """In the two forms of an upstream; its path takes the place of the host, and only this machine
    reaches it.
    """
    path, _ = parse_listen(text)
    assert path == "/run/proxy.sock"
    assert is_loopback(path)
    assert parse_listen("[::1]:8080") == ("::1", 8080)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("unix:proxy.sock", "an absolute path"),
        ("unix:@proxy", "an absolute path"),
        ("unix:/" + 107 * "a", "has at most 107 bytes, not 108"),
        ("unix:/" + 54 * "é", "has at most 107 bytes, not 109"),
    ],
)
def test_a_path_that_no_unix_socket_has_is_refused(text: str, reason: str) -> None:
    """Relative, abstract, or longer than the kernel takes, counted in bytes."""
    with pytest.raises(ValueError, match=reason):
        parse_listen(text)


@each_of(
    ("text", "expected", "authority"),
    [
        ("http://127.0.0.1:3000", ("http", "127.0.0.1", 3000, ""), "127.0.0.1:3000"),
        ("http://App", ("http", "app", 80, ""), "app"),
        ("HTTPS://api.example.com/", ("https", "api.example.com", 443, ""), "api.example.com"),
        ("https://[::1]:80", ("https", "::1", 80, ""), "[::1]:80"),
        ("unix:/run/app.sock", ("unix", "", 0, "/run/app.sock"), "localhost"),
        ("unix:///run/app.sock", ("unix", "", 0, "/run/app.sock"), "localhost"),
    ],
)
def test_upstream_is_read(text: str, expected: tuple[str, str, int, str], authority: str) -> None:
    """The three forms of upstream, default ports filled in."""
    upstream = parse_upstream(text)
    assert (upstream.scheme, upstream.host, upstream.port, upstream.path) == expected
    assert upstream.authority == authority


@each_of(
    "text",
    [
        "", "app:3000", "ftp://app", "http://", "http://:80", "http://app:0", "http://app//v1", "http://app?x=1",
        "http://app#f", "http://user:secret@app", "unix:app.sock", "unix://run/app.sock",
        "unix:////run/app.sock", "unix:", "unix:/" + 107 * "a", "http://a\r\nb",
        "http://app/a b", "http://app/../x", "http://app/a/.", "http://app/%zz", "http://app/v1//", "http://app/é",
        "http://a..b", "http://" + 64 * "a" + ".de", "http://a.de..", "http://-a", "http://a-",
    ],
)  # fmt: skip
def test_upstream_beyond_an_origin_is_refused(text: str) -> None:
    """Paths, queries, fragments, credentials and unknown schemes are refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_upstream(text)


@each_of(
    ("upstream", "listen", "expected"),
    [
        ("http://127.0.0.1:8080", ("0.0.0.0", 8080), True),
        ("http://localhost:8080", ("127.0.0.1", 8080), True),
        ("http://localhost:8080", ("::", 8080), True),
        ("http://[::1]:8080", ("::1", 8080), True),
        ("http://[0:0::1]:8080", ("::1", 8080), True),
        ("http://[::ffff:127.0.0.1]:8080", ("127.0.0.1", 8080), True),
        ("http://0.0.0.0:8080", ("127.0.0.1", 8080), True),
        ("http://gateway:8080", ("gateway", 8080), True),
        ("http://127.0.0.1:8081", ("0.0.0.0", 8080), False),
        ("http://127.0.0.2:8080", ("127.0.0.1", 8080), False),
        ("http://app:8080", ("0.0.0.0", 8080), False),
        ("http://10.0.0.9:8080", ("0.0.0.0", 8080), False),
        ("unix:/run/app.sock", ("0.0.0.0", 8080), False),
        ("unix:/run/app.sock", ("/run/app.sock", 0), True),
        ("unix:/run/app.sock", ("/run/proxy.sock", 0), False),
        ("http://127.0.0.1:8080", ("/run/app.sock", 0), False),
    ],
)
def test_own_listener_is_recognised(upstream: str, listen: tuple[str, int], expected: bool) -> None:
    """An upstream is ours when host and port evidently reach our listener."""
    assert leads_to(parse_upstream(upstream), listen) is expected


def test_loopback_is_told_from_the_network() -> None:
    """Loopback literals and localhost are this machine only; wildcards and names are not."""
    assert [
        is_loopback(host) for host in ("127.9.9.9", "::1", "localhost", "0.0.0.0", "::", "app")
    ] == [True] * 3 + [False] * 3


def test_addresses_are_values() -> None:
    """Two readings of the same text are equal and hashable."""
    assert len({parse_upstream("http://app"), parse_upstream("http://app:80")}) == 1
    assert isinstance(parse_upstream("http://app"), UpstreamAddress)


@each_of(
    ("text", "base_path"),
    [
        ("http://app", ""),
        ("http://app/", ""),
        ("http://app/v1", "/v1"),
        ("https://app:8443/a/b.c/~d/", "/a/b.c/~d"),
        ("http://[::1]/...", "/..."),
        ("http://app/caf%C3%A9;x=1", "/caf%C3%A9;x=1"),
        ("unix:/run/app.sock", ""),
    ],
)
def test_the_path_of_an_upstream_is_put_before_targets(text: str, base_path: str) -> None:
    """Without the slash at its end."""
    assert parse_upstream(text).base_path == base_path


@each_of(
    ("text", "expected"),
    [
        ("", None),
        ("off", None),
        ("http://proxy:3128", Via("proxy", 3128, b"")),
        ("http://proxy/", Via("proxy", 80, b"")),
        ("http://me:s%40fe@[::1]:8080", Via("::1", 8080, b"Basic bWU6c0BmZQ==")),
    ],
)
def test_a_proxy_on_the_way_is_read(text: str, expected: Via | None) -> None:
    """With credentials as they are sent, and never shown."""
    assert parse_via(text) == expected
    assert "bWU6" not in repr(parse_via(text))


@each_of(
    "text", ["proxy:3128", "https://proxy", "socks5://proxy", "http://proxy/x", "http://a:b@", "on"]
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    """The message does not repeat it: it may hold a password."""
    with pytest.raises(ValueError, match="expected"):
        parse_via(text)


@each_of(
    ("upstream", "excepted", "is_taken"),
    [
        ("https://api.openai.com", "", True),
        ("https://api.openai.com", "openai.com", False),
        ("https://api.openai.com", ".openai.com, other", False),
        ("https://api.openai.com", "api.openai.com:443", False),
        ("https://api.openai.com:8443", "api.openai.com:443", True),
        ("https://api.openai.com", "notopenai.com", True),
        ("https://api.openai.com", "*", False),
        ("https://10.1.2.3", "localhost,10.0.0.0/8", False),
        ("https://10.1.2.3", "192.168.0.0/16,bad/net", True),
        ("https://10.1.2.3", "bad/net, 10.1.0.0/16", False),
        ("https://localhost:8443", "", False),
        ("https://127.0.0.1", "", False),
        ("http://api.openai.com", "", False),
        ("unix:/run/app.sock", "", False),
    ],
)
def test_the_environment_names_a_proxy_for_https(
    upstream: str, excepted: str, *, is_taken: bool
) -> None:
    """As curl and Go read it: not for what no_proxy lists, nor for this machine; networks are
    listed too.
    """
    environ = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": excepted}
    found = via_for(parse_upstream(upstream), *proxy_in(environ))
    assert found == ("http://proxy:3128" if is_taken else "")
