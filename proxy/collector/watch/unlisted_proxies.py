"""Finds proxies in front that `[proxy] trusted_proxies` does not list, by the redirect loop that
this causes.

Such a proxy says that its client uses TLS. sidelog does not pass that on, so a service that wants
TLS redirects to the very URL that was asked for. Each address is reported once: in the log, as an
event, and to `sidelog doctor`.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from proxy.enrich.http.head_facts import field_of, parse_head
from proxy.http1.forwarded import forwarded_elements
from proxy.process.data_dir import UNLISTED_NAME, read_state, update_state
from storage.record import Entry

log = logging.getLogger(__name__)

MAX_ADDRESSES: Final = 16
"""Most addresses that are reported: any client can pretend to be a proxy."""
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


class UnlistedProxies:
    """Reports such proxies."""

    def __init__(self, add_event: Callable[[str, dict[str, object]], None], data_dir: Path) -> None:
        self._add_event = add_event
        self._data_dir = data_dir
        self._reported: set[str] = set()

    def observe(self, entries: Iterable[Entry]) -> None:
        """Look for redirect loops. A record that is no redirect costs 0.1 µs."""
        for entry in entries:
            record = entry.record
            if record.status in _REDIRECTS and record.scheme == "http" and is_redirect_loop(entry):
                self._report(record.client_ip or "")

    def _report(self, address: str) -> None:
        if address in self._reported or len(self._reported) >= MAX_ADDRESSES:
            return
        self._reported.add(address)
        log.warning(
            "redirect loop: %s says that its client uses TLS, and is redirected to the same URL "
            "with https; if it is your ingress, add it to [proxy] trusted_proxies; sidelog ignores "
            "what other peers say",
            address,
        )
        self._add_event("unlisted_proxy", {"address": address, "setting": "proxy.trusted_proxies"})

        try:
            known = read_state(self._data_dir).get(UNLISTED_NAME) or []
            addresses = sorted({*known, address})[:MAX_ADDRESSES]
            update_state(self._data_dir, **{UNLISTED_NAME: addresses})
        except OSError as error:
            log.warning("the address was not saved for `sidelog doctor`: %s", error)


def is_redirect_loop(entry: Entry) -> bool:
    """Whether a peer whose client uses TLS was redirected to the URL it asked for, with https."""
    record = entry.record
    payload = entry.payload
    if payload is None:
        return False

    request_fields = parse_head(payload.request_head)[1]
    response_fields = parse_head(payload.response_head)[1]
    hops = forwarded_elements(field_of(request_fields, b"forwarded") or b"")
    protocols = [hop.get(b"proto", b"") for hop in hops]
    protocols.append(field_of(request_fields, b"x-forwarded-proto") or b"")
    if b"https" not in map(bytes.lower, protocols):
        return False

    try:
        target = urlsplit((field_of(response_fields, b"location") or b"").decode())
        asked = urlsplit(f"//{record.host}{record.path}")
    except ValueError:
        return False

    is_same = (target.hostname, unquote(target.path)) == (asked.hostname, unquote(asked.path))
    return is_same and target.scheme == "https"
