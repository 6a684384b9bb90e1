"""`sidelog doctor` on outgoing calls: is their port on, is the authority there, and does a program
that trusts it get an answer.
"""

import http.client
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from proxy.cli.commands.authority import authority_of, proxy_of
from proxy.cli.commands.doctor.finding import Finding
from proxy.cli.commands.output import CommandError
from proxy.process.data_dir import (
    AUTHORITY_DIRECTORY,
    BUNDLE_FILE,
    CERTIFICATE_FILE,
    is_in_use,
)
from proxy.settings.model import Settings

NAME: Final = "outgoing calls"
ANSWER_S: Final = 3.0
SOON_DAYS: Final = 60
"""Every program has to trust a new authority, which takes longer than a renewal."""
_ROTATE: Final = "sidelog ca rotate, then SIGHUP; programs have to trust the new one"
_ANY: Final = "example.com"
"""Asked where all hosts are read."""


def check_outgoing_calls(settings: Settings) -> Iterator[Finding]:
    """See whether they are on, until when the authority is valid, and ask a host as a program does
    that trusts it. The request is on record, too.
    """
    directory = Path(settings.data_dir)
    if is_in_use(directory):
        proxy = proxy_of(directory)
    else:
        proxy = ""
    if not settings.egress.listen and not proxy:
        yield Finding("ok", NAME, "are not recorded: [egress] listen is empty")
        return

    certificate = directory / AUTHORITY_DIRECTORY / CERTIFICATE_FILE
    if not certificate.exists():
        yield Finding("ok", NAME, f"{certificate} is made at the first start")
        return
    try:
        authority = authority_of(directory)
    except CommandError as error:
        yield Finding("fail", NAME, str(error))
        return

    left_days = (authority.expires_at.timestamp() - time.time()) / 86_400
    text = f"{certificate} is valid until {authority.expires_at:%Y-%m-%d}"
    yield (
        Finding("ok", NAME, text) if left_days > SOON_DAYS else Finding("warn", NAME, text, _ROTATE)
    )
    host = _host_of(settings.egress.hosts)
    if proxy and host:
        yield _asked(proxy, host, certificate.with_name(BUNDLE_FILE))


def _host_of(patterns: Sequence[str]) -> str:
    """Return a host that is read; "" where none is known."""
    names = sorted(patterns, key=lambda pattern: "*" in pattern)  # whole names first
    return next((_ANY if name == "*" else name.replace("*", "www") for name in names), "")


def _asked(proxy: str, host: str, bundle: Path) -> Finding:
    """Ask a host through the port."""
    port = urlsplit(proxy)
    client = http.client.HTTPSConnection(
        port.hostname or "",
        port.port,
        timeout=ANSWER_S,
        context=ssl.create_default_context(cafile=str(bundle)),
    )
    client.set_tunnel(host, 443)
    try:
        client.request("HEAD", "/", headers={"User-Agent": "sidelog-doctor"})
        status = client.getresponse().status
    except ssl.SSLCertVerificationError as error:
        text = f"a program that trusts {bundle} does not trust {host}: {error.verify_message}"
        return Finding("fail", NAME, text, _ROTATE)
    except OSError as error:
        return Finding("warn", NAME, f"{host} was not reached through {proxy}: {error}")
    finally:
        client.close()

    if status == http.client.BAD_GATEWAY:
        text = f"{host}, through {proxy}: sidelog is trusted, but did not reach it"
        return Finding("warn", NAME, text, f"sidelog query host:{host} says why")
    return Finding("ok", NAME, f"{host} answers a program that trusts {bundle} ({status})")
