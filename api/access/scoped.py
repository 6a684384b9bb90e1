"""The store as one caller may see it: the only way from a handler to records, so that no handler
can forget the scope.

Strategy: reads are narrowed to the caller's scope. All other methods, those added to the store
later included, are refused to a restricted caller. Payloads are read by `seq`, which has no scope:
a restricted caller gets those of the records that the same view has shown it.

When the collector learns that an endpoint is part of another, it takes the other's name. Rows keep
the name they were stored with, so the view translates: rows to the present name, and a filter to
all names the endpoint has had. A former name counts only in records of the route and project it was
learned from, because another one may still have an endpoint of that name. Names learned from other
tenants' traffic are not used.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from api.access.principal import Principal, intersect, narrow, owner_of
from api.access.query_gate import QueryGate, is_short
from api.http.errors import OutOfScope
from storage.aggregates import Names, Top, TopSeries, merged, most
from storage.base import Storage
from storage.conversations import ConversationPage
from storage.keys import MAX_KEYS, ApiKey
from storage.purge import Erased
from storage.query import (
    Answer,
    FacetQuery,
    Filter,
    FormerEndpoints,
    Page,
    Query,
    Scope,
    SeriesQuery,
    TopQuery,
    is_visible,
)
from storage.record import Payload, Record, ToolCall
from storage.search.expression import Expression, Is, Leaf, either, with_leaves
from storage.search.reason import reason_of
from storage.search.view import PutView, View
from storage.tools import ToolFilter

Current = Callable[[str | None, str | None, str], str]
"""Route, project and name of a row → the endpoint's present name."""
Former = Callable[[str, Scope], Iterable[FormerEndpoints]]
"""Present name → all former names that a scope's traffic taught."""


async def _forget() -> None:
    """Nothing was learned."""


@dataclass(frozen=True, slots=True)
class EndpointNames:
    """Present and former names of endpoints."""

    current: Current = lambda route, project, name: name
    former: Former = lambda name, scope: ()
    forget: Callable[[], Awaitable[None]] = _forget
    """Called after an erasure: names that no record has any more must be forgotten."""


_RENAMED: Final = ("endpoint", "error", "failure")
"""Groups whose names differ from those in the rows."""

Narrowed = TypeVar("Narrowed", Filter, ToolFilter)


