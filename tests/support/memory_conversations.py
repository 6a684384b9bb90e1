"""Conversations and top lists of the store without a disk: its records, grouped."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

from storage.aggregates import Top, TopSeries
from storage.conversations import Conversation, ConversationPage, ConversationQuery, conversation_of, in_conversations
from storage.query import Filter, RecordQuery
from storage.record import Payload, Record
from tests.support import memory_aggregates


class FindsConversations(ABC):
    """Answers of a `storage.conversations.ConversationQuery`, and the like, over what finds records."""

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
        return memory_aggregates.top(records, resolved, by, await self.payloads([record.seq for record in records]))

    async def top_series(self, filter: Filter, by: str, since_us: int, until_us: int, buckets: int) -> TopSeries:
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
                calls = Filter(kind="all", scope=query.filter.scope, where=in_conversations([record.conversation]))
                conversation = conversation_of(list(self._search(RecordQuery(filter=calls, order="asc"))))
                if conversation.turns >= query.min_turns:
                    met.append((record.seq, conversation))
        page = met[: query.limit]
        has_more = len(met) > query.limit > 0
        return ConversationPage(
            [each for _, each in page], complete=True, next_before=page[-1][0] if has_more else None
        )
