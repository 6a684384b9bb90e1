"""Proxies in front that `[proxy] trusted_proxies` does not list, found by the redirect loop that
this causes.

Such a proxy says that its client speaks TLS, which is not passed on, so a service that wants TLS
redirects to the URL that was asked for. Only here both are known. Each address is named once: in
the log, as an event, to `sidelog doctor`.
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
"""Any client can look like a proxy: further ones are not named."""
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


class UnlistedProxies:
    """Finds such proxies among the redirects."""

    def __init__(self, add_event: Callable[[str, dict[str, object]], None], data_dir: Path) -> None:
        self._add_event = add_event
        self._data_dir = data_dir
        self._named: set[str] = set()

    def observe(self, entries: Iterable[Entry]) -> None:
        """Look for redirects of peers that claim TLS and are not trusted; other records cost 0.1
        µs.
        """
        for entry in entries:
            if (
                entry.record.status in _REDIRECTS
                and entry.record.scheme == "http"
                and leads_back(entry)
            ):
                self._name(entry.record.client_ip or "")

    def _name(self, address: str) -> None:
        if address in self._named or len(self._named) >= MAX_ADDRESSES:
            return
        self._named.add(address)
        log.warning(
            "redirect loop: %s says that its client uses TLS, and is redirected to the same URL "
            "with https; "
            "if it is your ingress, add it to [proxy] trusted_proxies; sidelog ignores what other "
            "peers say",
            address,
        )
        self._add_event("unlisted_proxy", {"address": address, "setting": "proxy.trusted_proxies"})

        try:
            known = read_state(self._data_dir).get(UNLISTED_NAME) or []
            update_state(
                self._data_dir, **{UNLISTED_NAME: sorted({*known, address})[:MAX_ADDRESSES]}
            )
        except OSError as error:
            log.warning("the address was not saved for `sidelog doctor`: %s", error)


def leads_back(entry: Entry) -> bool:
    """Whether a peer that says TLS was redirected to the URL it asked for, with https."""
    record = entry.record
    payload = entry.payload
    if payload is None:
        return False

    sent = parse_head(payload.request_head)[1]
    answered = parse_head(payload.response_head)[1]
    hops = forwarded_elements(field_of(sent, b"forwarded") or b"")
    said = [field_of(sent, b"x-forwarded-proto") or b"", *(hop.get(b"proto", b"") for hop in hops)]

    try:
        target = urlsplit((field_of(answered, b"location") or b"").decode())
        asked = urlsplit(f"//{record.host}{record.path}")
    except ValueError:
        return False

    is_same = (target.hostname, unquote(target.path)) == (asked.hostname, unquote(asked.path))
    return is_same and target.scheme == "https" and b"https" in map(bytes.lower, said)
