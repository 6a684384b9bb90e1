"""Pages of conversations, in the order of their newest matching calls.

Strategy: the calls of a filter are walked in slices, newest first, until enough conversations are
found. Each is then described by the sums of its calls, which an index has: all calls in the
filter's scope above the purge floor, matching or not. The cursor is a `seq`: conversations with a
matching call from there on were listed on pages before.

Invariant: no call outside of the filter's scope is counted, shown or waited for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Self

import msgspec

from storage.conversations import (
    EARLY_CALLS,
    FAILED_LEVEL,
    FIRST_REFUSAL,
    MAX_CALLS_READ,
    MAX_COST_USD,
    TOKENS,
    Conversation,
    ConversationPage,
    ConversationQuery,
    EarlyCall,
    in_conversations,
    most_frequent,
)
from storage.query import Filter
from storage.record import Record, Stream
from storage.relational.reads.scan import seq_range
from storage.relational.session import Session
from storage.relational.slices import Pace, Range, slices
from storage.relational.sql import EVENT, Where
from storage.relational.usage import token_sum
from storage.search.expression import both

_MOST_AT_ONCE: Final = 100
"""Conversations that are found, and described, at a time."""
_LEAST_AT_ONCE: Final = 20
"""The same where a page has few: those with too few turns are not on it."""
_HAS_FAILED: Final = f"(level >= {FAILED_LEVEL} OR error_type <> {{none}})"
_IS_REFUSED: Final = f"(status >= {FIRST_REFUSAL} AND input_tokens IS NULL)"
FAILED: Final = f"sum(CASE WHEN {_HAS_FAILED} THEN 1 ELSE 0 END)"
ENDED_AT: Final = f"max(started_at_us + CASE WHEN kind = {EVENT} THEN 0 ELSE duration_us END)"
COST: Final = (
    f"coalesce(sum(CASE WHEN cost_usd >= {MAX_COST_USD} THEN {MAX_COST_USD} ELSE cost_usd END), 0)"
)
_SUMS: Final = ", ".join(
    (
        "conversation",
        "count(*)",
        FAILED,
        "min(seq)",
        "max(seq)",
        f"max(CASE WHEN {_HAS_FAILED} THEN seq END)",
        "min(started_at_us)",
        ENDED_AT,
        "sum(duration_us)",
        "count(input_tokens)",
        f"sum(CASE WHEN cost_usd IS NOT NULL OR {_IS_REFUSED} THEN 1 ELSE 0 END)",
        COST,
        "coalesce(max(weight), 0)",
        *(f"coalesce({token_sum(name)}, 0)" for name in TOKENS),
    )
)
NewestCalls = dict[bytes, int]
"""Conversation → `seq` of its newest matching call, in falling order."""


class _Sums(NamedTuple):
    """The sums of a conversation, in the order of `_SUMS`."""

    number: Any
    turns: int
    failed: int
    first_seq: int
    last_seq: int
    failure_seq: int | None
    began_at_us: int
    ended_at_us: int
    duration_us: int
    counted: int
    priced: int
    cost_usd: float
    max_weight: int
    tokens: Sequence[int]

    @classmethod
    def of(cls, row: Sequence[Any]) -> Self:
        """Name the columns of a row; the last ones are tokens."""
        tokens_from = len(row) - len(TOKENS)
        return cls._make((*row[:tokens_from], row[tokens_from:]))


async def read_conversations(session: Session, query: ConversationQuery) -> ConversationPage:
    filter = (await session.state()).visible(query.filter)
    if query.limit <= 0:
        return ConversationPage([], complete=True, next_before=None)

    walk = _Walk(session, replace(query, filter=filter))
    at_once = max(_LEAST_AT_ONCE, min(query.limit + 1, _MOST_AT_ONCE))
    whole = (await seq_range(session, filter)).following(query.before, "desc")
    selected = await session.rows_by_seq(filter)
    if selected is None:
        return walk.page(complete=True)

    for part in slices(whole, "desc", Pace(selected.first_rows)):
        rest = part
        while not rest.is_empty:
            where = await selected.within(rest)
            if where is None:
                newest = None
            else:
                newest = await _newest_calls(session, where, at_once)
            if newest is None or not await walk.take(newest):
                return walk.page(complete=False)
            if walk.is_full:
                return walk.page(complete=True)
            if len(newest) < at_once:
                break
            rest = Range(rest.first, min(newest.values()) - 1)

        walk.edge = part.first

    return walk.page(complete=True)


async def _newest_calls(session: Session, where: Where, limit: int) -> NewestCalls | None:
    """Find the conversations of the newest calls; None when the budget ended it."""
    sql = (
        f"SELECT conversation, max(seq) FROM {session.dialect.schema}records WHERE {where.text} "
        f"AND conversation IS NOT NULL GROUP BY conversation ORDER BY max(seq) DESC LIMIT {limit}"
    )
    found = await session.fetch_in_budget(sql, where.parameters)
    if found is None:
        return None
    return {session.dialect.to_bytes(number): seq for number, seq in found}


class _Walk:
    """The conversations that a walk through the calls of a filter has found so far."""

    def __init__(self, session: Session, query: ConversationQuery) -> None:
        self._session = session
        self._query = query
        self._seen: set[bytes] = set()
        self._found: list[tuple[int, Conversation]] = []
        self.edge: int | None = query.before
        """`seq` down to which all calls were read."""

    @property
    def is_full(self) -> bool:
        """Return True if more conversations were found than a page has."""
        return len(self._found) > self._query.limit

    async def take(self, newest: NewestCalls) -> bool:
        """Add conversations by their newest matching calls.

        False when the budget ended before it was known which of them were on a page before.
        """
        new = {number: seq for number, seq in newest.items() if number not in self._seen}
        self._seen |= new.keys()
        if new and self._query.before is not None:
            listed = await self._listed_before(new)
            if listed is None:
                return False
            for number in listed:
                del new[number]

        described: Mapping[bytes, Conversation] = {}
        if new:
            described = await describe(self._session, self._query.filter, list(new))
        for number, seq in new.items():
            conversation = described.get(number)
            if conversation is not None and conversation.turns >= self._query.min_turns:
                self._found.append((seq, conversation))

        self.edge = min(newest.values(), default=self.edge)
        return True

    def page(self, *, complete: bool) -> ConversationPage:
        """Return the first conversations; an incomplete page goes on at the edge."""
        found = self._found[: self._query.limit]
        conversations = [conversation for _, conversation in found]
        if self.is_full:
            return ConversationPage(conversations, complete=True, next_before=found[-1][0])
        next_before = None if complete else self.edge
        return ConversationPage(conversations, complete=complete, next_before=next_before)

    async def _listed_before(self, new: NewestCalls) -> list[bytes] | None:
        """List those with a matching call from the cursor on; None when the budget ended it."""
        before = self._query.before
        assert before is not None
        session = self._session
        if self.edge == before:
            # The first ones are looked up whatever the budget, so that every page makes progress.
            session = session.limited(0.0)
        filter = self._query.filter
        where_new = both(filter.where, in_conversations(new))
        filter = replace(filter, where=where_new, seq_after=before - 1)
        selected = await session.rows_by_seq(filter)
        if selected is None:
            return []

        where = await selected.within(await seq_range(session, filter))
        if where is None:
            return None
        table = f"{session.dialect.schema}records"
        sql = f"SELECT DISTINCT conversation FROM {table} WHERE {where.text}"
        rows = await session.fetch(sql, where.parameters)
        return [session.dialect.to_bytes(number) for (number,) in rows]


async def describe(
    session: Session, filter: Filter, ids: Sequence[bytes]
) -> dict[bytes, Conversation]:
    """Return conversations with the sums of their calls in a filter's scope. Conversations without
    a visible call are left out.
    """
    where = await calls_of(session, filter, ids)
    if where is None:
        return {}

    sql = (
        f"SELECT {_SUMS.format(none=session.dialect.none)} FROM {session.dialect.schema}records "
        f"WHERE {where.text} GROUP BY conversation"
    )
    found = [_Sums.of(row) for row in await session.fetch(sql, where.parameters)]
    shown = {seq for sums in found for seq in (sums.first_seq, sums.last_seq, sums.failure_seq)}
    records = await _records(session, where, [seq for seq in shown if seq is not None])
    early = await _early(session, where)
    models = await _models(session, where)
    tools, failed_tools = await _tools(session, where)

    described = {}
    for sums in found:
        first = records.get(sums.first_seq)
        last = records.get(sums.last_seq)
        if first is None or last is None:
            continue

        number = session.dialect.to_bytes(sums.number)
        described[number] = Conversation(
            id=number,
            first=first,
            early=early.get(number, ()),
            last=last,
            failure=None if sums.failure_seq is None else records.get(sums.failure_seq),
            turns=sums.turns,
            failed=int(sums.failed),
            began_at_us=sums.began_at_us,
            ended_at_us=sums.ended_at_us,
            duration_us=int(sums.duration_us),
            counted=sums.counted,
            priced=int(sums.priced),
            tokens=dict(zip(TOKENS, map(int, sums.tokens), strict=True)),
            cost_usd=float(sums.cost_usd),
            models=most_frequent(models[number]),
            tools=most_frequent(tools[number]),
            failed_tools=most_frequent(failed_tools[number]),
            sampled=sums.max_weight > 0,
        )

    return described


async def calls_of(session: Session, filter: Filter, ids: Sequence[bytes]) -> Where | None:
    """Write the condition on all calls of conversations in a filter's scope; None for none."""
    calls = Filter(scope=filter.scope, where=in_conversations(ids), kind="all")
    selected = await session.rows_by_seq((await session.state()).visible(calls))
    if selected is None:
        return None
    return await selected.within(await session.seq_ends())


