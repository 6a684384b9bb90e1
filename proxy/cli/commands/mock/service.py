"""The mock's answers to requests of any HTTP version."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from api.identity.match import Level, keys_of
from api.identity.places import NO_PLACES, RequestPlaces
from api.replay.suite import Recorded
from proxy.cli.commands.mock.calls import miss_reply as call_miss
from proxy.cli.commands.mock.index import Found, Index, Miss
from proxy.cli.commands.mock.recording import Asked, Reader, refusal_of, unconditional
from proxy.cli.commands.mock.reply import Reply
from proxy.cli.commands.mock.respond import matched, miss_reply, reply_to, said_of
from proxy.enrich.grpc.descriptors import NO_SCHEMA, Schema
from proxy.enrich.grpc.reader import is_grpc


class Service:
    """Answers from the exchanges of a suite."""

    def __init__(
        self,
        suite: Iterable[Recorded],
        least: Level = Level.SAME,
        places: RequestPlaces = NO_PLACES,
        schema: Schema = NO_SCHEMA,
    ) -> None:
        """Load a suite; accept matches of at least a strength, and ignore some paths."""
        self._reader = Reader(places, schema)
        self._least = least
        self._index = Index(least)
        self.left_out: Counter[str] = Counter()
        """Number of exchanges that cannot answer, by reason."""

        for number, recorded in enumerate(map(unconditional, suite)):
            if reason := refusal_of(recorded, self._reader.calls):
                self.left_out[reason] += 1
            else:
                self._index.add(self._reader.member(number, recorded))

        self._index.finish()

    @property
    def answers(self) -> int:
        """Return how many recorded exchanges may answer requests."""
        return len(self._index.members)

    def answer(self, method: str, target: str, host: str, head: bytes, body: bytes) -> Reply:
        """Return the reply to a received request, whose head is HTTP/1.1 text."""
        asked = self._reader.asked(method, target, host, head, body)
        found = self._index.find(asked)
        if is_grpc(asked.request.fields.get("content-type", "").encode()):
            return self._call(asked, found)

        if method == "HEAD" and not isinstance(found, Found):
            of_get = self._index.find(_as_get(asked))
            found = of_get if isinstance(of_get, Found) else found
        if isinstance(found, Found):
            return reply_to(asked, found)

        return miss_reply(asked, found, self._least)

    def _call(self, asked: Asked, found: Found | Miss) -> Reply:
        """Answer a call of gRPC."""
        if isinstance(found, Miss):
            return call_miss(said_of(asked, found, self._least))
        reply = self._reader.calls.reply(found.member.recorded)
        reply.fields.append(matched(asked, found))
        return reply


def _as_get(asked: Asked) -> Asked:
    """Return the GET that corresponds to a HEAD (RFC 9110 §9.3.2)."""
    request = asked.request._replace(document={**asked.request.document, "method": "GET"})
    return asked._replace(
        record=msgspec.structs.replace(asked.record, method="GET"),
        request=request,
        keys=keys_of(request),
    )
