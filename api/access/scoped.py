"""The store as one caller may see it: the only way from a handler to records, so that no handler can forget the scope.

Strategy: every reading method that knows scopes puts the caller's on top. What a restricted caller asks of any other
method, also of one that is added to the store later, is refused. Payloads are found by `seq`, which says nothing about
whose it is: a restricted caller gets those of records it was shown by the same view.

An endpoint that was learned to be a part of another has that one's name from then on. Rows keep the name that they were
stored with, so this translates: names of rows to those of today, and what is asked for to all names that it had: those
of before in records of the route and project that it was learned of, where others may have an endpoint of that name.
What other tenants' paths taught is not used for it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from api.access.principal import Principal, intersect, narrow, owner_of
from api.http.errors import OutOfScope, Refused
from storage.aggregates import (
    MAX_FACET_VALUES,
    FacetValue,
    Histogram,
    Names,
    Summary,
    Top,
    TopSeries,
    merged,
    most,
)
from storage.base import Storage
from storage.conversations import ConversationPage, ConversationQuery
from storage.keys import MAX_KEYS, ApiKey
from storage.purge import Erased
from storage.query import Count, Filter, FormerEndpoints, Page, RecordQuery, Scope, Stats, is_visible
from storage.record import Payload, Record, ToolCall
from storage.search.expression import Expression, Is, Leaf, one_of, with_leaves
from storage.search.reason import reason_of
from storage.search.view import PutView, View
from storage.tools import ToolFilter, ToolPage, ToolQuery, ToolStats, ToolValues

Current = Callable[[str | None, str | None, str], str]
"""Route, project and name of a row → the endpoint's present name."""
Former = Callable[[str, Scope], Iterable[FormerEndpoints]]
"""Present name → all former names that a scope's traffic taught."""


def _current(route: str | None, project: str | None, name: str) -> str:
    return name


def _former(name: str, scope: Scope) -> Iterable[FormerEndpoints]:
    return ()


async def _forget() -> None:
    """Nothing was learned."""


@dataclass(frozen=True, slots=True)
class EndpointNames:
    """How endpoints are called today, and were before."""

    current: Current = _current
    former: Former = _former
    forget: Callable[[], Awaitable[None]] = _forget
    """Called after an erasure: names that no record has any more must be forgotten."""


MAX_QUERIES: Final = 4
"""Queries that run at once: the store has that many readers."""
MAX_WAIT_S: Final = 2.0
"""How long others wait for their turn before they are refused."""

