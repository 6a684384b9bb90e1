"""Requests that ask to be recorded less, by the header of `[capture] opt_out_header`.

Strategy: the header is looked for once per head, where heads are parsed and remembered
(`RequestHead.opt_out`); the route is then used at that level (`Route.at_level`). Invariant: a level
is lowered only. A request that could be read is recorded at most at the level that it asks for,
whether it was forwarded or refused. The header is end-to-end: it is forwarded as it came (P11).
"""

import re
from typing import Final, get_args

from proxy.http1.request_head import OptOutLevel
from proxy.ring.exchange import NO_ROUTE, Exchange
from proxy.settings.section import CaptureLevel
from proxy.worker.routes import CAPTURE_FLAGS

_LEVELS: Final[tuple[OptOutLevel, ...]] = get_args(OptOutLevel)
"""The levels that can be asked for, the least first."""


class OptOut:
    """Reads the level a head asks for."""

    def __init__(self, name: str) -> None:
        """Look for the header `name`."""
        self._field = re.compile(rb"\r\n%b:([^\r\n]*)" % re.escape(name.encode()), re.IGNORECASE)

    def level_of(self, block: bytes) -> OptOutLevel | None:
        """Return the level that a head asks for: the least of several, None for none that is known.

        `block` begins with the CRLF behind the request line.
        """
        asked = {
            value.strip(b" \t").lower()
            for field in self._field.findall(block)
            for value in field.split(b",")
        }
        return next((level for level in _LEVELS if level.encode() in asked), None)


def limit_level(exchange: Exchange, level: CaptureLevel) -> None:
    """Record an exchange at most at a level; the windows of its bodies are its route's."""
    exchange.flags |= CAPTURE_FLAGS[level]
    exchange.is_recorded = exchange.is_recorded and level != "none"


def limit_level_unrouted(exchange: Exchange, level: CaptureLevel) -> None:
    """Record an exchange at most at a level if it reached no route, whose level would count."""
    if exchange.route == NO_ROUTE:
        limit_level(exchange, level)


def make_opt_out(name: str) -> OptOut | None:
    """Return the reader of the header `name`; None where no header is named."""
    return OptOut(name) if name else None
