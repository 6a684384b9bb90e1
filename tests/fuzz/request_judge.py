"""Judges one run of a mutated request: what went upstream, what was recorded and what the client
got must be one story.

The invariant under test (http.md): any bytes are either refused and closed without touching the
upstream, or what is forwarded is read as the same list of messages by every strict parser, and
recorded as that list, each once.
"""

import re
from random import Random
from typing import Final

from proxy.ring.exchange import (
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    NOTES_REQUEST_TRAILERS,
    OUTCOME_INDEX,
    CapturedExchange,
)
from storage.record import Outcome
from tests.fuzz.answering import AnsweringUpstream
from tests.fuzz.parsers import Judge
from tests.fuzz.request_grammar import RequestCase
from tests.fuzz.routing import forwarded_target, route_of
from tests.fuzz.strict import Broken, Incomplete, Request, Requests, read_requests, read_response
from tests.fuzz.trailers_judge import REQUEST_ONLY, misjudged_trailers, passed_on
from tests.fuzz.world import Wire, World

_REJECTED: Final = OUTCOME_INDEX[Outcome.REJECTED]
_LEFT: Final = 499
"""The client left before the answer: here, because its input was over."""
_STATUSES: Final = frozenset((400, 404, 405, 408, 413, 414, 417, 431, 501, 505, 508))
_HOP_BY_HOP: Final = frozenset(
    (
        b"keep-alive", b"proxy-connection", b"te", b"proxy-authenticate", b"proxy-authorization", b"http2-settings",
    )
)  # fmt: skip
_OURS: Final = frozenset(
    b"host connection upgrade x-forwarded-for x-forwarded-proto x-forwarded-host x-request-id "
    b"x-sidelog-hop "
    b"content-length transfer-encoding cookie".split()
)


def run_request(world: World, judge: Judge, case: RequestCase) -> str:
    """Run one input; return the violation it shows, or nothing."""
    random = Random(case.answers)
    upstreams: list[AnsweringUpstream] = []
    world.on_upstream = lambda wire: upstreams.append(AnsweringUpstream(wire, random))

    client = world.client()
    try:
        has_left = _converse(world, case, client, random)
        world.end_lingering()
        is_closed = client.is_closed or client.has_sent_eof
        before = len(client.written)
        client.end()
        world.pump()
        client.lose()
        world.pump()
        records = world.records()
        answered = None if has_left else bytes(client.written[:before])
        upstreams.sort(key=lambda upstream: upstream.last_use)
        verdict = _Verdict(world, judge, case, records, upstreams, answered, is_closed=is_closed)
        return verdict.find() or world.leftovers()
    except Exception as error:  # whatever it is, it is a finding
        return f"raised {error!r}"
    finally:
        world.clear()


def _converse(world: World, case: RequestCase, client: Wire, random: Random) -> bool:
    """Let the input arrive; either side may take no bytes for a while. Return whether the client
    left early.
    """
    at = 0
    is_calm = random.random() < 0.7
    leaves_at = random.randrange(len(case.data) + 1) if random.random() < 0.1 else -1

    for cut in [*case.cuts, len(case.data)]:
        if 0 <= leaves_at <= cut:
            client.lose()
        client.deliver(case.data[at:cut])
        at = cut
        if not is_calm:
            for wire in (client, *world.upstreams):
                wire.fill(is_full=random.random() < 0.3)
        if random.random() < 0.7:
            world.pump()

    for _ in range(2):  # what is taken again may bring new connections
        for wire in (client, *world.upstreams):
            wire.fill(is_full=False)
        world.pump()

    return leaves_at >= 0


