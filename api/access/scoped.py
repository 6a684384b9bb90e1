"""The store as one caller may see it: the only way from a handler to records, so that no handler can forget the scope.

Strategy: every reading method that knows scopes puts the caller's on top. What a restricted caller asks of any other
method, also of one that is added to the store later, is refused. Payloads are found by `seq`, which says nothing about
whose it is: a restricted caller gets those of records it was shown by the same view.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from api.access.principal import Principal, intersect, is_visible, narrow
from api.access.query_gate import QueryGate
from api.access.scoped_tools import ScopedTools
from api.http.errors import OutOfScope
from storage.aggregates import FacetValue, Histogram, Summary
from storage.base import Storage
from storage.keys import ApiKey
from storage.purge import Erased
from storage.query import Count, Filter, Page, RecordQuery, Scope, Stats
from storage.record import Payload, Record


class ScopedStorage(ScopedTools):
    """A store seen by one caller during one request."""

    def __init__(self, storage: Storage, principal: Principal, gate: QueryGate) -> None:
        """Show `storage` to `principal`, a few queries of all callers at a time."""
        self._storage = storage
        self._principal = principal
        self._gate = gate
        self._shown: set[int] = set()

    @property
    def scope(self) -> Scope:
        """What the caller may see."""
        return self._principal.scope

    async def select(self, query: RecordQuery) -> Page:
        """Read one page, see `storage.base.Storage.select`."""
        query = replace(query, filter=narrow(query.filter, self.scope))
        async with self._gate.turn():
            page = await self._storage.select(query)
        self._show(page.records)
        return page

    async def count(self, filter: Filter) -> Count:
        """Count records, see `storage.base.Storage.count`."""
        filter = narrow(filter, self.scope)
        async with self._gate.turn():
            return await self._storage.count(filter)

    async def stats(self, scope: Scope) -> Stats:
        """Count entries, see `storage.base.Storage.stats`."""
        scope = intersect(scope, self.scope)
        async with self._gate.turn():
            return await self._storage.stats(scope)

    async def facets(self, filter: Filter, names: Sequence[str]) -> dict[str, list[FacetValue]]:
        """List values, see `storage.base.Storage.facets`."""
        filter = narrow(filter, self.scope)
        async with self._gate.turn():
            return await self._storage.facets(filter, names)

    async def histogram(self, filter: Filter, since_us: int, until_us: int, buckets: int) -> Histogram:
        """Count over time, see `storage.base.Storage.histogram`."""
        filter = narrow(filter, self.scope)
        async with self._gate.turn():
            return await self._storage.histogram(filter, since_us, until_us, buckets)

    async def summary(self, filter: Filter) -> Summary:
        """Add up, see `storage.base.Storage.summary`."""
        filter = narrow(filter, self.scope)
        async with self._gate.turn():
            return await self._storage.summary(filter)

    async def erase(self, filter: Filter) -> Erased:
        """Erase within what the caller may see, see `storage.base.Storage.erase`."""
        return await self._storage.erase(narrow(filter, self.scope))

    async def keys(self) -> list[ApiKey]:
        """Read the API keys of the caller's projects, and those that made records it may see."""
        keys = await self._storage.keys()
        if self._principal.is_unrestricted:
            return keys
        shown = {value.value for value in (await self.facets(Filter(), ("key",)))["key"]}
        return [key for key in keys if key.id in shown or (key.project or "") in self.scope.projects]

    async def get(self, record_id: bytes) -> Record | None:
        """Read one record; one that is out of scope is not there."""
        record = await self._storage.get(record_id)
        if record is None or not is_visible(record, self.scope):
            return None
        self._show([record])
        return record

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """Read payloads, see `storage.base.Storage.payloads`."""
        if not self._principal.is_unrestricted:
            seqs = [seq for seq in seqs if seq in self._shown]
        async with self._gate.turn():
            return await self._storage.payloads(seqs)

    async def last_seq(self) -> int:
        """Read the newest `seq`: a place, not a count of anybody's records."""
        return await self._storage.last_seq()

    def _show(self, records: Sequence[Record]) -> None:
        if not self._principal.is_unrestricted:
            self._shown.update(record.seq for record in records)

    def __getattr__(self, name: str) -> Any:
        """Hand everything else to callers from whom nothing is hidden.

        Raises:
            OutOfScope: others ask.
        """
        if not self._principal.is_unrestricted or self._principal.role != "admin":
            raise OutOfScope
        return getattr(self._storage, name)
