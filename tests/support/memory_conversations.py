"""Conversations and top lists of the store without a disk: its records, grouped."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from storage.aggregates import Top, TopSeries
from storage.conversations import (
    EARLY_CALLS,
    FIGURES,
    FIRST_REFUSAL,
    MAX_CALLS_READ,
    MAX_COST_USD,
    MAX_TOKENS,
    TOKENS,
    Conversation,
    ConversationPage,
    ConversationQuery,
    EarlyCall,
    has_failed,
    in_conversations,
    most_frequent,
)
from storage.query import Filter, RecordQuery
from storage.record import Payload, Record
from tests.support import memory_aggregates


class FindsConversations(ABC):
    """Answers of a `storage.conversations.ConversationQuery`, and the like, over what finds
    records.
    """

    @abstractmethod
    def _resolved(self, filter: Filter) -> Filter:
        """Look up what the records themselves do not tell."""

    @abstractmethod
    def _search(self, query: RecordQuery) -> Iterator[Record]:
        """Find records of such a filter, in the order of the query, without regard to its limit."""

    @abstractmethod
    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]: ...

    async def top(self, filter: Filter, by: str) -> Top:
        resolved = replace(self._resolved(filter), kind="exchange")
        records = list(self._search(RecordQuery(filter=resolved)))
        return memory_aggregates.top(
            records, resolved, by, await self.payloads([record.seq for record in records])
        )

    async def top_series(
        self, filter: Filter, by: str, since_us: int, until_us: int, buckets: int
    ) -> TopSeries:
        resolved = replace(self._resolved(filter), kind="exchange")
        found = list(self._search(RecordQuery(filter=resolved)))
        return memory_aggregates.top_series(found, resolved, by, since_us, until_us, buckets)

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        met: list[tuple[int, Conversation]] = []
        seen: set[bytes] = set()
        for record in self._search(RecordQuery(filter=self._resolved(query.filter))):
            if record.conversation is None or record.conversation in seen:
                continue
            seen.add(record.conversation)
            if query.before is None or record.seq < query.before:
                calls = Filter(
                    kind="all",
                    scope=query.filter.scope,
                    where=in_conversations([record.conversation]),
                )
                conversation = conversation_of(
                    list(self._search(RecordQuery(filter=calls, order="asc")))
                )
                if conversation.turns >= query.min_turns:
                    met.append((record.seq, conversation))

        if query.is_of_all:
            return ConversationPage(
                _ranked(query, [each for _, each in met]), complete=True, next_before=None
            )

        page = met[: query.limit]
        has_more = len(met) > query.limit > 0
        return ConversationPage(
            [each for _, each in page], complete=True, next_before=page[-1][0] if has_more else None
        )


def _ranked(query: ConversationQuery, newest_first: Sequence[Conversation]) -> list[Conversation]:
    enough = [
        each
        for each in newest_first
        if each.failed >= query.min_failed and each.cost_usd >= query.min_cost_usd
    ]
    if query.sort != "newest":
        enough.sort(key=FIGURES[query.sort], reverse=True)
    return enough[: max(query.limit, 0)]


def _is_priced(record: Record) -> bool:
    is_refused = (
        record.status is not None and record.status >= FIRST_REFUSAL and record.input_tokens is None
    )
    return record.cost_usd is not None or is_refused


def _ended_at_us(record: Record) -> int:
    """Return when a call ended; over a WebSocket it is the message that ends it, whose time is the
    end.
    """
    return record.started_at_us + (0 if record.kind == "event" else record.duration_us)


def _tools(records: Sequence[Record], member: str) -> dict[str, int]:
    """Count the tools that a member of `Stream` names in the newest calls."""
    streams = [record.stream for record in records[-MAX_CALLS_READ:] if record.stream is not None]
    return most_frequent(
        Counter(name for stream in streams for name in getattr(stream, member) or ())
    )


def conversation_of(records: Sequence[Record]) -> Conversation:
    """Add up the calls of a conversation, given in the order of `seq`."""
    assert records[0].conversation is not None, "bug: a record of no conversation"
    failures = [record for record in records if has_failed(record)]
    return Conversation(
        id=records[0].conversation,
        first=records[0],
        early=tuple(
            EarlyCall(record.seq, record.request_bytes + record.response_bytes)
            for record in records[1 : 1 + EARLY_CALLS]
        ),
        last=records[-1],
        failure=failures[-1] if failures else None,
        turns=len(records),
        failed=len(failures),
        began_at_us=min(record.started_at_us for record in records),
        ended_at_us=max(map(_ended_at_us, records)),
        duration_us=sum(record.duration_us for record in records),
        counted=sum(record.input_tokens is not None for record in records),
        priced=sum(map(_is_priced, records)),
        tokens={
            name: sum(min(getattr(record, name) or 0, MAX_TOKENS) for record in records)
            for name in TOKENS
        },
        cost_usd=sum(min(record.cost_usd or 0.0, MAX_COST_USD) for record in records),
        sampled=any(record.weight != 1 for record in records),
        models=most_frequent(
            Counter(record.model for record in records if record.model is not None)
        ),
        tools=_tools(records, "tools"),
        failed_tools=_tools(records, "failed_tools"),
    )
