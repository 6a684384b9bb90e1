"""The description that a ring carries: its routes by index, and the labels of all its records.

A ring outlives its worker, and a collector with another configuration may drain it. So it carries
the names for the numbers in its entries. Uses the standard library only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_ROUTE_KEYS = (
    "id",
    "service",
    "container",
    "project",
    "client",
    "provider",
    "tool_cost_usd",
    "auth",
    "key_header",
    "project_header",
    "user_header",
    "upstream",
)


@dataclass(frozen=True, slots=True)
class RouteLabels:
    """Labels that a route adds to the records of its exchanges. Empty settings are None."""

    id: str
    service: str | None
    container: str | None
    project: str | None
    client: str | None
    provider: str | None = None
    """Provider of the route; None is `auto`."""
    tool_cost_usd: dict[str, float] | None = None
    auth: str | None = None
    """`optional` or `required`; None if the route asks for no key."""
    key_header: str | None = None
    project_header: str | None = None
    user_header: str | None = None
    upstream: str | None = None
    """Upstream host, with the port if one is configured; None for a Unix socket."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The decoded description of a ring."""

    source: str
    stage: str | None
    routes: tuple[RouteLabels, ...]
    makes_traces: bool = False
    """True if requests without a trace context got one (`proxy/http1/trace_context.py`)."""


def write_descriptor(settings: Mapping[str, Any]) -> bytes:
    """Return the encoded descriptor of a worker's rings, made of the frozen settings as plain
    values.
    """
    routes = [{key: route.get(key) or None for key in _ROUTE_KEYS} for route in settings["routes"]]
    for route in routes:
        if route["auth"] == "off":
            route["auth"] = route["key_header"] = None
        route["upstream"] = urlsplit(route["upstream"] or "").netloc.rpartition("@")[2] or None

    proxy = settings["proxy"]
    document = {"source": proxy["source"], "stage": proxy["stage"] or None, "routes": routes}
    return json.dumps(document | {"makes_traces": proxy["trace_context"]}).encode()


def read_descriptor(raw: bytes) -> Descriptor:
    """Read a description. If it is damaged, the routes have no names, but no record is lost."""
    try:
        parsed = json.loads(raw)
        routes = tuple(
            RouteLabels(**{key: route.get(key) for key in _ROUTE_KEYS})
            for route in parsed["routes"]
        )
        return Descriptor(
            parsed["source"], parsed["stage"], routes, parsed.get("makes_traces") is True
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Descriptor("backend", None, ())
