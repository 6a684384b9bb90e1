"""Where a ClickHouse is: `clickhouse://user:password@host:8123,other/database`, `clickhouses://` over TLS. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote

_SCHEMES: Final = {"clickhouse": ("http", 8123), "clickhouses": ("https", 8443)}
"""Of a store's URL → that of its server's, and the port where none is given."""
_HOST: Final = re.compile(r"(?P<name>[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_MAX_PORT: Final = 65535
_DATABASE: Final = "default"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the servers are, and who asks them."""

    hosts: tuple[str, ...]
    """URLs without a path, to be tried in turn; each is the same database."""
    database: str
    user: str
    password: str = field(repr=False)

    @property
    def location(self) -> str:
        """The same for people: hosts and database, without credentials."""
        return f"{','.join(host.partition('://')[2] for host in self.hosts)}/{self.database}"

    @classmethod
    def of(cls, url: SplitResult) -> "Address":
        """Read a store's URL.

        Raises:
            ValueError: It is not complete, or has parts that nobody reads.
        """
        if url.query or url.fragment:
            raise ValueError(
                f"{url.scheme}: takes no options and no fragment; # and ? in a password are written %23, %3F"
            )
        if "@" in url.path:
            raise ValueError(f"{url.scheme}: an @ behind the host; / in a password is written %2F")
        database = unquote(url.path[1:])
        if "/" in url.path[1:] or "\0" in database:
            raise ValueError(f"{url.scheme}: needs the name of a database, as in {url.scheme}://user@host/sidelog")
        credentials, _, hosts = url.netloc.rpartition("@")
        user, _, password = credentials.partition(":")
        return cls(
            tuple(_hosts(url.scheme, hosts)), database or _DATABASE, unquote(user) or "default", unquote(password)
        )


def _hosts(scheme: str, hosts: str) -> Iterator[str]:
    protocol, usual_port = _SCHEMES[scheme]
    for host in hosts.split(","):
        found = _HOST.fullmatch(host)
        port = int(found["port"] or usual_port) if found else 0
        if found is None or not 0 < port <= _MAX_PORT:
            raise ValueError(f"{scheme}: {host!r} is no host and port, as in {scheme}://user@host:{usual_port}/sidelog")
        yield f"{protocol}://{found['name']}:{port}"
