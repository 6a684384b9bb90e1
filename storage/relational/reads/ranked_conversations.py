"""Conversations by a figure, such as their cost: of all that a filter meets, those with the most of
it.

Strategy: all calls of a filter are walked, newest first, for the conversations they belong to. The
figure of each is added up from all of its calls by the index that has them, many conversations a
query, and only those that are shown are described. What the budget cuts is said: then older
conversations were not compared.

Invariant: as `storage.relational.reads.conversations`; a figure is the one that the description
shows.
"""

from collections.abc import Mapping
from heapq import nlargest
from typing import Final, NamedTuple

from storage.conversations import Conversation, ConversationPage, ConversationQuery, Sort
from storage.query import Filter
from storage.relational.reads.conversations import (
    COST,
    ENDED_AT,
    FAILED,
    calls_of,
    describe,
    read_conversations,
)
from storage.relational.reads.scan import scan
from storage.relational.session import Session
from storage.relational.sql import Rows
from storage.relational.usage import token_sum

_COMPARED: Final = 1000
"""Conversations whose figures are added up by a query."""
_DESCRIBED: Final = 100
_FIGURES: Final[Mapping[Sort, str]] = {
    "newest": "0",
    "cost": COST,
    "turns": "count(*)",
    "failures": FAILED,
    "tokens": f"coalesce({token_sum('input_tokens')}, 0) + coalesce({token_sum('output_tokens')}, 0)",
    "duration": f"{ENDED_AT} - min(started_at_us)",
}
"""As `storage.conversations.FIGURES`."""


class _Compared(NamedTuple):
    """One conversation, in the order in which they are compared."""

    figure: float
    newest_seq: int
    id: bytes


async def read_page(session: Session, query: ConversationQuery) -> ConversationPage:
    """Read a page of conversations in the order that is asked for."""
    return await (_read_ranked if query.is_of_all else read_conversations)(session, query)


async def _read_ranked(session: Session, query: ConversationQuery) -> ConversationPage:
    filter = (await session.state()).visible(query.filter)
    if query.limit <= 0:
        return ConversationPage([], complete=True, next_before=None)

    # Half of the time each, so that what was met is compared.
    finding = session.limited(session.budget.rest_s / 2)
    met, is_whole = await _meet(finding, filter)
    compared, is_compared = await _compare(session, query, filter, met)
    best = nlargest(query.limit, compared)
    found: dict[bytes, Conversation] = {}
    for start in range(0, len(best), _DESCRIBED):
        some = best[start : start + _DESCRIBED]
        found |= await describe(session, filter, [each.id for each in some])
    conversations = [found[each.id] for each in best if each.id in found]
    return ConversationPage(conversations, complete=is_whole and is_compared, next_before=None)


async def _meet(session: Session, filter: Filter) -> tuple[dict[bytes, int], bool]:
    """Find the conversations of matching calls with the newest of these, and whether they are all."""
    met: dict[bytes, int] = {}

    def add(rows: Rows) -> None:
        for number, seq in rows:
            met.setdefault(session.dialect.to_id(number), seq)

    select = "SELECT conversation, max(seq)"
    then = " AND conversation IS NOT NULL GROUP BY conversation"
    is_whole = await scan(session, filter, select, then, add)
    return met, is_whole


async def _compare(
    session: Session, query: ConversationQuery, filter: Filter, met: Mapping[bytes, int]
) -> tuple[list[_Compared], bool]:
    """Add up the figures of conversations that have as much as is asked for, and whether that is of
    all.
    """
    figures = f"count(*), {FAILED}, {COST}, {_FIGURES[query.sort]}".format(
        none=session.dialect.none
    )
    to_id = session.dialect.to_id
    ids = list(met)
    compared: list[_Compared] = []

    for start in range(0, len(ids), _COMPARED):
        where = await calls_of(session, filter, ids[start : start + _COMPARED])
        if where is None:
            continue

        sql = (
            f"SELECT conversation, {figures} FROM {session.dialect.schema}records WHERE "
            f"{where.text} "
            "GROUP BY conversation"
        )
        rows = await session.fetch_in_budget(sql, where.parameters)
        if rows is None:
            return compared, False

        compared += [
            _Compared(float(figure), met[to_id(number)], to_id(number))
            for number, turns, failed, cost_usd, figure in rows
            if turns >= query.min_turns
            and failed >= query.min_failed
            and cost_usd >= query.min_cost_usd
        ]

    return compared, True
