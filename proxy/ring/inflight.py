"""The in-flight table of a worker: long exchanges are visible while they run, and leave evidence if
the worker dies.

Strategy: a slot of 4 KiB per exchange, in shared memory, written by the worker and scanned by the
collector. The first cell of a slot counts: odd = in use, even = free, whatever its other bytes say.
So a fill writes the bytes and then adds one, a clear adds one, and the number is a version at the
same time: a sequence lock whose resting state is "free".

Invariant: the reader reports a slot only if its count was the same odd number before and after the
copy; a slot that changed meanwhile is read again a few times and then skipped. Neither side waits.
Cleared bytes stay until the next fill, like those of the ring.
"""

import struct
import sys
from dataclasses import dataclass
from typing import Final, NamedTuple

from proxy.ring.exchange import ACCESS
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import SLOT_BYTES

HEAD_BYTES: Final = 1536
"""Kept of a request head; longer ones are cut."""
BODY_BYTES: Final = 2048
"""Kept of a request body: the name of an MCP tool lies within."""
CLIENT_BYTES: Final = 75
"""Kept of the client: its address, and what it asked for (`exchange.client_section`) where there is
room for that.
"""

_FIXED: Final = struct.Struct("<16sqIIHH76p")
_FIXED_AT: Final = 8
_HEAD_AT: Final = 128
_BODY_AT: Final = _HEAD_AT + HEAD_BYTES
_CALLER: Final = struct.Struct(f"<BB{ACCESS.size}sHH")
"""Whether what follows is known, and whether the route asks anything of its callers; then as in
`Caller`.
"""
_CALLER_AT: Final = _BODY_AT + BODY_BYTES
_NAMES_AT: Final = _CALLER_AT + _CALLER.size
NAMES_BYTES: Final = SLOT_BYTES - _NAMES_AT
"""Room for project and user together; where they need more, nothing of the caller is known."""
_CELLS_PER_SLOT: Final = SLOT_BYTES // 8
_STATUS_CELL: Final = 15
"""Of a slot, between the fixed part and the head: the response's status, 0 before there is one. It
comes later than the rest, in one store of eight bytes, so a reader has the old or the new one.
"""
_ATTEMPTS: Final = 3


class Caller(NamedTuple):
    """The owner of the exchange, as the worker found at admission; the head in the slot may be cut."""

    access: bytes = b""
    """What the key check noted (`exchange.ACCESS`), empty where the route demands nothing of its
    callers.
    """
    project: bytes = b""
    """As a trusted proxy named it."""
    user: bytes = b""
    """The same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InflightExchange:
    """What a worker noted of a running exchange."""

    record_id: bytes
    """16 bytes."""
    started_at_us: int
    """Unix time in microseconds."""
    route: int
    """As given to `fill`."""
    client_ip: bytes
    """As given to `fill`; of more than `CLIENT_BYTES` the address alone."""
    head: bytes
    """Request head, at most `HEAD_BYTES`."""
    head_truncated: bool
    """Whether the head was longer."""
    body: bytes
    """Beginning of the request body, at most `BODY_BYTES`."""
    caller: Caller | None = None
    """None: it is not known."""
    status: int = 0
    """Of the response; 0: there is none yet."""


class InflightWriter:
    """The worker's side; one per fresh segment."""

    __slots__ = ("_cells", "_free", "_table")

    def __init__(self, segment: Segment) -> None:
        """Start with an empty table; `segment` stays the caller's to close."""
        self._table = segment.inflight
        self._cells = segment.inflight.cast("Q")
        # Popped from the end, so that a quiet worker uses the lowest slots and touches few pages.
        self._free = list(range(segment.inflight_slots - 1, -1, -1))

    def fill(
        self,
        record_id: bytes,
        started_at_us: int,
        route: int,
        client_ip: bytes,
        head: bytes,
        body: bytes,
        caller: Caller | None = None,
    ) -> int:
        """Note an exchange, and as much of its address, head and body as their limits allow.

        Returns:
            The slot, for `clear`; -1 when none is free.
        """
        if not self._free:
            return -1
        slot = self._free.pop()
        at = slot * SLOT_BYTES
        table = self._table
        kept_head = head[:HEAD_BYTES]
        kept_body = body[:BODY_BYTES]
        if len(client_ip) > CLIENT_BYTES:
            client_ip = client_ip.partition(b"\n")[0][:CLIENT_BYTES]
        _FIXED.pack_into(
            table, at + _FIXED_AT,
            record_id, started_at_us, route, len(head), len(kept_head), len(kept_body), client_ip,
        )  # fmt: skip
        table[at + _HEAD_AT : at + _HEAD_AT + len(kept_head)] = kept_head
        table[at + _BODY_AT : at + _BODY_AT + len(kept_body)] = kept_body
        _write_caller(table, at, caller)
        self._cells[slot * _CELLS_PER_SLOT + _STATUS_CELL] = 0
        self._cells[slot * _CELLS_PER_SLOT] += 1
        return slot

    def note_status(self, slot: int, status: int) -> None:
        """Publish the status of the response."""
        self._cells[slot * _CELLS_PER_SLOT + _STATUS_CELL] = status

    def clear(self, slot: int) -> None:
        """Free a slot that `fill` gave."""
        self._cells[slot * _CELLS_PER_SLOT] += 1
        self._free.append(slot)


