"""Tool calls of the store without a disk: a list, searched by `storage.tools.matches`."""

from collections.abc import Container, Iterable

import msgspec

from storage.errors import StorageRejected
from storage.query import Scope
from storage.record import Entry, ToolCall
from storage.tools import (
    ToolFilter,
    ToolKey,
    ToolPage,
    ToolQuery,
    ToolStats,
    ToolValues,
    awaited_calls,
    ended_calls,
    matches,
    sort_key,
)


class MemoryTools:
    """The calls of one store, in the order of storing."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, ToolCall]] = []
        """The seq of the record each was stored with, and the call."""

        self._ids: set[tuple[bytes, int]] = set()
        self._waiting: dict[tuple[bytes, int], tuple[str, ToolCall]] = {}
        """Calls whose answer is awaited, and the sidecars that await it."""

    def check(self, entry: Entry) -> None:
        """Refuse an entry with a call that is stored already, or that no store can hold.

        Raises:
            StorageRejected: saying which.
        """
        for call in entry.tool_calls:
            if call.status != "processing" and (call.record_id, call.position) in self._ids:
                raise StorageRejected(
                    f"tool call {call.record_id.hex()}.{call.position} is stored already"
                )

            try:
                for value in msgspec.structs.astuple(call):
                    if isinstance(value, str):
                        value.encode()
            except UnicodeEncodeError as error:
                raise StorageRejected(f"a value cannot be stored: {error!r}") from error

    def add(self, seq: int, entry: Entry) -> None:
        """Keep copies of an entry's calls."""
        for call in ended_calls(entry):
            self._calls.append((seq, msgspec.structs.replace(call)))
            self._ids.add((call.record_id, call.position))
            self._waiting.pop((call.record_id, call.position), None)

        for call in awaited_calls(entry):
            if (call.record_id, call.position) not in self._ids:
                self._waiting[call.record_id, call.position] = (
                    entry.record.instance,
                    msgspec.structs.replace(call),
                )

    def waiting(self, instance: str) -> list[ToolCall]:
        """List copies of the calls whose answer a sidecar awaits."""
        return [
            msgspec.structs.replace(call)
            for whose, call in self._waiting.values()
            if whose == instance
        ]

    def remove(self, seqs: Container[int], ids: Container[bytes]) -> None:
        """Forget the calls of records that are gone, by the seq they were stored with, and by the
        id that asked.
        """
        self._waiting = {key: call for key, call in self._waiting.items() if key[0] not in ids}
        self._calls = [
            (seq, call) for seq, call in self._calls if not (seq in seqs or call.record_id in ids)
        ]
        self._ids = {(call.record_id, call.position) for _, call in self._calls}

    def visible(
        self, purge_floor_us: int, body_floor_us: int, bodies_through_seq: int = 0
    ) -> Iterable[tuple[int, ToolCall]]:
        """List copies of what readers may see."""
        for seq, call in self._calls:
            if call.started_at_us >= body_floor_us and seq > bodies_through_seq:
                yield seq, msgspec.structs.replace(call)
            elif call.started_at_us >= purge_floor_us:
                bare = {
                    "arguments": None,
                    "result": None,
                    "error_details": None,
                    "metadata": b"{}",
                    "search": "",
                }
                yield seq, msgspec.structs.replace(call, **bare)


def page_of(calls: Iterable[ToolCall], query: ToolQuery) -> ToolPage:
    """Make a page of calls that are in the order of storing."""
    found = [call for call in calls if matches(query.filter, call)]
    found.sort(key=lambda call: sort_key(query.sort, call))
    if query.order == "desc":
        # Not reverse=True, which would keep ties in the order of storing.
        found.reverse()
    start = max(query.offset, 0)
    return ToolPage(found[start : start + max(query.limit, 0)], complete=True)


def stats_of(calls: Iterable[ToolCall], filter: ToolFilter) -> ToolStats:
    """Count the calls of a filter."""
    found = [call for call in calls if matches(filter, call)]
    stored = len(found)
    sampled = any(call.weight != 1 for call in found)
    found = [call for call in found for _ in range(round(call.weight))]
    times = [call.latency_us for call in found if call.latency_us is not None]
    successes = sum(call.status == "success" for call in found)
    cost_usd = sum(call.cost_usd for call in found)
    return ToolStats(
        len(found), successes, len(times), sum(times), cost_usd, stored=stored, sampled=sampled
    )


def values_of(calls: Iterable[ToolCall], scope: Scope) -> ToolValues:
    """List what a filter may name."""
    found = [call for call in calls if matches(ToolFilter(scope=scope), call)]
    names = {
        call.key_id: call.key_name
        for call in sorted(found, key=lambda call: call.started_at_us)
        if call.key_id
    }
    return ToolValues(
        tool_names=sorted({call.tool_name for call in found}),
        server_labels=sorted({call.server_label for call in found}),
        keys=sorted((ToolKey(key, name) for key, name in names.items()), key=lambda key: key.id),
    )
