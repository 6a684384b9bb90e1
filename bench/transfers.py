"""Bodies that must pass unchanged, in and out, for runs that last minutes or hours: pictures and
uploads through the data port, and calls through the port of outgoing calls, to hosts that are read,
to one that is tunnelled, and without TLS.
"""

import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bench.contents import kind_of
from bench.egress import BODY, host_of
from bench.file_upstream import PATH, PICTURE, digest_of, variant_of
from bench.steady_load import upstream_of
from proxy.egress.authority import open_authority
from tests.support.ports import free_port

UPLOAD: Final = kind_of("multipart-60k")
HOSTS: Final = 50
"""Hosts over TLS that outgoing calls reach."""
TUNNELLED: Final = host_of(0)
"""The host that is not read."""
SETTINGS: Final = """
[[routes]]
id = "files"
path = "{path}/"
upstream = "{files}"

[egress]
listen = "127.0.0.1:{egress_port}"
hosts = ["*"]
tunnel = ["{tunnelled}"]
upstream_ca = "{authority}"
"""


@dataclass(frozen=True, slots=True)
class Services:
    """What stands behind a sidelog: a service for files, and hosts over TLS."""

    files: str
    """URL of the service for files."""
    hosts_port: int
    """Port of the hosts, each at an address of its own."""
    authority: Path
    """Certificate of the authority that signed for the hosts."""
    egress_port: int
    """A free port for outgoing calls."""

    def settings(self) -> str:
        """Return the settings of a sidelog before them, as TOML."""
        return SETTINGS.format(
            path=PATH,
            files=self.files,
            egress_port=self.egress_port,
            tunnelled=TUNNELLED,
            authority=self.authority,
        )


@contextmanager
def services(directory: Path) -> Iterator[Services]:
    """Start all services; their authority is made in a directory."""
    authority = open_authority(directory)
    serving = ("--hosts", str(HOSTS), "--serve", str(directory))
    with upstream_of("bench.file_upstream") as files, upstream_of("bench.egress", *serving) as url:
        yield Services(files, int(url.rpartition(":")[2]), authority.path, free_port())


class Transfers:
    """Each kind of transfer through one sidelog; all return whether the bytes passed unchanged."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, services: Services, ours: Path
    ) -> None:
        """Prepare them; `ours` is the certificate that sidelog's clients trust."""
        self._session = session
        self._url = url
        self._services = services
        self._trusted = ssl.create_default_context(cafile=str(services.authority))
        self._trusted.load_verify_locations(ours)
        self.kinds: tuple[Callable[[int], Awaitable[bool]], ...] = (
            self.picture,
            self.call_out,
            self.upload,
            self.upload_out,
            self.tunnelled_call,
        )

    async def picture(self, number: int) -> bool:
        """Ask the service behind the data port for a picture."""
        async with self._session.get(f"{self._url}{PATH}/{number}") as answer:
            return await answer.read() == variant_of(PICTURE, number)

    async def upload(self, number: int) -> bool:
        """Send a form with a picture to the service behind the data port."""
        return await self._upload(f"{self._url}{PATH}/{number}", number, None)

    async def call_out(self, number: int) -> bool:
        """Call a host over TLS that is read."""
        return await self._call(host_of(1 + number % HOSTS), number)

    async def tunnelled_call(self, number: int) -> bool:
        """Call the host that is not read."""
        return await self._call(TUNNELLED, number)

    async def upload_out(self, number: int) -> bool:
        """Send a form to a host without TLS."""
        return await self._upload(f"{self._services.files}{PATH}/{number}", number, self._proxy)

    @property
    def _proxy(self) -> str:
        return f"http://127.0.0.1:{self._services.egress_port}"

    async def _call(self, host: str, number: int) -> bool:
        url = f"https://{host}:{self._services.hosts_port}/items/{number}"
        async with self._session.get(url, proxy=self._proxy, ssl=self._trusted) as answer:
            return await answer.read() == BODY

    async def _upload(self, url: str, number: int, proxy: str | None) -> bool:
        body = variant_of(UPLOAD, number)
        headers = {"Content-Type": UPLOAD.content_type}
        async with self._session.post(url, data=body, headers=headers, proxy=proxy) as answer:
            return bool((await answer.json())["sha256"] == digest_of(body))