class ScopedStorage:
    """A store seen by one caller during one request; its methods mean what those of
    `storage.base.Storage` mean.
    """

    def __init__(
        self,
        storage: Storage,
        principal: Principal,
        gate: QueryGate,
        names: EndpointNames | None = None,
    ) -> None:
        """Show `storage` to `principal`, a few queries of all callers at a time; endpoints by their
        names of today.
        """
        self._storage = storage
        self._names = names or EndpointNames()
        self._principal = principal
        self._gate = gate
        self._shown_seqs: set[int] = set()

    @property
    def scope(self) -> Scope:
        """What the caller may see."""
        return self._principal.scope

    async def read(self, query: Query[Answer]) -> Answer:
        """Answer a query of what the caller may see; endpoints go by their names of today.

        Raises:
            OutOfScope: It asks for another scope.
        """
        narrowed = replace(query, filter=self._narrow(query.filter))  # type: ignore[type-var]
        async with self._gate.turn(is_long=not is_short(narrowed)):
            found = await self._storage.read(narrowed)
        return self._shown(query, found)

    def _narrow(self, filter: Narrowed) -> Narrowed:
        """Put the caller's scope on a filter, and look for endpoints under all names that they had
        within it.
        """
        if isinstance(filter, ToolFilter):
            return replace(filter, scope=intersect(filter.scope, self.scope))
        if filter.where is not None:
            filter = replace(filter, where=with_leaves(filter.where, self._with_former))
        return narrow(filter, self.scope)

    def _with_former(self, leaf: Leaf) -> Expression:
        match leaf:
            case Is("endpoint", values):
                return either((leaf, *(former.expression for former in self._former(values))))
            case _:
                return leaf

    def _former(self, names: Sequence[str]) -> Iterator[FormerEndpoints]:
        """Find the former names, once for each route and project: SQL nests alternatives."""
        found: dict[tuple[str | None, str | None], dict[str, None]] = {}
        for name in dict.fromkeys(names):
            for former in self._names.former(name, self.scope):
                found.setdefault((former.route, former.project), {}).update(
                    dict.fromkeys(former.names)
                )

        return (FormerEndpoints(*place, tuple(known)) for place, known in found.items())

    def _shown(self, query: Query[Answer], found: Answer) -> Answer:
        shown: Any = found
        match found:
            case Page(records):
                self._show(records)
            case ConversationPage(conversations):
                self._show([conversation.first for conversation in conversations])
            case Top(rows) if isinstance(query, TopQuery) and query.by in _RENAMED:
                shown = replace(found, rows=most(rows, partial(self._rename, query.by)))
            case TopSeries() if isinstance(query, SeriesQuery) and query.by in _RENAMED:
                shown = replace(found, counts=merged(found.counts, partial(self._rename, query.by)))

        return shown  # type: ignore[no-any-return]

    def _rename(self, by: str, names: Names) -> Names:
        """Call endpoints by their names of today, and failures by their reason.

        Beside endpoints these have the status and the message, too.
        """
        renamed: Names = ()
        if by != "error":
            method, name, route, project, *_ = names
            renamed = method, None if name is None else self._names.current(route, project, name)
        if by == "endpoint":
            return renamed

        message, error, outcome, status = (None, *names)[-4:]
        reason = reason_of(error, outcome, int(status) if status else None)
        if by == "error":
            return (*renamed, reason)

        return (*renamed, reason, status, message)

    async def erase(self, filter: Filter) -> Erased:
        return await self._storage.erase(self._narrow(filter))

    async def erasing(self) -> int:
        """Return how many erased records of all scopes are left: a count of what is hidden from all
        readers.
        """
        return await self._storage.erasing()

    async def keys(self) -> list[ApiKey]:
        """Return the API keys of the caller's projects, and those that made records it may see."""
        keys = await self._storage.keys()
        if self._principal.is_unrestricted:
            return keys

        shown = {
            value.value
            for value in (await self.read(FacetQuery(Filter(), ("key",), MAX_KEYS)))["key"]
        }
        return [key for key in keys if key.id in shown or key.project in self.scope.projects]

    async def get(self, record_id: bytes) -> Record | None:
        """Return one record; one that is out of scope is not there."""
        record = await self._storage.get(record_id)
        if record is None or not is_visible(record, self.scope):
            return None
        self._show([record])
        return record

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        """Return the ids of the records in scope that have the counts of what one record began."""
        return [
            found
            for found in await self._storage.answers_of(record_id)
            if await self.get(found) is not None
        ]

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        if not self._principal.is_unrestricted:
            seqs = [seq for seq in seqs if seq in self._shown_seqs]
        async with self._gate.turn():
            return await self._storage.payloads(seqs)

    @property
    def has_late_prefix(self) -> bool:
        return self._storage.has_late_prefix

    async def last_seq(self) -> int:
        """Return the end of the log: a position, which reveals no count of another scope's records."""
        return await self._storage.last_seq()

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        """Return one call; one that is out of scope is not there."""
        async with self._gate.turn():
            call = await self._storage.tool_call(record_id, position)
        if call is not None and is_visible(call, self.scope):
            return call
        return None

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        """Return the calls of one record that are in scope."""
        async with self._gate.turn():
            calls = await self._storage.tool_calls_of(record_seq)
        return [call for call in calls if is_visible(call, self.scope)]

    async def views(self, owner: str) -> list[View]:
        """Return the views of the caller's scope; `owner` is ignored."""
        async with self._gate.turn():
            return await self._storage.views(owner_of(self.scope))

    async def put_view(self, owner: str, view: View, replaced: str | None = None) -> PutView:
        """Keep a view of the caller's scope; `owner` is ignored."""
        return await self._storage.put_view(owner_of(self.scope), view, replaced)

    async def delete_view(self, owner: str, name: str) -> bool:
        """Delete a view of the caller's scope; `owner` is ignored."""
        return await self._storage.delete_view(owner_of(self.scope), name)

    def _show(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.endpoint is not None:
                record.endpoint = self._names.current(
                    record.route_id, record.project, record.endpoint
                )
        if not self._principal.is_unrestricted:
            self._shown_seqs.update(record.seq for record in records)

    def __getattr__(self, name: str) -> Any:
        """Give everything else to callers from whom nothing is hidden.

        Raises:
            OutOfScope: others ask.
        """
        if not self._principal.is_unrestricted or self._principal.role != "admin":
            raise OutOfScope
        return getattr(self._storage, name)
