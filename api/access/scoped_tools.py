"""Tool calls as one caller may see them: the part of the scoped store that reads them."""

from dataclasses import replace

from api.access.principal import intersect, is_visible
from api.access.query_gate import QueryGate
from api.http.errors import Refused
from storage.base import Storage
from storage.query import Scope
from storage.record import ToolCall
from storage.tools import ToolFilter, ToolPage, ToolQuery, ToolStats, ToolStorage, ToolValues


class ScopedTools:
    """Puts the caller's scope on every question about tool calls; the store behind it is told by `ScopedStorage`."""

    _storage: Storage
    _gate: QueryGate

    @property
    def scope(self) -> Scope:
        """What the caller may see."""
        raise AssertionError("bug: the scoped store says this")

    async def tool_calls(self, query: ToolQuery) -> ToolPage:
        """Read one page, see `storage.tools.ToolStorage.tool_calls`."""
        query = replace(query, filter=self._narrow(query.filter))
        async with self._gate.turn():
            return await self._tools().tool_calls(query)

    async def tool_stats(self, filter: ToolFilter) -> ToolStats:
        """Count, see `storage.tools.ToolStorage.tool_stats`."""
        filter = self._narrow(filter)
        async with self._gate.turn():
            return await self._tools().tool_stats(filter)

    async def tool_values(self, scope: Scope) -> ToolValues:
        """List values, see `storage.tools.ToolStorage.tool_values`."""
        scope = intersect(scope, self.scope)
        async with self._gate.turn():
            return await self._tools().tool_values(scope)

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        """Read one call; one that is out of scope is not there."""
        async with self._gate.turn():
            call = await self._tools().tool_call(record_id, position)
        return call if call is not None and is_visible(call, self.scope) else None

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        """Read the calls of one record that are in scope; none where the store keeps no calls."""
        if not isinstance(self._storage, ToolStorage):
            return []
        async with self._gate.turn():
            calls = await self._storage.tool_calls_of(record_seq)
        return [call for call in calls if is_visible(call, self.scope)]

    def _narrow(self, filter: ToolFilter) -> ToolFilter:
        return replace(filter, scope=intersect(filter.scope, self.scope))

    def _tools(self) -> ToolStorage:
        if not isinstance(self._storage, ToolStorage):
            raise Refused(501, "this store keeps no tool calls")
        return self._storage
