"""Judges one run of a mutated response: what the client got is right, or a 502, or visibly broken,
and recorded once.

The invariant under test (http.md): never a clean end after a truncation, nothing of a malformed
head reaches the client, and a connection on which the upstream lied, or said more than asked, is
not used again.
"""

from random import Random
from typing import Final

from proxy.ring.exchange import NOTES_RESPONSE_TRAILERS, CapturedExchange
from tests.fuzz.parsers import Judge
from tests.fuzz.response_grammar import ResponseCase
from tests.fuzz.strict import Broken, Fields, Incomplete, Response, read_response
from tests.fuzz.trailers_judge import RESPONSE_ONLY, misjudged_trailers, passed_on
from tests.fuzz.world import Wire, World

SECOND: Final = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
HONEST: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest"
_RECORD_ID: Final = b"x-sidelog-id"
_FRAMING: Final = frozenset(
    b"connection keep-alive proxy-connection transfer-encoding content-length upgrade proxy-authenticate".split()
)


class _Run:
    """One client connection, its upstream that lies, and what came of it."""

    def __init__(self, world: World, case: ResponseCase) -> None:
        self.case = case
        self._world = world
        self._random = Random(case.order)
        self.reused = False
        self.second = b""
        self.was_open = False
        self.was_ended = False
        self.was_reset = False
        self.first = b""
        self.has_asked_again = False
        self.has_sent_all = not case.kept_back

    def go(self) -> list[CapturedExchange]:
        """Do it all; return the records."""
        world = self._world
        case = self.case
        client = world.client()
        client.deliver(case.request[: len(case.request) - case.kept_back])
        world.pump()
        if world.upstreams:
            self._lie(client, world.upstreams[0])
        self.first = bytes(client.written)
        self.was_reset = client.was_reset
        self._world.end_lingering()
        self.was_ended = client.is_closed or client.has_sent_eof
        self.was_open = not self.was_ended
        if self.was_open and self.has_sent_all:
            self._ask_again(client)
        client.end()
        world.pump()
        client.lose()
        world.pump()
        return world.records()

    def _lie(self, client: Wire, upstream: Wire) -> None:
        case = self.case
        random = self._random
        at = 0
        is_calm = random.random() < 0.7
        late = random.choice((0, len(case.cuts)))

        for number, cut in enumerate([*case.cuts, len(case.data)]):
            upstream.deliver(case.data[at:cut])
            at = cut
            if not is_calm:
                client.fill(is_full=random.random() < 0.3)
            if random.random() < 0.8:
                self._world.pump()
            if case.kept_back and number == late and random.random() < 0.7:
                client.deliver(case.request[-case.kept_back :])
                self.has_sent_all = True

        self._world.pump()
        if case.end != "stay":
            upstream.end(ConnectionResetError("reset") if case.end == "reset" else None)
        self._world.pump()
        client.fill(is_full=False)
        self._world.pump()

    def _ask_again(self, client: Wire) -> None:
        lied = self._world.upstreams[0]
        before = len(lied.written)
        self._world.on_upstream = lambda wire: setattr(
            wire, "on_write", lambda: self._world.soon(lambda: wire.deliver(HONEST))
        )
        lied.on_write = lambda: self._world.soon(lambda: lied.deliver(HONEST))
        self.has_asked_again = True
        client.deliver(SECOND)
        self._world.pump()
        self.second = bytes(client.written[len(self.first) :])
        self.reused = len(lied.written) > before


def run_response(world: World, judge: Judge, case: ResponseCase) -> str:
    """Run one input; return the violation it shows, or nothing."""
    try:
        run = _Run(world, case)
        records = run.go()
        return _Verdict(judge, case, run).find(records) or world.leftovers()
    except Exception as error:  # whatever it is, it is a finding
        return f"raised {error!r}"
    finally:
        world.clear()


