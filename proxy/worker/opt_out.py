"""A request that asks to be recorded less: `[capture] opt_out_header`, both engines.

Strategy: the header is looked for once per head, where heads are parsed and remembered (`RequestHead.opt_out`); each
route has a twin per level, made at the start, that captures less and is the same in everything else. Invariant: a level
is only ever lowered, and a request that could be read is recorded at most at the level it asks for, whether it was
forwarded or refused. The header is end-to-end: it is forwarded as it came (P11).
"""

import re
from typing import Final, get_args

from proxy.http1.request_head import OptOutLevel
from proxy.ring.exchange import Exchange
from proxy.worker.routes import CAPTURE_FLAGS, Route, RouteTable

_LEVELS: Final[tuple[OptOutLevel, ...]] = get_args(OptOutLevel)
"""The least first."""


class OptOut:
    """Which level a head asks for, and what a route is at that level."""

    def __init__(self, name: str, routes: RouteTable) -> None:
        """Look for the header `name`; the routes are all there are."""
        self._field = re.compile(rb"\r\n%b:([^\r\n]*)" % re.escape(name.encode()), re.IGNORECASE)
        self._twins = {level: tuple(route.lowered(level) for route in routes.routes) for level in _LEVELS}

    def level_of(self, block: bytes) -> OptOutLevel | None:
        """Find what a head, from its first CRLF on, asks for: of several the least, None for nothing that is known."""
        asked = {value.strip(b" \t").lower() for field in self._field.findall(block) for value in field.split(b",")}
        return next((level for level in _LEVELS if level.encode() in asked), None)

    def twin(self, route: Route, level: OptOutLevel) -> Route:
        """Answer what a route is at a level."""
        return self._twins[level][route.index]


def lower(exchange: Exchange, level: OptOutLevel) -> None:
    """Record an exchange at most at a level; the windows of its bodies are its route's affair."""
    exchange.flags |= CAPTURE_FLAGS[level]
    exchange.is_recorded = exchange.is_recorded and level != "none"


def make_opt_out(name: str, routes: RouteTable) -> OptOut | None:
    """Allow requests to ask for less by the header `name`; an empty one allows none to."""
    return OptOut(name, routes) if name else None
