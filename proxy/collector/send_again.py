"""Requests sent again from the web UI: to the upstream of their route, or to a target named in the
settings.

The settings alone decide where a request may go; a caller chooses among these places. Each name is
resolved once, metadata services of clouds are refused, and redirects are not followed. A request
sent again is counted and logged as an event, and its answer is redacted like a record.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from prometheus_client.metrics_core import Metric

from api.metrics.metrics import totals
from api.replay.request import Given, Outgoing, outgoing_of
from api.replay.sender import Answer, NoAnswer, Sender
from api.replay.suite import Recorded
from proxy.enrich.http.answer import recorded_answer
from proxy.enrich.records import redactor_of
from proxy.network.dial import is_metadata
from proxy.settings.addresses import UpstreamAddress, parse_upstream, parse_via, target_at
from proxy.settings.model import RouteSettings, Settings
from storage.record import Entry, Record, format_id

MAX_OPEN: Final = 4
"""Number of requests sent at the same time; others wait."""

log = logging.getLogger(__name__)


def is_sendable(address: str) -> bool:
    """Whether a request may go to an address. A name is judged by the addresses that it resolves
    to.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return True

    return not is_metadata(ip)


class Resender:
    """Sends requests again."""

    def __init__(
        self, settings: Settings, add_event: Callable[[str, dict[str, object]], None]
    ) -> None:
        self._routes = {route.id: route for route in settings.routes}
        self._rules = settings.proxy.headers.set_request
        self._redactor = redactor_of(settings)
        self._add_event = add_event
        self._room = asyncio.Semaphore(MAX_OPEN)
        self._sent: Counter[str] = Counter(answered=0, failed=0)

    def families(self) -> list[Metric]:
        name = "sent_again_total"
        text = "Recorded requests sent again from the web UI or the API, by result."
        return [totals(name, text, "result", self._sent)]

    async def send(self, caller: str, request: Entry, target: str) -> Entry:
        """Send a request to a target, or to the upstream of its route.

        Raises:
            ValueError: the route no longer exists, or does not cover the path.
            ConnectionError: the upstream did not answer.
        """
        record = request.record
        payload = request.payload
        outgoing = outgoing_of(Recorded(format_id(record.id), record, payload), Given())

        if target:
            route = None
        else:
            route = self._routes.get(record.route_id or "")
        if route is None and not target:
            raise ValueError(
                f"its route {record.route_id!r} is not configured here: choose a target"
            )

        address = parse_upstream(target or (route.upstream if route else ""))
        if route is not None:
            outgoing = _routed(
                route, address, record, outgoing, {**self._rules, **route.headers.set_request}
            )

        audit: dict[str, object] = {
            "by": caller,
            "record": format_id(record.id),
            "method": outgoing.method,
        }
        audit["path"] = self._redactor.redact_path((record.path or "").encode()).decode()
        audit["to"] = target or (route.upstream if route else "")

        try:
            async with self._room, _sender(address, route) as sender:
                answer = await sender.send(outgoing)
        except NoAnswer as error:
            self._note("failed", audit | {"error": str(error)})
            raise ConnectionError(str(error)) from error

        self._note("answered", audit | {"status": answer.status, "durationUs": answer.duration_us})
        return self._recorded(request, answer)

    def _note(self, result: str, audit: dict[str, object]) -> None:
        self._sent[result] += 1
        self._add_event("sent_again", audit)
        log.info("a recorded request was sent again: %s", result, extra=audit)

    def _recorded(self, request: Entry, answer: Answer) -> Entry:
        payload = recorded_answer(
            request.payload, answer.head, answer.body, answer.is_whole, self._redactor
        )
        began_us = answer.started_at_us
        took_us = answer.duration_us
        record = Record(
            1,
            b"",
            "",
            "exchange",
            began_us,
            began_us + took_us,
            status=answer.status,
            duration_us=took_us,
        )
        record.response_bytes = len(answer.body)
        return Entry(record, payload)


def _routed(
    route: RouteSettings,
    address: UpstreamAddress,
    record: Record,
    outgoing: Outgoing,
    rules: dict[str, str],
) -> Outgoing:
    """Build the request that a worker would send to the upstream.

    Raises:
        ValueError: the route does not cover the path.
    """
    prefix = route.path.rstrip("/")
    path = outgoing.target.partition("?")[0]
    if not f"{path}/".startswith(f"{prefix}/"):
        raise ValueError(
            f"the path {path!r} is none of route {route.id!r}, which has those below {route.path}"
        )

    asked = outgoing.target.encode(errors="surrogatepass")
    target = target_at(asked, route.strip_bytes, address.base_path.encode()).decode(
        errors="surrogatepass"
    )
    own = {name.lower() for name in rules} | (
        {route.key_header.lower()} if route.auth != "off" else set()
    )
    headers = [(name, value) for name, value in outgoing.headers if name.lower() not in own]
    headers += [(name, value) for name, value in rules.items() if value]
    host = route.upstream_host or (address.authority if address.scheme == "https" else record.host)
    return outgoing._replace(target=target, headers=[("Host", host), *headers] if host else headers)


def _sender(address: UpstreamAddress, route: RouteSettings | None) -> Sender:
    if address.scheme == "unix":
        return Sender("http://localhost", unix_path=address.path)
    tls: ssl.SSLContext | bool = True
    if route is not None and address.scheme == "https":
        tls = route.tls_context()
    if route is None or parse_via(route.via) is None:
        proxy = ""
    else:
        proxy = route.via
    return Sender(
        f"{address.scheme}://{address.authority}", tls, proxy=proxy, is_allowed=is_sendable
    )