_RENAMED: Final = ("endpoint", "error", "failure")
"""Groups that are called otherwise than they are stored."""

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class QueryGate:
    """Lets some queries run at once; the others wait a little, then are refused with 503."""

    def __init__(self, max_queries: int = MAX_QUERIES, max_wait_s: float = MAX_WAIT_S) -> None:
        self._turns = asyncio.Semaphore(max_queries)
        self._max_wait_s = max_wait_s

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Refused: 503 with `Retry-After`, there was none in time.
        """
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Refused(503, "too many queries are running, try again", headers={"Retry-After": "1"}) from None
        try:
            yield
        finally:
            self._turns.release()


class ScopedStorage:
    """A store seen by one caller during one request; its methods mean what those of `storage.base.Storage` mean."""

    def __init__(
        self, storage: Storage, principal: Principal, gate: QueryGate, names: EndpointNames | None = None
    ) -> None:
        """Show `storage` to `principal`, a few queries of all callers at a time; endpoints by their names of today."""
        self._storage = storage
        self._names = names or EndpointNames()
        self._principal = principal
        self._gate = gate
        self._shown: set[int] = set()

    @property
    def scope(self) -> Scope:
        """What the caller may see."""
        return self._principal.scope

    async def select(self, query: RecordQuery) -> Page:
        page = await self._read(self._storage.select, replace(query, filter=self._narrow(query.filter)))
        self._show(page.records)
        return page

    def _narrow(self, filter: Filter) -> Filter:
        """Put the caller's scope on a filter, and look for endpoints under all names that they had within it."""
        if filter.where is not None:
            filter = replace(filter, where=with_leaves(filter.where, self._with_former))
        return narrow(filter, self.scope)

    def _with_former(self, leaf: Leaf) -> Expression:
        match leaf:
            case Is("endpoint", values):
                return one_of((leaf, *(former.expression for former in self._former(values)))) or leaf
            case _:
                return leaf

    def _former(self, names: Sequence[str]) -> Iterator[FormerEndpoints]:
        """Find the former names, once for each route and project: SQL nests alternatives."""
        found: dict[tuple[str | None, str | None], dict[str, None]] = {}
        for name in dict.fromkeys(names):
            for former in self._names.former(name, self.scope):
                found.setdefault((former.route, former.project), {}).update(dict.fromkeys(former.names))
        return (FormerEndpoints(*place, tuple(known)) for place, known in found.items())

    async def count(self, filter: Filter) -> Count:
        return await self._read(self._storage.count, self._narrow(filter))

    async def stats(self, scope: Scope) -> Stats:
        return await self._read(self._storage.stats, intersect(scope, self.scope))

    async def facets(
        self, filter: Filter, names: Sequence[str], *, limit: int = MAX_FACET_VALUES
    ) -> dict[str, list[FacetValue]]:
        return await self._read(partial(self._storage.facets, names=names, limit=limit), self._narrow(filter))

    async def histogram(self, filter: Filter, since_us: int, until_us: int, buckets: int) -> Histogram:
        read = partial(self._storage.histogram, since_us=since_us, until_us=until_us, buckets=buckets)
        return await self._read(read, self._narrow(filter))

    async def summary(self, filter: Filter, *, only_totals: bool = False) -> Summary:
        return await self._read(partial(self._storage.summary, only_totals=only_totals), self._narrow(filter))

    async def top(self, filter: Filter, by: str) -> Top:
        """Add up records; endpoints by their names of today, whichever route and project they are of."""
        found = await self._read(partial(self._storage.top, by=by), self._narrow(filter))
        return replace(found, rows=most(found.rows, partial(self._rename, by))) if by in _RENAMED else found

    async def top_series(self, filter: Filter, by: str, since_us: int, until_us: int, buckets: int) -> TopSeries:
        """Count records over time; endpoints by their names of today."""
        read = partial(self._storage.top_series, by=by, since_us=since_us, until_us=until_us, buckets=buckets)
        found = await self._read(read, self._narrow(filter))
        return replace(found, counts=merged(found.counts, partial(self._rename, by))) if by in _RENAMED else found

    def _rename(self, by: str, names: Names) -> Names:
        """Call endpoints by their names of today, and failures by their reason, beside endpoints with the status."""
        renamed: Names = ()
        if by != "error":
            method, name, route, project, *_ = names
            renamed = method, None if name is None else self._names.current(route, project, name)
        if by == "endpoint":
            return renamed
        error, outcome, status = names[-3:]
        reason = reason_of(error, outcome, int(status) if status else None)
        return (*renamed, reason) if by == "error" else (*renamed, reason, status)

    async def erase(self, filter: Filter) -> Erased:
        return await self._storage.erase(self._narrow(filter))

    async def erasing(self) -> int:
        """Return how many erased records of all scopes are left: a count of what is hidden from all readers."""
        return await self._storage.erasing()

    async def keys(self) -> list[ApiKey]:
        """Return the API keys of the caller's projects, and those that made records it may see."""
        keys = await self._storage.keys()
        if self._principal.is_unrestricted:
            return keys
        shown = {value.value for value in (await self.facets(Filter(), ("key",), limit=MAX_KEYS))["key"]}
        return [key for key in keys if key.id in shown or (key.project or "") in self.scope.projects]

    async def get(self, record_id: bytes) -> Record | None:
        """Return one record; one that is out of scope is not there."""
        record = await self._storage.get(record_id)
        if record is None or not is_visible(record, self.scope):
            return None
        self._show([record])
        return record

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        """Return the ids of the records in scope that have the counts of what one record began."""
        return [found for found in await self._storage.answers_of(record_id) if await self.get(found) is not None]

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        if not self._principal.is_unrestricted:
            seqs = [seq for seq in seqs if seq in self._shown]
        return await self._read(self._storage.payloads, seqs)

    @property
    def has_late_prefix(self) -> bool:
        return self._storage.has_late_prefix

    async def last_seq(self) -> int:
        """Return the end of the log: a position, which reveals no count of another scope's records."""
        return await self._storage.last_seq()

    async def tool_calls(self, query: ToolQuery) -> ToolPage:
        return await self._read(self._storage.tool_calls, replace(query, filter=self._narrow_tools(query.filter)))

    async def tool_stats(self, filter: ToolFilter) -> ToolStats:
        return await self._read(self._storage.tool_stats, self._narrow_tools(filter))

    async def tool_values(self, scope: Scope) -> ToolValues:
        return await self._read(self._storage.tool_values, intersect(scope, self.scope))

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        """Return one call; one that is out of scope is not there."""
        call = await self._read(partial(self._storage.tool_call, position=position), record_id)
        return call if call is not None and is_visible(call, self.scope) else None

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        """Return the calls of one record that are in scope."""
        calls = await self._read(self._storage.tool_calls_of, record_seq)
        return [call for call in calls if is_visible(call, self.scope)]

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        """Return a page of conversations, each with its calls in scope."""
        query = replace(query, filter=self._narrow(query.filter))
        page = await self._read(self._storage.conversations, query)
        self._show([conversation.first for conversation in page.conversations])
        return page

    async def views(self, owner: str) -> list[View]:
        """Return the views of the caller's scope; `owner` is ignored."""
        return await self._read(self._storage.views, owner_of(self.scope))

    async def put_view(self, owner: str, view: View, replaced: str | None = None) -> PutView:
        """Keep a view of the caller's scope; `owner` is ignored."""
        return await self._storage.put_view(owner_of(self.scope), view, replaced)

    async def delete_view(self, owner: str, name: str) -> bool:
        """Delete a view of the caller's scope; `owner` is ignored."""
        return await self._storage.delete_view(owner_of(self.scope), name)

    async def _read(self, read: Callable[[Asked], Awaitable[Found]], asked: Asked) -> Found:
        async with self._gate.turn():
            return await read(asked)

    def _narrow_tools(self, filter: ToolFilter) -> ToolFilter:
        return replace(filter, scope=intersect(filter.scope, self.scope))

    def _show(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.endpoint is not None:
                record.endpoint = self._names.current(record.route_id, record.project, record.endpoint)
        if not self._principal.is_unrestricted:
            self._shown.update(record.seq for record in records)

    def __getattr__(self, name: str) -> Any:
        """Give everything else to callers from whom nothing is hidden.

        Raises:
            OutOfScope: others ask.
        """
        if not self._principal.is_unrestricted or self._principal.role != "admin":
            raise OutOfScope
        return getattr(self._storage, name)
