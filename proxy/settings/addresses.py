"""Addresses as a person writes them: where to listen, and where an upstream is.

Addresses are parsed once; all later code uses the parsed values. IPv6 needs brackets (RFC 3986
§3.2.2). An upstream is an origin, optionally with a path that is prefixed to the client's target. A
query or userinfo in its URL is refused, because the proxy takes no credentials from an address.
"""

import base64
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from proxy.process.listeners import UNIX_PREFIX, socket_path, url_host

UpstreamScheme = Literal["http", "https", "unix"]

PRIVATE: Final = "private"
"""Stands in a list of networks for all that are never routed on the internet."""
PRIVATE_NETWORKS: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
)
"""Networks of RFC 1918, 6598, 3927, 1122, 4193 and 4291, in which proxies in front of a sidecar
usually are.
"""

_HOST: Final = re.compile(
    r"(?=[A-Za-z0-9])[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*(?<=[A-Za-z0-9])\.?\Z"
)
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:/]*))(?::(?P<port>[0-9]{1,5}))?\Z"
)
_BASE_PATH: Final = re.compile(
    r"(?:/(?!\.\.?(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})+)*"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_DIRECT: Final = "off"
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamAddress:
    """The upstream of a route."""

    scheme: UpstreamScheme
    host: str
    """Name or IP literal without brackets; empty for a Unix socket."""
    port: int
    """0 for a Unix socket."""
    path: str
    """Absolute path of the Unix socket, else empty."""
    base_path: str = ""
    """Prefix of each target: empty, or a path that begins with / and does not end with one."""

    @property
    def authority(self) -> str:
        """host or host:port as a Host header spells it (RFC 9110 §7.2); `localhost` for a Unix
        socket.
        """
        if self.scheme == "unix":
            return "localhost"
        host = url_host(self.host)
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Via:
    """A proxy through which an upstream is reached."""

    host: str
    port: int
    credentials: bytes = field(repr=False)
    """Value of Proxy-Authorization; empty if there is none."""
    is_asked: bool = False
    """Whether it is asked for URLs, and reads what passes; else it tunnels."""

    @property
    def credentials_line(self) -> bytes:
        """The field line for a request to the proxy; empty without credentials."""
        if self.credentials:
            return b"Proxy-Authorization: %b\r\n" % self.credentials
        return b""


def parse_address(text: str) -> tuple[str, int]:
    """Parse `host:port` or `[v6]:port`. An empty host means every IPv4 address; for port 0 the
    kernel chooses.

    Raises:
        ValueError: the text is not such an address; the message names the fault.
    """
    host, port = _parse_authority(text)
    if port is None:
        raise ValueError("expected host:port, as in 127.0.0.1:8080 or [::1]:8080")
    return host or "0.0.0.0", port  # noqa: S104 — an empty host before the colon is how all addresses are written


def parse_listen(text: str) -> tuple[str, int]:
    """Parse the address of the data port: as `parse_address`, or `unix:/path`, with the path in the
    place of the host.

    Raises:
        ValueError: the text is neither; the message names the fault.
    """
    if text.startswith(UNIX_PREFIX):
        return (socket_path(text), 0)
    return parse_address(text)


def parse_upstream(text: str) -> UpstreamAddress:
    """Parse `http://host[:port][/path]`, the same with https, or `unix:/path`, `unix:///path` (RFC
    8089 §2).

    Raises:
        ValueError: another scheme, or more than an origin and a path; the message names the fault.
    """
    if text.startswith(UNIX_PREFIX):
        return UpstreamAddress(scheme="unix", host="", port=0, path=socket_path(text))
    name, separator, rest = text.partition("://")
    scheme = _scheme(name.lower() if separator else "")
    for mark, what in (("@", "credentials"), ("?", "a query"), ("#", "a fragment")):
        if mark in rest:
            raise ValueError(
                "an upstream is only scheme, host, port and perhaps a path; it must not carry "
                f"{what}"
            )

    authority, slash, path = rest.partition("/")
    base_path = (slash + path).removesuffix("/")
    if not _BASE_PATH.fullmatch(base_path):
        raise ValueError(
            "the path of an upstream has no empty segments, no . or .., and other characters as %XX"
        )

    host, port = _parse_authority(authority)
    if not host or port == 0:
        raise ValueError("expected a host, and a port from 1 to 65535 where one is given")

    return UpstreamAddress(
        scheme=scheme,
        host=host.lower(),
        port=port or _DEFAULT_PORTS[scheme],
        path="",
        base_path=base_path,
    )


def target_at(target: bytes, strip_bytes: int, base_path: bytes) -> bytes:
    """Return the target that an upstream gets: without the prefix that a route strips, after the
    path of the upstream.
    """
    rest = target[strip_bytes:]
    return base_path + (rest if rest.startswith(b"/") else b"/" + rest)


def parse_via(text: str, *, is_asked: bool = False) -> Via | None:
    """Parse `http://[user:password@]host:port`; return None for an empty text, that is, direct
    connections. `is_asked` is that of the result.

    Raises:
        ValueError: the text is not such an address; the message hides its password.
    """
    if text in ("", _DIRECT):
        return None
    url = urlsplit(text)
    credentials, _, place = url.netloc.rpartition("@")

    if url.scheme == "http":
        address = parse_upstream(f"{url.scheme}://{place}{url.path}")
    else:
        address = None
    if address is None or address.base_path or url.query or url.fragment:
        raise ValueError(
            "expected off, or http://host:port, perhaps with user:password@ before the host"
        )

    if credentials:
        encoded = base64.b64encode(unquote(credentials).encode())
    else:
        encoded = b""
    return Via(address.host, address.port, b"Basic " + encoded if encoded else b"", is_asked)


def proxy_in(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the URL in `https_proxy`, and the hosts that `no_proxy` excepts, comma-separated."""
    return (
        environ.get("https_proxy") or environ.get("HTTPS_PROXY") or "",
        environ.get("no_proxy") or environ.get("NO_PROXY") or "",
    )


def via_for(upstream: UpstreamAddress, proxy: str, excepted: str) -> str:
    """Return the proxy through which to reach an upstream; empty if the upstream is reached
    directly.
    """
    if upstream.scheme != "https" or not proxy or is_loopback(upstream.host):
        return ""

    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # brings an HTTP client along

    is_excepted = proxy_bypass_environment(f"{upstream.host}:{upstream.port}", {"no": excepted})
    is_excepted = is_excepted or any(
        _is_in_network(upstream.host, text.strip()) for text in excepted.split(",")
    )
    if is_excepted:
        return ""
    return proxy


def _is_in_network(host: str, text: str) -> bool:
    try:
        return "/" in text and ipaddress.ip_address(host) in ipaddress.ip_network(
            text, strict=False
        )
    except ValueError:
        return False


def networks_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Replace `private` in a list by the networks that it stands for."""
    return tuple(
        network for text in texts for network in (PRIVATE_NETWORKS if text == PRIVATE else (text,))
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener on this host, or path of a Unix socket."""
    address = ip_of(host)
    if address is None:
        return host.startswith("/") or host.lower() in _LOCAL_NAMES
    return address.is_loopback


def leads_to(upstream: UpstreamAddress, listen: tuple[str, int]) -> bool:
    """Return whether an upstream is evidently our own listener, without DNS (the peer is checked
    again later).
    """
    if upstream.scheme == "unix" or upstream.port != listen[1]:
        return upstream.scheme == "unix" and upstream.path == listen[0]
    host = upstream.host
    own = listen[0].lower()
    target = ip_of(host)
    mine = ip_of(own)
    if host == own or (target is not None and target == mine):
        return True
    # Connecting to 0.0.0.0 or :: means this machine.
    if target is not None and target.is_unspecified:
        return mine is None or mine.is_unspecified or mine.is_loopback
    if not is_loopback(host):
        return False

    # A loopback name reaches a wildcard listener; `localhost` also each loopback literal.
    return (
        (mine is not None and mine.is_unspecified)
        or (target is None and is_loopback(own))
        or own in _LOCAL_NAMES
    )


def _parse_authority(text: str) -> tuple[str, int | None]:
    found = _AUTHORITY.match(text)
    if found is None:
        raise ValueError("expected host:port, with brackets around an IPv6 address")

    six = found["six"]
    port_text = found["port"]
    host: str = six if six is not None else found["name"]
    if six is not None and ip_of(six) is None:
        raise ValueError("the brackets do not hold an IPv6 address")
    if six is None and host and not _HOST.match(host):
        raise ValueError("the host is not a name or an IP address")

    if port_text is not None:
        port = int(port_text)
    else:
        port = None
    if port is not None and port > 65535:
        raise ValueError("the port is above 65535")

    return host, port


def _scheme(name: str) -> Literal["http", "https"]:
    match name:
        case "http":
            return "http"
        case "https":
            return "https"
        case _:
            raise ValueError("expected http://host:port, https://host:port or unix:/path")


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of an IP literal, one that is mapped to IPv6 as IPv4; None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
