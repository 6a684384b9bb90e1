"""The in-flight table of a worker: long exchanges are visible while they run, and survive a crash.

Strategy: one 4 KiB slot per exchange, in shared memory, written by the worker and scanned by the
collector. The first cell of a slot is a version: odd means in use, even means free, whatever the
other bytes are. Filling writes the bytes and then adds one; clearing adds one. This is a sequence
lock whose resting state is "free".

Invariant: the reader reports a slot only if its version was the same odd number before and after
the copy. A slot that changed meanwhile is read again a few times and then skipped. Neither side
waits. Cleared bytes stay until the next fill, like those of the ring.
"""

import struct
import sys
from dataclasses import dataclass
from typing import Final, NamedTuple

from proxy.ring.exchange import ACCESS
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import SLOT_BYTES

HEAD_BYTES: Final = 1536
"""Kept bytes of a request head."""
BODY_BYTES: Final = 2048
"""Kept bytes of a request body: enough for the name of an MCP tool."""
CLIENT_BYTES: Final = 75
"""Kept bytes of the client: its address, and its requested scheme and host
(`exchange.client_section`) if they fit.
"""

_FIXED: Final = struct.Struct("<16sqIIHH76p")
_FIXED_AT: Final = 8
_HEAD_AT: Final = 128
_BODY_AT: Final = _HEAD_AT + HEAD_BYTES
_CALLER: Final = struct.Struct(f"<BB{ACCESS.size}sHH")
"""A flag for known caller data, a flag for a route that checks callers, then the fields of
`Caller`.
"""
_CALLER_AT: Final = _BODY_AT + BODY_BYTES
_NAMES_AT: Final = _CALLER_AT + _CALLER.size
NAMES_BYTES: Final = SLOT_BYTES - _NAMES_AT
"""Room for project and user together. If they need more, the caller counts as unknown."""
_CELLS_PER_SLOT: Final = SLOT_BYTES // 8
_STATUS_CELL: Final = 15
"""Cell between the fixed part and the head: the response's status, 0 until there is one. It is
written later, by one store of eight bytes, so a reader gets the old or the new one.
"""
_ATTEMPTS: Final = 3


class Caller(NamedTuple):
    """The owner of the exchange, determined at admission: the head in the slot may be cut."""

    access: bytes = b""
    """Result of the key check (`exchange.ACCESS`); empty if the route does not check callers."""
    project: bytes = b""
    """Project named by a trusted proxy."""
    user: bytes = b""
    """User named by a trusted proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InflightExchange:
    """A running exchange, as its worker recorded it."""

    record_id: bytes
    """Record id, 16 bytes."""
    started_at_us: int
    """Unix time in microseconds."""
    route: int
    """Route index given to `fill`."""
    client_ip: bytes
    """Client given to `fill`; only its address if longer than `CLIENT_BYTES`."""
    head: bytes
    """Request head, at most `HEAD_BYTES`."""
    head_truncated: bool
    """True if the head was longer."""
    body: bytes
    """Beginning of the request body, at most `BODY_BYTES`."""
    caller: Caller | None = None
    """Caller; None if unknown."""
    status: int = 0
    """Status of the response; 0 until there is one."""


class InflightWriter:
    """The worker's side. Create one per fresh segment."""

    __slots__ = ("_cells", "_free", "_table")

    def __init__(self, segment: Segment) -> None:
        """Start with an empty table; `segment` stays the caller's to close."""
        self._table = segment.inflight
        self._cells = segment.inflight.cast("Q")
        # Slots are taken from the end, so that a quiet worker uses the lowest slots and touches few
        # pages.
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
        """Record an exchange, with as much of address, head and body as fits.

        Returns:
            The slot, for `clear`; -1 if none is free.
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
        """Write the status of an exchange's response into its slot of the in-flight table."""
        self._cells[slot * _CELLS_PER_SLOT + _STATUS_CELL] = status

    def clear(self, slot: int) -> None:
        """Free a slot of the in-flight table that `fill` returned."""
        self._cells[slot * _CELLS_PER_SLOT] += 1
        self._free.append(slot)


class InflightReader:
    """The collector's side."""

    __slots__ = ("_cells", "_table")

    def __init__(self, segment: Segment) -> None:
        """Read the table of `segment`. The caller remains responsible for closing it."""
        self._table = segment.inflight
        self._cells = segment.inflight.cast("Q")

    def scan(self) -> list[InflightExchange]:
        """Return the recorded exchanges in the order of their slots.

        A slot that keeps changing is skipped.
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
