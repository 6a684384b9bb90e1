"""Proxies in front that are not in `[proxy] trusted_proxies`, found by what it leads to: a redirect that never ends.

Such a proxy says that its client speaks TLS, which is not passed on, so a service that wants TLS redirects to the very
URL that was asked for, again and again. Neither side sees more than a redirect; only here both are known. It is said
once for each address, in the log, as an event and to `sidelog doctor`.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from proxy.enrich.http.head_facts import field_of, parse_head
from proxy.http1.forwarded import forwarded_elements
from proxy.process.data_dir import UNLISTED_NAME, read_state, update_state
from storage.record import Entry

log = logging.getLogger(__name__)

MAX_ADDRESSES: Final = 16
"""Any client can look like a proxy: further ones are not reported."""
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


class Events(Protocol):
    """Where events of our own go."""

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Add one."""


class UnlistedProxies:
    """Looks at redirects."""

    def __init__(self, events: Events, data_dir: Path) -> None:
        self._events = events
        self._data_dir = data_dir
        self._reported: set[str] = set()

    def beside(self, other: Callable[[list[Entry]], None]) -> Callable[[list[Entry]], None]:
        """Make an observer of both."""

        def observe(entries: list[Entry]) -> None:
            other(entries)
            self.observe(entries)

        return observe

    def observe(self, entries: Iterable[Entry]) -> None:
        """Look for redirects of who is not believed to speak TLS; others cost 0.1 µs."""
        for entry in entries:
            if entry.record.status in _REDIRECTS and entry.record.scheme == "http" and leads_back(entry):
                self._report(entry.record.client_ip or "")

    def _report(self, address: str) -> None:
        if address in self._reported or len(self._reported) >= MAX_ADDRESSES:
            return
        self._reported.add(address)
        log.warning(
            "a redirect without end: the peer %s says that its client speaks TLS, and is redirected to the same URL "
            "with https; if it is your ingress or load balancer, list it in [proxy] trusted_proxies: only what a "
            "listed one says is passed on to the service",
            address,
        )
        self._events.add_event("unlisted_proxy", {"address": address, "setting": "proxy.trusted_proxies"})
        try:
            known = read_state(self._data_dir).get(UNLISTED_NAME)
            found = [*(known if isinstance(known, list) else ()), address]
            update_state(self._data_dir, **{UNLISTED_NAME: sorted(set(found))[:MAX_ADDRESSES]})
        except OSError as error:
            log.warning("what `sidelog doctor` is to say of it was not saved: %s", error)


def leads_back(entry: Entry) -> bool:
    """Whether a peer that says TLS was redirected to the URL it asked for, with https."""
    record, payload = entry.record, entry.payload
    if payload is None:
        return False
    _, sent = parse_head(payload.request_head)
    said = field_of(sent, b"x-forwarded-proto") or b""
    elements = forwarded_elements(field_of(sent, b"forwarded") or b"")
    if b"https" not in (said.strip().lower(), *(element.get(b"proto", b"").lower() for element in elements)):
        return False
    _, fields = parse_head(payload.response_head)
    try:
        target = urlsplit((field_of(fields, b"location") or b"").decode())
        asked = urlsplit(f"//{record.host}").hostname
    except ValueError:
        return False
    return target.scheme == "https" and target.hostname == asked and unquote(target.path) == unquote(record.path or "")
