"""A sidelog that runs already: where its routes lead, and when it has stored all."""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from proxy.cli.commands.client import Client
from proxy.cli.commands.output import CommandError, Json
from proxy.cli.commands.run.providers import Plan

SETTLE_S: Final = 10.0
"""How long records may take to be stored before it is said what there is."""
POLL_S: Final = 0.1


def addresses_in(
    proxy: str, routes: Sequence[Json], planned: Plan, *, has_outgoing: bool
) -> dict[str, str]:
    """Return the address of each place that a sidelog has a route for; others stay as they are.

    Args:
        proxy: URL of its data port.
        routes: Of its settings, in their order.
        planned: What a sidelog of the run's own would have.
        has_outgoing: Whether it records outgoing calls, too.

    Raises:
        CommandError: it records nothing of these upstreams.
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
    """Return the path below which requests go to an upstream; None without such a route."""
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
    """Wait until nothing waits to be stored, for some seconds at most."""
    until_s = time.monotonic() + SETTLE_S
    while time.monotonic() < until_s:
        ledger = client.get_json("/api/ledger")
        if not ledger["waiting"] and not ledger["spooled"]:
            return
        time.sleep(POLL_S)