async def _early(session: Session, where: Where) -> dict[bytes, tuple[EarlyCall, ...]]:
    """Find the calls behind the first ones, by conversation."""
    dialect = session.dialect
    table = f"{dialect.schema}records"
    first = dialect.first_of_each.format(
        column="conversation", rows=f"{table} WHERE {where.text}", limit=1 + EARLY_CALLS
    )
    found = await session.fetch(first, where.parameters)
    among = dialect.among.format("seq", dialect.placeholder(len(where.parameters) + 1))
    rows = await session.fetch(
        f"SELECT conversation, seq, request_bytes + response_bytes FROM {table} "
        f"WHERE {where.text} AND {among} ORDER BY seq",
        (*where.parameters, dialect.number_list(sorted(seq for (seq,) in found))),
    )

    calls: defaultdict[bytes, list[EarlyCall]] = defaultdict(list)
    for number, seq, size_bytes in rows:
        calls[dialect.to_bytes(number)].append(EarlyCall(seq, size_bytes))
    return {number: tuple(early[1:]) for number, early in calls.items()}


async def _models(session: Session, where: Where) -> defaultdict[bytes, Counter[str]]:
    """Count the models of calls, by conversation."""
    rows = await session.fetch(
        f"SELECT conversation, model, count(*) FROM {session.dialect.schema}records "
        f"WHERE {where.text} GROUP BY conversation, model",
        where.parameters,
    )
    names = await session.text_of({model for _, model, _ in rows})

    models: defaultdict[bytes, Counter[str]] = defaultdict(Counter)
    for number, model, calls in rows:
        name = names.get(model)
        if name is not None:
            models[session.dialect.to_bytes(number)][name] += calls
    return models


