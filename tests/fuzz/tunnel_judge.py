"""Judges one WebSocket session: bytes pass unchanged both ways, what was said is on record, and a
refusal stays HTTP.

The invariant under test (http.md, P7): nothing is relayed raw before the upstream has answered 101
to a request that asked for it; from then on every byte is, in order, whatever the frame scanner
makes of it.
"""

from itertools import pairwise
from random import Random
from typing import Final

from proxy.ring.exchange import OUTCOME_INDEX, CapturedExchange
from proxy.ring.message import IN, OUT, CapturedMessage
from storage.record import Outcome
from tests.fuzz.frames import Said, read_frames
from tests.fuzz.parsers import Judge
from tests.fuzz.strict import read_requests
from tests.fuzz.tunnel_grammar import SWITCHING, TunnelCase
from tests.fuzz.world import Wire, World

_OK: Final = OUTCOME_INDEX[Outcome.OK]
_CUT: Final = {
    "client": OUTCOME_INDEX[Outcome.CLIENT_CLOSED],
    "upstream": OUTCOME_INDEX[Outcome.TRUNCATED],
}


def run_tunnel(world: World, judge: Judge, case: TunnelCase) -> str:
    """Run one session; return the violation it shows, or nothing."""
    try:
        return _Session(world, case).find(judge) or world.leftovers()
    except Exception as error:  # whatever it is, it is a finding
        return f"raised {error!r}"
    finally:
        world.clear()


class _Session:
    """One client connection, its upstream, and what came of them."""

    def __init__(self, world: World, case: TunnelCase) -> None:
        self._world = world
        self._case = case
        self._random = Random(case.order)
        self._client = world.client()

    def find(self, judge: Judge) -> str:
        """Let it happen; return the first violation."""
        world = self._world
        case = self._case
        client = self._client
        client.deliver(case.handshake)
        world.pump()
        (upstream,) = world.upstreams
        head = bytes(upstream.written)

        if case.is_opened:
            self._talk(upstream)
            self._end(upstream)
            return self._judge_open(upstream, head, world.records(), world.messages())

        self._be_refused(upstream)
        return self._judge_refused(judge, world.records(), world.messages())

    def _talk(self, upstream: Wire) -> None:
        """Both sides say their piece, in any order; either may take nothing for a while."""
        case = self._case
        random = self._random
        asked = _pieces(case.data, case.cuts)
        replied = _pieces(case.reply, case.reply_cuts)
        for piece in asked[: case.early]:
            self._client.deliver(piece)
        asked = asked[case.early :]
        if random.random() < 0.3:
            upstream.deliver(case.opening + replied.pop(0))
        else:
            upstream.deliver(case.opening)

        while asked or replied:
            is_asking = bool(asked) and (not replied or random.random() < 0.5)
            (self._client if is_asking else upstream).deliver(
                (asked if is_asking else replied).pop(0)
            )
            wire = random.choice((self._client, upstream))
            wire.fill(is_full=random.random() < 0.2)
            if random.random() < 0.5:
                self._world.pump()

        for wire in (self._client, upstream):
            wire.fill(is_full=False)
        self._world.pump()

    def _end(self, upstream: Wire) -> None:
        match self._case.end:
            case "client ends":  # it closes its side; the upstream does the same when it sees that
                self._client.end()
                self._world.pump()
                if upstream.has_sent_eof:
                    upstream.end()
            case "client leaves":
                self._client.lose()
            case "client resets":
                self._client.end(ConnectionResetError("reset"))
            case "upstream ends":
                upstream.end()
            case "upstream resets":
                upstream.end(ConnectionResetError("reset"))

        self._world.pump()

    def _be_refused(self, upstream: Wire) -> None:
        for piece in _pieces(self._case.data, self._case.cuts):
            self._client.deliver(piece)
        upstream.deliver(self._case.opening)
        self._world.pump()
        self._client.lose()
        self._world.pump()

    def _judge_open(
        self,
        upstream: Wire,
        head: bytes,
        records: list[CapturedExchange],
        messages: list[CapturedMessage],
    ) -> str:
        case = self._case
        client = self._client
        if bytes(upstream.written[len(head) :]) != case.data:
            return f"the upstream got {bytes(upstream.written[len(head) :])[:200]!r}"

        answer, _, rest = bytes(client.written).partition(b"\r\n\r\n")
        if answer.startswith(b"HTTP/1.1 103"):
            answer, _, rest = rest.partition(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101 ") or rest != case.reply:
            return f"the client got {answer!r} {rest[:200]!r}"

        self._world.end_lingering()
        if not client.is_closed or not upstream.is_closed:
            return f"still open: client {not client.is_closed}, upstream {not upstream.is_closed}"
        if len(records) != 1:
            return f"{len(records)} records of one session"

        return self._judge_record(records[0], messages)

    def _judge_record(self, record: CapturedExchange, messages: list[CapturedMessage]) -> str:
        case = self._case
        sizes = (record.status, record.request_bytes, record.response_bytes)
        if sizes != (101, len(case.data), len(case.reply)):
            return f"recorded {sizes}, passed {len(case.data)} and {len(case.reply)}"

        max_bytes = self._world.settings.capture.message_bytes
        codes: set[int] = set()
        for direction, raw in ((IN, case.data), (OUT, case.reply)):
            expected = read_frames(raw, max_bytes)
            found = [
                Said(m.opcode, m.size, m.data, m.is_compressed)
                for m in messages
                if m.direction == direction
                for _ in range(m.times)
            ]
            if found != expected:
                return f"recorded {str(found)[:300]}, said {str(expected)[:300]}"

            closes = [said.data for said in expected if said.opcode == 8]
            codes.update(
                int.from_bytes(data[:2], "big") if len(data) > 1 else 0 for data in closes[:1]
            )

        if any(message.exchange_id != record.id for message in messages):
            return "a message belongs to another exchange"

        outcome = _OK if codes else _CUT[case.end.split()[0]]
        if record.outcome != outcome or (
            record.close_code not in codes if codes else record.close_code
        ):
            return (
                f"recorded outcome {record.outcome}, code {record.close_code}; expected "
                f"{outcome}, one of {codes}"
            )

        return ""

    def _judge_refused(
        self, judge: Judge, records: list[CapturedExchange], messages: list[CapturedMessage]
    ) -> str:
        """What follows a refused handshake is HTTP, or nothing."""
        if messages:
            return f"{len(messages)} messages of a tunnel that never was"
        targets = []
        for wire in self._world.upstreams:
            found = read_requests(bytes(wire.written), is_canonical=True)
            if found.objection or found.rest:
                return f"forwarded {found.rest[:200]!r} behind a refused handshake"

            violation = judge.disagreement(
                bytes(wire.written), [message.identity for message in found.messages]
            )
            if violation:
                return violation

            targets += [message.target for message in found.messages]

        asked = [
            message.target
            for message in read_requests(self._case.handshake + self._case.data).messages
        ]
        if targets != asked[: len(targets)] or not targets:
            return f"forwarded {targets}, asked for {asked}"

        expected = (
            502 if self._case.opening.startswith(SWITCHING[:12]) else int(self._case.opening[9:12])
        )
        if records[0].status != expected or not bytes(self._client.written).startswith(
            b"HTTP/1.1 %d " % expected
        ):
            return (
                f"recorded {records[0].status}, answered {bytes(self._client.written[:40])!r}, "
                f"expected {expected}"
            )

        return ""


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    return [data[begin:end] for begin, end in pairwise([0, *cuts, len(data)])]