class _Verdict:
    """Compares what is known of one run."""

    def __init__(
        self,
        world: World,
        judge: Judge,
        case: RequestCase,
        records: list[CapturedExchange],
        upstreams: list[AnsweringUpstream],
        answered: bytes | None,
        *,
        is_closed: bool,
    ) -> None:
        self._routes = world.settings.routes
        self._scheme = b"https" if world.is_tls else b"http"
        self._judge = judge
        self._case = case
        self._records = records
        self._upstreams = upstreams
        self._answered = answered or b""
        self._has_left = answered is None
        self._is_closed = is_closed
        self._sent = read_requests(case.data)

    def find(self) -> str:
        """Return the first violation."""
        forwarded = [
            read_requests(upstream.forwarded, is_canonical=True) for upstream in self._upstreams
        ]
        cuts = zip(self._upstreams, forwarded, strict=True)
        rests = [b"" if upstream.has_cut_short else requests.rest for upstream, requests in cuts]
        return (
            self._check_forwarded(forwarded, rests)
            or self._check_records(self._messages())
            or self._check_refusals(rests)
            or self._check_parsers()
            or ("" if self._has_left else self._check_answers() or self._check_clean())
        )

    def _messages(self) -> list[tuple[int, Request]]:
        """What arrived, in the order in which it did, with the route whose upstream it arrived at."""
        found = [
            (when, u.wire.route, message) for u in self._upstreams for when, message in u.messages()
        ]
        return [(route, message) for _, route, message in sorted(found, key=lambda one: one[0])]

    def _check_forwarded(self, forwarded: list[Requests], rests: list[bytes]) -> str:
        """All that went upstream is well-formed, and at most the last message is cut but for those
        answered early.
        """
        if any(requests.objection for requests in forwarded):
            return f"forwarded what is malformed: {[r.objection for r in forwarded]}"
        if any(rests[:-1]):
            return "forwarded a cut message before another"
        return ""

    def _check_records(self, messages: list[tuple[int, Request]]) -> str:
        """Recorded, forwarded and sent are the same list."""
        accepted = [
            record
            for record in self._records
            if record.flags & FLAG_REQUEST_COMPLETE
            and record.outcome != _REJECTED
            # The client left before an upstream was there.
            and not (record.status == _LEFT and record.sent_ns < 0)
        ]
        if len(accepted) == len(messages) - 1 and messages[-1][1].is_cut:
            messages.pop()  # answered, and its client sent no more of it either
        if len(accepted) != len(messages):
            return f"{len(accepted)} accepted on record, {len(messages)} forwarded"

        for number, (record, (route, message)) in enumerate(zip(accepted, messages, strict=True)):
            if number >= len(self._sent.messages):
                return (
                    "accepted a request that a strict reader refuses: "
                    f"{self._sent.objection or 'cut'}"
                )
            violation = self._compare(self._sent.messages[number], record, route, message)
            if violation:
                return violation

        return ""

    def _compare(
        self, sent: Request, record: CapturedExchange, route: int, message: Request
    ) -> str:
        """One request as sent, recorded and forwarded."""
        target = _origin_form(sent.method, sent.target)
        belongs = route_of(self._routes, _authority(sent), target)
        if not belongs == route == record.route:
            return (
                f"{target!r} belongs to route {belongs}, was sent to {route}, recorded as "
                f"{record.route}"
            )

        body = sent.body[: len(message.body)] if message.is_cut else sent.body
        if (sent.method, forwarded_target(self._routes[route], target), body) != message.identity:
            return f"sent {sent.identity}, forwarded {message.identity}"

        noted = record.notes.get(NOTES_REQUEST_TRAILERS[0], b"")
        passed = (
            passed_on(REQUEST_ONLY, sent.fields, sent.trailers)
            if message.is_cut
            else message.trailers
        )
        if violation := misjudged_trailers(REQUEST_ONLY, sent.fields, sent.trailers, passed, noted):
            return violation

        method, recorded = record.request_head.split(b" ")[:2]
        if (method, _origin_form(method, recorded), record.request_window) != (
            sent.method,
            target,
            sent.body,
        ):
            return f"recorded {method, recorded, record.request_window!r}, sent {sent.identity}"
        if bool(record.flags & FLAG_TLS) is not (self._scheme == b"https"):
            return f"recorded flags {record.flags} over {self._scheme!r}"
        if message.values(b"x-forwarded-proto") != [self._scheme]:
            return f"forwarded {message.values(b'x-forwarded-proto')} over {self._scheme!r}"

        return _compare_fields(sent, message)

    def _check_refusals(self, rests: list[bytes]) -> str:
        """A refusal is the end, has its status, and a head that is refused leaves nothing upstream."""
        refused = [record for record in self._records if record.outcome == _REJECTED]
        if len(refused) > 1 or (refused and refused[0] is not self._records[-1]):
            return "went on after a refusal"

        rest = rests[-1] if rests else b""
        if refused:
            if refused[0].status not in _STATUSES:
                return f"refused with {refused[0].status}"
            if not self._is_closed:
                return "refused without closing"
            if refused[0].sent_ns < 0 and rest:
                return f"refused, yet forwarded {rest!r}"
        elif rest and (not self._records or self._records[-1].flags & FLAG_REQUEST_COMPLETE):
            return f"forwarded {rest!r} that nothing on record explains"

        return ""

    def _check_parsers(self) -> str:
        """Every other parser reads what we read."""
        for upstream in self._upstreams:
            whole = read_requests(upstream.forwarded)
            data = upstream.forwarded[: len(upstream.forwarded) - len(whole.rest)]
            expected = [message.identity for message in whole.messages]
            if violation := self._judge.disagreement(data, expected):
                return violation

        return ""

    def _check_answers(self) -> str:
        """The client reads one answer to each request, in order, with the recorded status."""
        data = self._answered
        for record in self._records:
            if record.status == _LEFT:
                continue
            method = record.request_head.split(b" ")[0]
            try:
                answer = read_response(
                    data, method if method == b"HEAD" else b"GET", has_ended=self._is_closed
                )
            except (Broken, Incomplete) as error:
                return f"the answer is {error!r}: {data[:200]!r}"

            if answer.status != record.status or not answer.is_complete:
                return f"answered {answer.status} ({answer.is_complete}), recorded {record.status}"

            data = answer.rest

        if data and not any(upstream.tunnel_at >= 0 for upstream in self._upstreams):
            return f"answered more than asked: {data[:200]!r}"

        return ""

    def _check_clean(self) -> str:
        """What is in order is not refused, and not forgotten."""
        if not self._case.is_clean:
            return ""
        if any(record.outcome == _REJECTED for record in self._records):
            return f"refused without need: {self._answered[-300:]!r}"

        answered = sum(record.status != _LEFT for record in self._records)
        has_tunnel = any(upstream.tunnel_at >= 0 for upstream in self._upstreams)
        if not self._is_closed and not has_tunnel and answered != len(self._sent.messages):
            return f"{answered} of {len(self._sent.messages)} requests were answered"

        return ""


