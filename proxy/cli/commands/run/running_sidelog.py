"""A running sidelog: the addresses of its routes, and a wait until all records are stored."""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from proxy.cli.commands.client import Client
from proxy.cli.commands.output import CommandError, Json
from proxy.cli.commands.run.providers import Plan

SETTLE_S: Final = 10.0
"""Longest wait for records to be stored, before the summary."""
POLL_S: Final = 0.1


def addresses_in(
    proxy: str, routes: Sequence[Json], planned: Plan, *, has_outgoing: bool
) -> dict[str, str]:
    """Return the address of each place for which a sidelog has a route; other places are not
    changed.

    Args:
        proxy: URL of its data port.
        routes: The routes of its settings, in matching order.
        planned: The plan of this run.
        has_outgoing: Whether it also records outgoing calls.

    Raises:
        CommandError: it records none of these upstreams.
    """
    found = {}
    for place, target in planned.targets.items():
        base = _path_to(target.route.upstream, routes)
        if base is not None:
            found[place] = proxy.rstrip("/") + base + target.behind

    if not found and not has_outgoing:
        wanted = _names(target.route.upstream for target in planned.targets.values())
        there = _names(str(route["upstream"]) for route in routes) or "nowhere"
        text = f"the sidelog at {proxy} has no route to {wanted}"
        raise CommandError(f"{text}; its routes lead to {there}")

    return found


def _names(upstreams: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(upstreams))


def _path_to(upstream: str, routes: Sequence[Json]) -> str | None:
    """Return the path whose requests go to an upstream; None without a route."""
    for number, route in enumerate(routes):
        there = str(route["upstream"]).rstrip("/")
        is_plain = not route["host"] and (route["strip_prefix"] or route["path"] == "/")
        if is_plain and f"{upstream}/".startswith(f"{there}/"):
            path = str(route["path"]).rstrip("/") + upstream.removeprefix(there)
            before = routes[:number]
            if not any(not each["host"] and f"{path}/".startswith(each["path"]) for each in before):
                return path

    return None


def settled(client: Client) -> None:
    """Wait until all records are stored, for up to `SETTLE_S`."""
    until_s = time.monotonic() + SETTLE_S
    while time.monotonic() < until_s:
        ledger = client.get_json("/api/ledger")
        if not ledger["waiting"] and not ledger["spooled"]:
            return
        time.sleep(POLL_S)