class InflightReader:
    """The collector's side."""

    __slots__ = ("_cells", "_slots", "_table")

    def __init__(self, segment: Segment) -> None:
        """Read the table of `segment`, which stays the caller's to close."""
        self._table = segment.inflight
        self._cells = segment.inflight.cast("Q")
        self._slots = segment.inflight_slots

    def scan(self) -> list[InflightExchange]:
        """Return the exchanges noted now, in the order of their slots; a slot that keeps changing
        is passed over.
        """
        counts = self._cells[::_CELLS_PER_SLOT].tolist()
        found = (self._copy(slot) for slot, count in enumerate(counts) if count & 1)
        return [exchange for exchange in found if exchange is not None]

    def _copy(self, slot: int) -> InflightExchange | None:
        cell = slot * _CELLS_PER_SLOT
        at = slot * SLOT_BYTES
        for _ in range(_ATTEMPTS):
            before = self._cells[cell]
            raw = bytes(self._table[at : at + SLOT_BYTES])
            if before & 1 and self._cells[cell] == before:
                return _decoded(raw)

        return None


def _decoded(raw: bytes) -> InflightExchange:
    record_id, started_at_us, route, full_head, head_bytes, body_bytes, client_ip = (
        _FIXED.unpack_from(raw, _FIXED_AT)
    )
    return InflightExchange(
        record_id=record_id,
        started_at_us=started_at_us,
        route=route,
        client_ip=client_ip,
        head=raw[_HEAD_AT : _HEAD_AT + min(head_bytes, HEAD_BYTES)],
        head_truncated=full_head > head_bytes,
        body=raw[_BODY_AT : _BODY_AT + min(body_bytes, BODY_BYTES)],
        caller=_read_caller(raw),
        status=int.from_bytes(raw[8 * _STATUS_CELL : 8 * _STATUS_CELL + 8], sys.byteorder),
    )


def _write_caller(table: memoryview, at: int, caller: Caller | None) -> None:
    access, project, user = caller or Caller()
    is_known = caller is not None and len(project) + len(user) <= NAMES_BYTES
    sizes = (len(project), len(user)) if is_known else (0, 0)
    _CALLER.pack_into(table, at + _CALLER_AT, is_known, bool(access), access, *sizes)
    if is_known:
        names = project + user
        table[at + _NAMES_AT : at + _NAMES_AT + len(names)] = names


def _read_caller(raw: bytes) -> Caller | None:
    is_known, is_asked, access, project, user = _CALLER.unpack_from(raw, _CALLER_AT)
    if not is_known:
        return None
    names = raw[_NAMES_AT : _NAMES_AT + project + user]
    return Caller(access if is_asked else b"", names[:project], names[project:])
