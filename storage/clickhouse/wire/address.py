"""The address of a ClickHouse store: `clickhouse://user:password@host:8123,other/database`,
`clickhouses://` over TLS. Pure.

With `?cluster=name` each host is a server of that cluster. `&min_replicas=2` is the number of
replicas that must have a commit. `order_delay_s=5` sets how late an insert may be, for tables that
are yet to be created.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypedDict
from urllib.parse import SplitResult, parse_qsl, unquote

_SCHEMES: Final = {"clickhouse": ("http", 8123), "clickhouses": ("https", 8443)}
"""Scheme of a store's URL → scheme of its servers, and the default port."""
_HOST: Final = re.compile(
    r"(?P<name>[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
_MAX_PORT: Final = 65535
_DATABASE: Final = "default"
_USUAL_OPTIONS: Final = {"cluster": "", "min_replicas": "1", "order_delay_s": "5"}
_LEAST_DELAY_S: Final = 0.2
_MOST_DELAY_S: Final = 60
"""The server refuses numbers further ahead of its clock
(`storage.clickhouse.engine.server.AHEAD_MS`).
"""
_SECONDS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?", re.ASCII)
_CLUSTER: Final = re.compile(r"[\w.-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """Hosts, database and credentials of a store."""

    hosts: tuple[str, ...]
    """URLs without a path, tried in turn; each leads to the same server, or to a replica."""
    database: str
    user: str
    password: str = field(repr=False)
    cluster: str = ""
    """Name of the cluster that the hosts belong to; empty if they all lead to one server."""
    min_replicas: int = 1
    """Number of replicas that must have a commit."""
    order_delay_ms: int = 5000
    """How late an insert may be, and so how far the stable prefix lags."""

    @property
    def location(self) -> str:
        """Hosts and database for display, without credentials."""
        return f"{','.join(host.partition('://')[2] for host in self.hosts)}/{self.database}"

    @classmethod
    def of(cls, url: SplitResult) -> "Address":
        """Parse a store's URL.

        Raises:
            ValueError: It is incomplete, or has unknown parts.
        """
        if url.fragment:
            raise ValueError(f"{url.scheme}: takes no fragment; # in a password is written %23")
        if "@" in url.path:
            raise ValueError(f"{url.scheme}: an @ behind the host; / in a password is written %2F")

        database = unquote(url.path[1:])
        if "/" in url.path[1:] or "\0" in database:
            raise ValueError(
                f"{url.scheme}: needs the name of a database, as in "
                f"{url.scheme}://user@host/sidelog"
            )

        credentials, _, hosts = url.netloc.rpartition("@")
        user, _, password = credentials.partition(":")
        places = tuple(_hosts(url.scheme, hosts))
        options = _options(url, len(places))
        return cls(
            places, database or _DATABASE, unquote(user) or "default", unquote(password), **options
        )


class _Options(TypedDict):
    cluster: str
    min_replicas: int
    order_delay_ms: int


def _options(url: SplitResult, hosts: int) -> _Options:
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    cluster, least, delay = (options.pop(name, usual) for name, usual in _USUAL_OPTIONS.items())
    if (
        options
        or (url.query and "=" not in url.query)
        or ("min_replicas=" in url.query and not cluster)
    ):
        raise ValueError(
            f"{url.scheme}: takes no options but order_delay_s and cluster, and min_replicas only "
            "with cluster; ? in a password is written %3F"
        )
    if cluster and _CLUSTER.fullmatch(cluster) is None:
        raise ValueError(
            f"{url.scheme}: cluster={cluster!r} is not a name of letters, digits and . _ -"
        )
    if not (least.isascii() and least.isdigit() and 1 <= int(least[:9]) <= hosts):
        raise ValueError(
            f"{url.scheme}: min_replicas={least!r} is not between 1 and the {hosts} hosts of the "
            "address"
        )
    if not (_SECONDS.fullmatch(delay) and _LEAST_DELAY_S <= float(delay) <= _MOST_DELAY_S):
        raise ValueError(
            f"{url.scheme}: order_delay_s={delay!r} is not a number of seconds from {_LEAST_DELAY_S} "
            f"to {_MOST_DELAY_S}"
        )

    return {
        "cluster": cluster,
        "min_replicas": int(least),
        "order_delay_ms": round(float(delay) * 1000),
    }


def _hosts(scheme: str, hosts: str) -> Iterator[str]:
    protocol, usual_port = _SCHEMES[scheme]
    for host in hosts.split(","):
        found = _HOST.fullmatch(host)
        port = int(found["port"] or usual_port) if found else 0
        if found is None or not 0 < port <= _MAX_PORT:
            raise ValueError(
                f"{scheme}: {host!r} is not a host and port, as in "
                f"{scheme}://user@host:{usual_port}/sidelog"
            )

        yield f"{protocol}://{found['name']}:{port}"
