"""A request that asks to be recorded less: `[capture] opt_out_header`, both engines.

Strategy: the header is looked for once per head, where heads are parsed and remembered
(`RequestHead.opt_out`); the route is then used at that level (`Route.at_level`). Invariant: a level
is only ever lowered, and a request that could be read is recorded at most at the level it asks for,
whether it was forwarded or refused. The header is end-to-end: it is forwarded as it came (P11).
"""

import re
from typing import Final, get_args

from proxy.http1.request_head import OptOutLevel
from proxy.ring.exchange import NO_ROUTE, Exchange
from proxy.settings.section import CaptureLevel
from proxy.worker.routes import CAPTURE_FLAGS

_LEVELS: Final[tuple[OptOutLevel, ...]] = get_args(OptOutLevel)
"""The least first."""


class OptOut:
    """Reads the level a head asks for."""

    def __init__(self, name: str) -> None:
        """Look for the header `name`."""
        self._field = re.compile(rb"\r\n%b:([^\r\n]*)" % re.escape(name.encode()), re.IGNORECASE)

    def level_of(self, block: bytes) -> OptOutLevel | None:
        """Return what a head, from its first CRLF on, asks for: of several the least, None for
        nothing known.
        """
        asked = {
            value.strip(b" \t").lower()
            for field in self._field.findall(block)
            for value in field.split(b",")
        }
        return next((level for level in _LEVELS if level.encode() in asked), None)


def lower(exchange: Exchange, level: CaptureLevel) -> None:
    """Limit the level of an exchange; its route decides the windows of its bodies."""
    exchange.flags |= CAPTURE_FLAGS[level]
    exchange.is_recorded = exchange.is_recorded and level != "none"


def lower_outside(exchange: Exchange, level: CaptureLevel) -> None:
    """Limit the level of an exchange that reached no route, and so has no level of a route."""
    if exchange.route == NO_ROUTE:
        lower(exchange, level)


def make_opt_out(name: str) -> OptOut | None:
    """Allow requests to ask for less by the header `name`; an empty one allows none to."""
    return OptOut(name) if name else None