async def _tools(
    session: Session, where: Where
) -> tuple[defaultdict[bytes, Counter[str]], defaultdict[bytes, Counter[str]]]:
    """Count the tools that the newest calls called, and those that failed, by conversation."""
    dialect = session.dialect
    sql = (
        f"SELECT conversation, stream FROM {dialect.schema}records WHERE {where.text} "
        f"AND stream IS NOT NULL {dialect.by_seq('desc')} LIMIT {MAX_CALLS_READ}"
    )
    tools: defaultdict[bytes, Counter[str]] = defaultdict(Counter)
    failed: defaultdict[bytes, Counter[str]] = defaultdict(Counter)
    for number, packed in await session.fetch(sql, where.parameters):
        stream = msgspec.msgpack.decode(dialect.to_bytes(packed), type=Stream)
        tools[dialect.to_bytes(number)].update(stream.tools or ())
        failed[dialect.to_bytes(number)].update(stream.failed_tools or ())

    return tools, failed


async def _records(session: Session, where: Where, seqs: Iterable[int]) -> dict[int, Record]:
    dialect = session.dialect
    among = dialect.among.format("seq", dialect.placeholder(len(where.parameters) + 1))
    sql = (
        f"SELECT {dialect.record_columns} FROM {dialect.schema}records "
        f"WHERE {where.text} AND {among}"
    )
    rows = await session.fetch(sql, (*where.parameters, dialect.number_list(sorted(seqs))))
    return {record.seq: record for record in await session.records(rows)}