def _origin_form(method: bytes, target: bytes) -> bytes:
    """The path of an absolute-form target, else the target."""
    if target.startswith(b"/") or b"://" not in target:
        return target
    _, _, rest = target.partition(b"://")
    at = min((found for mark in b"/?" if (found := rest.find(mark)) >= 0), default=len(rest))
    path = rest[at:]
    if not path:
        return b"*" if method == b"OPTIONS" else b"/"

    return path if path.startswith(b"/") else b"/" + path


def _authority(sent: Request) -> bytes:
    """Whom a request is for: the authority of an absolute-form target wins over Host."""
    if not sent.target.startswith(b"/") and b"://" in sent.target:
        return re.split(rb"[/?]", sent.target.partition(b"://")[2])[0]
    return (sent.values(b"host") or [b""])[0]


def _compare_fields(sent: Request, message: Request) -> str:
    """The fields differ by the documented list, and by nothing else (P1, P11)."""
    named = {
        option.strip(b" \t").lower()
        for value in sent.values(b"connection")
        for option in value.split(b",")
    }
    twins = {name.replace(b"-", b"_") for name in _HOP_BY_HOP | _OURS if b"-" in name}
    gone = named | _HOP_BY_HOP | _OURS | twins
    expected = [field for field in sent.fields if field[0] not in gone]
    found = [field for field in message.fields if field[0] not in _OURS and field[0] != b"te"]
    if found != expected:
        return f"fields {expected} became {found}"

    for name in (
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-request-id",
        b"x-sidelog-hop",
    ):
        if len(message.values(name)) != 1:
            return f"{len(message.values(name))} fields {name!r} forwarded"

    if not message.values(b"x-forwarded-for")[0].endswith(b"10.0.0.1"):
        return "our own address is not in X-Forwarded-For"
    if message.values(b"connection") not in ([], [b"Upgrade"], [b"TE"]) or message.values(
        b"upgrade"
    ) not in (
        [],
        [b"websocket"],
    ):
        return "forwarded a connection option of the client's"

    options = {
        option.strip(b" \t").lower() for value in sent.values(b"te") for option in value.split(b",")
    }
    is_asked = b"trailers" in options and not message.values(b"upgrade")
    if (message.values(b"te"), message.values(b"connection") == [b"TE"]) != (
        [b"trailers"] * is_asked,
        is_asked,
    ):
        return f"TE {sent.values(b'te')} became {message.values(b'te')}"

    return ""
