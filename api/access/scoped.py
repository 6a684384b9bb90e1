"""The store as one caller may see it.

Handlers reach records only this way, so none can forget the scope. Strategy: reads are narrowed to
the caller's scope. All other methods, including those added to the store later, are refused to a
restricted caller. Payloads are read by `seq`, which has no scope: a restricted caller gets those of
the records that the same view has shown it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from api.access.principal import Principal, intersect, narrow, owner_of
from api.access.query_gate import QueryGate
from api.http.errors import OutOfScope
from storage.aggregates import Names, Top, TopSeries, merged, most
from storage.base import Storage
from storage.conversations import ConversationPage, EarlyCall
from storage.keys import MAX_KEYS, ApiKey
from storage.purge import Erased
from storage.query import (
    Answer,
    FacetQuery,
    Filter,
    Page,
    Query,
    Scope,
    SeriesQuery,
    TopQuery,
    is_visible,
)
from storage.record import Payload, Record, ToolCall
from storage.search.reason import reason_of
from storage.search.view import PutView, View
from storage.tools import ToolFilter

COMPOSED_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "endpoint": ("method", "endpoint"),
    "error": ("error",),
    "failure": ("method", "endpoint", "error", "status", "message"),
}
"""Groups whose names are composed of several columns → the words of a search for these names."""

Narrowed = TypeVar("Narrowed", Filter, ToolFilter)


class ScopedStorage:
    """A store seen by one caller during one request. Methods work as in `storage.base.Storage`."""

    def __init__(self, storage: Storage, principal: Principal, gate: QueryGate) -> None:
        """Show `storage` to `principal`. `gate` limits the queries of all callers."""
        self._storage = storage
        self._principal = principal
        self._gate = gate
        self._shown_seqs: set[int] = set()

    @property
    def scope(self) -> Scope:
        """Scope of the caller."""
        return self._principal.scope

    async def read(self, query: Query[Answer]) -> Answer:
        """Answer a query within the caller's scope.

        Raises:
            OutOfScope: the query asks for another scope.
        """
        narrowed = replace(query, filter=self._narrow(query.filter))  # type: ignore[type-var]
        found = await self._gate.answer(narrowed, self._storage.read)
        return self._shown(query, found)

    def _narrow(self, filter: Narrowed) -> Narrowed:
        """Return a filter that matches only records in the caller's scope."""
        if isinstance(filter, ToolFilter):
            return replace(filter, scope=intersect(filter.scope, self.scope))
        return narrow(filter, self.scope)

    def _shown(self, query: Query[Answer], found: Answer) -> Answer:
        shown: Any = found
        match found:
            case Page(records):
                self._show(records)
            case ConversationPage(conversations):
                self._show([conversation.first for conversation in conversations])
                self._show([call for conversation in conversations for call in conversation.early])
            case Top(rows) if isinstance(query, TopQuery) and query.by in COMPOSED_GROUPS:
                shown = replace(found, rows=most(rows, partial(_group_names, query.by)))
            case TopSeries() if isinstance(query, SeriesQuery) and query.by in COMPOSED_GROUPS:
                shown = replace(found, counts=merged(found.counts, partial(_group_names, query.by)))

        return shown  # type: ignore[no-any-return]

    async def erase(self, filter: Filter) -> Erased:
        return await self._storage.erase(self._narrow(filter))

    async def erasing(self) -> int:
        """Return the number of erased records that are still left, of all scopes.

        No reader can see these records any more.
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
        """Return one record; None if it does not exist or is out of scope."""
        record = await self._storage.get(record_id)
        if record is None or not is_visible(record, self.scope):
            return None
        self._show([record])
        return record

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        """Return the ids of the records in scope that hold results of a batch or job that one
        record began.
        """
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
        """Return the end of the log: a position, which does not reveal other scopes' counts."""
        return await self._storage.last_seq()

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        """Return one call; None if it does not exist or is out of scope."""
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
        """Save a view of the caller's scope; `owner` is ignored."""
        return await self._storage.put_view(owner_of(self.scope), view, replaced)

    async def delete_view(self, owner: str, name: str) -> bool:
        """Delete a view of the caller's scope; `owner` is ignored."""
        return await self._storage.delete_view(owner_of(self.scope), name)

    def _show(self, records: Sequence[Record | EarlyCall]) -> None:
        if not self._principal.is_unrestricted:
            self._shown_seqs.update(record.seq for record in records)

    def __getattr__(self, name: str) -> Any:
        """Return any other method of the store to unrestricted admins.

        Raises:
            OutOfScope: the caller is another one.
        """
        if not self._principal.is_unrestricted or self._principal.role != "admin":
            raise OutOfScope
        return getattr(self._storage, name)


def _group_names(by: str, names: Names) -> Names:
    """Return the names of a group in `COMPOSED_GROUPS`.

    Endpoints of all routes and projects are merged, failures are named by their reason.
    """
    if by == "endpoint":
        return names[:2]

    message, error, outcome, status = (None, *names)[-4:]
    reason = reason_of(error, outcome, int(status) if status else None)
    if by == "error":
        return (reason,)

    return (*names[:2], reason, status, message)
