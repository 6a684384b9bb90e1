"""Conversations ranked by a figure, such as their cost.

Strategy: all calls of a filter are walked, newest first, for the conversations they belong to. The
figure of each is added up over all of its calls, which an index has, many conversations a query.
Only those shown are described. When the budget ends the walk, older conversations are not compared,
and the page is incomplete.

Invariant: that of `storage.relational.reads.conversations`. The figure compared is the one shown.
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
    NewestCalls,
    calls_of,
    describe,
    read_conversations,
)
from storage.relational.reads.scan import scan
from storage.relational.session import Session
from storage.relational.sql import Rows
from storage.relational.usage import token_sum

_COMPARED: Final = 1000
"""Conversations whose figures a query adds up."""
_DESCRIBED: Final = 100
"""Conversations that are described at a time."""
_FIGURES: Final[Mapping[Sort, str]] = {
    "newest": "0",
    "cost": COST,
    "turns": "count(*)",
    "failures": FAILED,
    "tokens": f"coalesce({token_sum('input_tokens')}, 0) + coalesce({token_sum('output_tokens')}, 0)",
    "duration": f"{ENDED_AT} - min(started_at_us)",
}
"""The figures of `storage.conversations.FIGURES` in SQL."""


class _Compared(NamedTuple):
    """A conversation, compared by its fields in this order."""

    figure: float
    newest_seq: int
    id: bytes


async def read_page(session: Session, query: ConversationQuery) -> ConversationPage:
    """Read a page of conversations, ranked or by their newest calls."""
    return await (_read_ranked if query.is_of_all else read_conversations)(session, query)


async def _read_ranked(session: Session, query: ConversationQuery) -> ConversationPage:
    filter = (await session.state()).visible(query.filter)
    if query.limit <= 0:
        return ConversationPage([], complete=True, next_before=None)

    # Half of the time is left to compare the conversations that were found.
    finding = session.limited(session.budget.rest_s / 2)
    newest, is_whole = await _newest_calls(finding, filter)
    compared, is_compared = await _compare(session, query, filter, newest)
    best = nlargest(query.limit, compared)

    found: dict[bytes, Conversation] = {}
    for start in range(0, len(best), _DESCRIBED):
        some = best[start : start + _DESCRIBED]
        found |= await describe(session, filter, [each.id for each in some])
    conversations = [found[each.id] for each in best if each.id in found]
    return ConversationPage(conversations, complete=is_whole and is_compared, next_before=None)


async def _newest_calls(session: Session, filter: Filter) -> tuple[NewestCalls, bool]:
    """Find the conversations of matching calls, and whether these are all."""
    newest: NewestCalls = {}

    def add(rows: Rows) -> None:
        for number, seq in rows:
            newest.setdefault(session.dialect.to_bytes(number), seq)

    select = "SELECT conversation, max(seq)"
    then = " AND conversation IS NOT NULL GROUP BY conversation"
    is_whole = await scan(session, filter, select, then, add)
    return newest, is_whole


async def _compare(
    session: Session, query: ConversationQuery, filter: Filter, newest: NewestCalls
) -> tuple[list[_Compared], bool]:
    """Add up the figures of conversations, but for those below the minima of the query.

    Returns:
        The conversations, and whether all were added up.
    """
    dialect = session.dialect
    figures = f"count(*), {FAILED}, {COST}, {_FIGURES[query.sort]}".format(none=dialect.none)
    ids = list(newest)
    compared: list[_Compared] = []

    for start in range(0, len(ids), _COMPARED):
        where = await calls_of(session, filter, ids[start : start + _COMPARED])
        if where is None:
            continue

        sql = (
            f"SELECT conversation, {figures} FROM {dialect.schema}records "
            f"WHERE {where.text} GROUP BY conversation"
        )
        rows = await session.fetch_in_budget(sql, where.parameters)
        if rows is None:
            return compared, False

        for number, turns, failed, cost_usd, figure in rows:
            if turns < query.min_turns or failed < query.min_failed:
                continue
            if cost_usd >= query.min_cost_usd:
                conversation = dialect.to_bytes(number)
                compared.append(_Compared(float(figure), newest[conversation], conversation))

    return compared, True