class _Verdict:
    """Compares what the client got with what a strict reader makes of the upstream's bytes."""

    def __init__(self, judge: Judge, case: ResponseCase, run: _Run) -> None:
        self._judge = judge
        self._case = case
        self._run = run
        self._sent: Response | None = None
        self._objection = ""

        try:
            self._sent = read_response(
                case.data, case.method, has_ended=case.end == "close", is_sent=True
            )
        except Broken as error:
            self._objection = str(error)
        except Incomplete:
            pass

    def find(self, records: list[CapturedExchange]) -> str:
        """Return the first violation."""
        run = self._run
        try:
            got = read_response(
                run.first, self._case.method, has_ended=run.was_ended and not run.was_reset
            )
        except Incomplete:
            return self._judge_silence(records)
        except Broken as error:
            return f"the client got what is malformed: {error}"

        violation = self._judge_answer(got) or self._judge_second(got)
        if violation:
            return violation

        is_answered_twice = run.has_asked_again and bool(run.second) and got.status != 101
        if len(records) != 1 + is_answered_twice:
            return f"{len(records)} records of {1 + is_answered_twice} answered requests"
        if records[0].status != got.status:
            return f"answered {got.status}, recorded {records[0].status}"

        return self._judge_trailers(got, records[0])

    def _judge_trailers(self, got: Response, record: CapturedExchange) -> str:
        sent = self._sent
        if (
            sent is None
            or not sent.is_complete
            or not got.is_complete
            or got.values(b"x-sidelog-error")
        ):
            return ""

        noted = record.notes.get(NOTES_RESPONSE_TRAILERS[0], b"")
        passed = got.trailers
        if got.is_close_delimited:  # for a client that knows no chunks
            passed = passed_on(RESPONSE_ONLY, sent.fields, sent.trailers)
        return misjudged_trailers(RESPONSE_ONLY, sent.fields, sent.trailers, passed, noted)

    def _judge_silence(self, records: list[CapturedExchange]) -> str:
        """No answer is right only while the upstream may still give one."""
        if len(records) != 1:
            return f"{len(records)} records of one request"
        if self._run.was_ended:
            return "closed without an answer"
        if self._case.end != "stay" or self._sent is not None:
            return "no answer, though nothing more will come"

        return ""

    def _judge_answer(self, got: Response) -> str:
        sent = self._sent
        if got.values(b"x-sidelog-error"):
            return self._judge_own_answer(got)
        if got.status == 101:
            return self._judge_tunnel(got)
        if not got.is_complete:
            return self._judge_cut(got)
        if sent is None or not sent.is_complete:
            return f"a whole answer to a response that is none: {self._objection or 'cut'}"
        if (got.status, got.body) != (sent.status, sent.body):
            return f"got {got.status} {got.body!r}, sent {sent.status} {sent.body!r}"
        if got.rest:
            return f"more than one answer: {got.rest!r}"
        if not self._run.was_ended and not self._run.has_sent_all:
            return "the connection goes on within a request that nobody reads"

        gone = {b"trailer"} if b" HTTP/1.0\r\n" in self._case.request else set()
        return _compare_fields(sent, got, gone) or self._ask_parsers(got)

    def _judge_own_answer(self, got: Response) -> str:
        if got.status not in (502, 504) or not got.is_complete or got.rest:
            return f"our own answer is {got.status}, complete {got.is_complete}"
        if self._case.is_clean and self._sent is not None:
            return f"502 without need: {got.body!r}"
        return ""

    def _judge_tunnel(self, got: Response) -> str:
        if b"Upgrade: websocket" not in self._case.request:
            return "101 to a request that did not ask"
        if not self._case.data.endswith(got.rest):
            return "the tunnel changed bytes"
        return ""

    def _judge_cut(self, got: Response) -> str:
        """A part of a response: the connection is broken off, or more may come."""
        sent = self._sent
        if sent is not None and sent.is_complete:
            return f"cut a whole response: {got.body!r}"
        if sent is not None and not sent.is_complete and self._case.end == "stay":
            if self._run.was_open:
                return ""
            return "closed, though more may come"
        if self._run.was_open:
            return "the connection goes on after a cut response"
        if got.is_close_delimited and not self._run.was_reset:
            return "a cut response ends like a whole one"

        return ""

    def _judge_second(self, got: Response) -> str:
        """What follows on the client's connection is the answer to the second request, from a clean
        connection.
        """
        run = self._run
        sent = self._sent
        if got.status == 101 or not run.has_asked_again or not got.is_complete:
            return ""

        if run.second:
            try:
                second = read_response(run.second, b"GET", has_ended=False)
            except (Broken, Incomplete) as error:
                return f"the second answer is {error!r}: {run.second!r}"
            if second.status == 200 and second.body != b"honest":
                return f"the second answer is {second.body!r}"

        if run.reused and (
            sent is None or sent.rest or not sent.is_complete or sent.is_close_delimited
        ):
            return "used a connection again on which the upstream lied"

        return ""

    def _ask_parsers(self, got: Response) -> str:
        """Every other parser reads what we read."""
        data = self._run.first
        raw = got.raw_head + data.partition(got.raw_head)[2]
        try:
            found = self._judge.responses(raw, self._case.method)
        except Exception as error:  # each parser has errors of its own
            return f"a parser objects to what the client got: {error!r}"

        wrong = {name: what for name, what in found.items() if what != (got.status, got.body)}
        if wrong:
            return f"parsers disagree: {wrong}, strict: {got.status} {got.body!r}"

        return ""


def _compare_fields(sent: Response, got: Response, gone: set[bytes]) -> str:
    """The fields differ by hop-by-hop and our own ones; of those only ours is there, whatever the
    upstream sent.
    """
    named = {
        option.strip(b" \t").lower()
        for value in sent.values(b"connection")
        for option in value.split(b",")
    }
    expected = _without(sent.fields, named | _FRAMING | gone | {_RECORD_ID})
    found = _without(got.fields, named | _FRAMING)
    ours = [field for field in found if field[0] == _RECORD_ID]
    if not ours and _RECORD_ID not in named:
        return "no record id on the answer"

    if ours:
        found.remove(ours[0])
    if found != expected:
        return f"fields {expected} became {found}"

    return ""


def _without(fields: Fields, names: set[bytes] | frozenset[bytes]) -> Fields:
    return [field for field in fields if field[0] not in names]
