"""Conversations: found by their newest matching calls, then added up by the index that has the
calls of each.

Strategy: the calls of a filter are walked in slices, newest first, until enough conversations are
met; each is then described by its own calls. A page begins behind a `seq`: a conversation with a
matching call after it was listed on a page before. Sums are those of all calls in the caller's
scope, above the purge floor.

Invariant: no call outside of the filter's scope is counted, shown or waited for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from storage.conversations import (
    FAILED_LEVEL,
    FIRST_REFUSAL,
    MAX_CALLS_READ,
    MAX_COST_USD,
    TOKENS,
    Conversation,
    ConversationPage,
    ConversationQuery,
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

_CHUNK: Final = 100
"""Conversations that are met, and described, at a time."""
_HAS_FAILED: Final = f"(level >= {FAILED_LEVEL} OR error_type <> {{none}})"
_IS_REFUSED: Final = f"(status >= {FIRST_REFUSAL} AND input_tokens IS NULL)"
FAILED: Final = f"sum(CASE WHEN {_HAS_FAILED} THEN 1 ELSE 0 END)"
ENDED_AT: Final = f"max(started_at_us + CASE WHEN kind = {EVENT} THEN 0 ELSE duration_us END)"
COST: Final = (
    f"coalesce(sum(CASE WHEN cost_usd >= {MAX_COST_USD} THEN {MAX_COST_USD} ELSE cost_usd END), 0)"
)
_SUMS: Final = ", ".join(
    (
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
        *(f"coalesce({token_sum(name)}, 0)" for name in TOKENS),
        "coalesce(max(weight), 0)",
    )
)
Met = dict[bytes, int]
"""Conversation → `seq` of its newest matching call, in falling order."""


async def read_conversations(session: Session, query: ConversationQuery) -> ConversationPage:
    filter = (await session.state()).visible(query.filter)
    if query.limit <= 0:
        return ConversationPage([], complete=True, next_before=None)

    walk = _Walk(session, replace(query, filter=filter))
    whole = (await seq_range(session, filter)).following(query.before, "desc")
    selected = await session.rows_by_seq(filter)
    if selected is None:
        return walk.page(complete=True)

    for part in slices(whole, "desc", Pace(selected.first_rows)):
        rest = part
        while not rest.is_empty:
            where = await selected.within(rest)
            met = None if where is None else await _meet(session, where)
            if met is None:
                return walk.page(complete=False)

            is_full = await walk.take(met)
            if is_full is not False:
                return walk.page(complete=is_full is True)

            if len(met) == _CHUNK:
                rest = Range(rest.first, min(met.values()) - 1)
            else:
                rest = Range(1, 0)

        walk.edge = part.first

    return walk.page(complete=True, is_end=True)


async def _meet(session: Session, where: Where) -> Met | None:
    sql = (
        f"SELECT conversation, max(seq) FROM {session.dialect.schema}records WHERE {where.text} "
        f"AND conversation IS NOT NULL GROUP BY conversation ORDER BY max(seq) DESC LIMIT {_CHUNK}"
    )
    found = await session.fetch_in_budget(sql, where.parameters)
    if found is None:
        return None

    return {session.dialect.to_id(number): seq for number, seq in found}


class _Walk:
    """What a walk through the calls of a filter has met so far."""

    def __init__(self, session: Session, query: ConversationQuery) -> None:
        self._session = session
        self._query = query
        self._seen: set[bytes] = set()
        self._found: list[tuple[int, Conversation]] = []
        self.edge: int | None = query.before
        """`seq` down to which everything was looked at."""

    async def take(self, met: Met) -> bool | None:
        """Take conversations by their newest matching calls; True when the page is full, and one
        more is there.

        None when the budget ended before it was known which of them a page before has.
        """
        new = {number: seq for number, seq in met.items() if number not in self._seen}
        self._seen |= new.keys()
        if new and self._query.before is not None:
            listed = await self._listed_before(new)
            if listed is None:
                return None
            for number in listed:
                del new[number]

        if new:
            described = await describe(self._session, self._query.filter, list(new))
        else:
            described = {}
        self._found += [
            (seq, described[number])
            for number, seq in new.items()
            if number in described and described[number].turns >= self._query.min_turns
        ]
        self.edge = min(met.values(), default=self.edge)
        return len(self._found) > self._query.limit

    def page(self, *, complete: bool, is_end: bool = False) -> ConversationPage:
        found = self._found[: self._query.limit]
        conversations = [conversation for _, conversation in found]
        if len(self._found) > self._query.limit:
            return ConversationPage(conversations, complete=True, next_before=found[-1][0])
        return ConversationPage(
            conversations, complete=complete, next_before=None if complete or is_end else self.edge
        )

    async def _listed_before(self, new: Met) -> list[bytes] | None:
        """Find those that a call after the cursor matches, too; None when the budget ended that."""
        before = self._query.before
        assert before is not None
        # Of the first that are met it is found out in any case, so that every page makes progress.
        if self.edge == before:
            session = self._session.limited(0.0)
        else:
            session = self._session
        filter = self._query.filter
        filter = replace(
            filter, where=both(filter.where, in_conversations(new)), seq_after=before - 1
        )
        selected = await session.rows_by_seq(filter)
        if selected is None:
            return []

        where = await selected.within(await seq_range(session, filter))
        if where is None:
            return None

        sql = (
            f"SELECT DISTINCT conversation FROM {session.dialect.schema}records WHERE {where.text}"
        )
        return [
            session.dialect.to_id(number)
            for (number,) in await session.fetch(sql, where.parameters)
        ]


async def describe(
    session: Session, filter: Filter, ids: Sequence[bytes]
) -> dict[bytes, Conversation]:
    """Add up the calls of conversations that a filter's scope shows; those without any are left
    out.
    """
    where = await calls_of(session, filter, ids)
    if where is None:
        return {}

    to_id = session.dialect.to_id
    table = f"{session.dialect.schema}records WHERE {where.text}"
    sums = await session.fetch(
        f"SELECT conversation, {_SUMS.format(none=session.dialect.none)} FROM {table} GROUP BY "
        "conversation",
        where.parameters,
    )
    seqs = {seq for row in sums for seq in row[3:6] if seq is not None}
    records = await _records(session, Where(table, where.parameters), seqs)
    models: dict[bytes, Counter[str]] = defaultdict(Counter)
    counted = await session.fetch(
        f"SELECT conversation, model, count(*) FROM {table} GROUP BY conversation, model",
        where.parameters,
    )
    names = await session.text_of({model for _, model, _ in counted})
    for number, model, calls in counted:
        if (name := names.get(model)) is not None:
            models[to_id(number)][name] += calls
    tools, failed_tools = await _tools(session, Where(table, where.parameters))
    return {
        to_id(row[0]): _conversation(to_id(row[0]), row[1:], records, models, tools, failed_tools)
        for row in sums
        if row[3] in records and row[4] in records
    }


async def calls_of(session: Session, filter: Filter, ids: Sequence[bytes]) -> Where | None:
    """Write the condition on all calls of conversations that a filter's scope shows; None when
    there are none.
    """
    floor_us = (await session.state()).purge_floor_us
    selected = await session.rows_by_seq(
        Filter(
            scope=filter.scope, where=in_conversations(ids), since_us=floor_us or None, kind="all"
        )
    )
    if selected is None:
        return None

    return await selected.within(await session.seq_ends())


def _conversation(
    number: bytes,
    row: Sequence[Any],
    records: Mapping[int, Record],
    models: Mapping[bytes, Counter[str]],
    tools: Mapping[bytes, Counter[str]],
    failed_tools: Mapping[bytes, Counter[str]],
) -> Conversation:
    (
        turns,
        failed,
        first,
        last,
        failure,
        began_at_us,
        ended_at_us,
        duration_us,
        counted,
        priced,
        cost_usd,
        *tokens,
        weight,
    ) = row
    return Conversation(
        id=number,
        first=records[first],
        last=records[last],
        failure=records.get(failure),
        turns=turns,
        failed=int(failed),
        began_at_us=began_at_us,
        ended_at_us=ended_at_us,
        duration_us=int(duration_us),
        counted=counted,
        priced=int(priced),
        tokens={name: int(total) for name, total in zip(TOKENS, tokens, strict=True)},
        cost_usd=float(cost_usd),
        models=most_frequent(models.get(number, Counter())),
        tools=most_frequent(tools.get(number, Counter())),
        failed_tools=most_frequent(failed_tools.get(number, Counter())),
        sampled=weight > 0,
    )


async def _tools(
    session: Session, table: Where
) -> tuple[dict[bytes, Counter[str]], dict[bytes, Counter[str]]]:
    """Count the tools that the newest calls of conversations called, and those that failed."""
    sql = (
        f"SELECT conversation, stream FROM {table.text} AND stream IS NOT NULL "
        f"{session.dialect.by_seq('desc')} LIMIT {MAX_CALLS_READ}"
    )
    tools: dict[bytes, Counter[str]] = defaultdict(Counter)
    failed: dict[bytes, Counter[str]] = defaultdict(Counter)

    for number, packed in await session.fetch(sql, table.parameters):
        stream = msgspec.msgpack.decode(session.dialect.to_bytes(packed), type=Stream)
        tools[session.dialect.to_id(number)].update(stream.tools or ())
        failed[session.dialect.to_id(number)].update(stream.failed_tools or ())

    return tools, failed


async def _records(session: Session, table: Where, seqs: Iterable[int]) -> dict[int, Record]:
    dialect = session.dialect
    among = dialect.among.format("seq", dialect.placeholder(len(table.parameters) + 1))
    sql = f"SELECT {dialect.record_columns} FROM {table.text} AND {among}"
    rows = await session.fetch(sql, (*table.parameters, dialect.number_list(sorted(seqs))))
    return {record.seq: record for record in await session.records(rows)}
