"""Stores the batches of one instance, each once, in numbered slots.

Strategy: a batch is one insert of one block, whose token names the instance and the number of a
slot. Of all inserts with the same token the server stores one. Its answer is not relied upon: a
query checks what is stored. A slot in an unknown state, left by this process or an earlier one, is
closed by a mark: once that is stored, no other insert for the slot can be stored. The newest slot
has all positions of the instance.

A server without tokens settles by time. It refuses late inserts, so once the delay is over and no
insert runs, an insert that is not stored never will be. Replicas settle by both, and then a replica
is asked that shows everything committed.

Invariant: each slot has the rows of at most one block, and only the slot after the newest can have
an insert on its way.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from storage.clickhouse.codec import stored_text
from storage.clickhouse.engine.server import AHEAD_MS, OLDEST_MS, Server
from storage.clickhouse.numbers import DAY_MS, Numbers, first_of, milliseconds_of
from storage.clickhouse.replicas import find_rows, whole
from storage.clickhouse.wire.answers import Late
from storage.clickhouse.wire.link import Link, Row
from storage.clickhouse.writes.lanes import MAX_LANES, Lanes
from storage.clickhouse.writes.rows import CALL, MARK, Rows, mark, pack_positions, unpack_positions
from storage.errors import StorageRejected, StorageUnavailable
from storage.record import Position

WRITE_LIMIT_S: Final = 15.0
"""Time limit of an insert of records."""
NAME_KEPT_MS: Final = 90_000
"""How long after its last write a writer keeps the name of an instance."""
_BEGIN_ANEW_S: Final = 86_400.0
"""A writer that has not written for this long checks that its name and lanes are still its own."""
_TRIES: Final = 8
_MAX_AHEAD_MS: Final = AHEAD_MS // 2
_HURRIED_MS: Final = 1000
"""A writer whose numbers are this far ahead of the clock claims more lanes."""
_LOOK_AGAIN_S: Final = (0.02, 0.1, 0.5, 1.0, 0.0)
"""Pauses between looks at the replicas that have a batch."""
_LATE_PAUSE_S: Final = 0.2
_LATE_GRACE_MS: Final = 1000
_NEWEST: Final = (
    "SELECT batch, attempt, seq, kind, positions FROM records WHERE writer = $1 ORDER BY seq DESC "
    "LIMIT 4"
)
_OF_SLOT: Final = "SELECT attempt, kind FROM records WHERE writer = $1 AND batch = $2 AND seq >= $3"
_COUNT: Final = "SELECT count() FROM records WHERE seq = $1 AND attempt = $2"
_SEQS: Final = (
    "SELECT seq, kind FROM records WHERE batch = $1 AND attempt = $2 AND seq >= $3 AND kind <> $4 "
    "ORDER BY place"
)


class Newest(NamedTuple):
    """The newest slot of an instance; zeros before the first."""

    slot: int
    attempt: int
    last_ms: int
    positions: dict[bytes, Position]


class _Doubt(NamedTuple):
    """A slot whose insert may or may not be stored."""

    slot: int
    first_seq: int
    reason: str = ""
    """Why the insert failed; empty if it was cancelled."""


class Slots:
    """The slots of one instance, used by one writer at a time."""

    def __init__(
        self, links: Sequence[Link], server: Server, lanes: Lanes, order_delay_ms: int, instance: str, holder: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Make slots that have not read anything yet.

        Args:
            links: One to each shard.
            server: Abilities shared by all servers.
            lanes: Lanes of all instances.
            order_delay_ms: How late an insert may be.
            instance: Owner of the slots.
            holder: 31 bits that identify the writer among others of the name, kept over restarts; 0 disables the check.
            clock: Monotonic seconds.
        """
        self._links = links
        self._link = links[0]
        """Link to the shard of this instance, once it has begun."""
        self._server = server
        self._lanes = lanes
        self._delay_ms = order_delay_ms
        self._instance = instance
        self._holder = holder
        self._clock = clock
        self._own = holder << 32 | secrets.randbits(32)
        """Attempt number of all rows of this process."""
        self._numbers = Numbers(clock)
        self._slot = 0
        """The newest slot that is filled."""
        self._positions: dict[bytes, Position] = {}
        self._doubt: _Doubt | None = None
        self._late_from_ms: int | None = None
        """Server time from which earlier inserts are refused as late; None if not determined since
        the last insert.
        """
        self._wrote_s: float | None = None
        """When a slot was last filled; None before the store was read."""
        self._is_lost = False
        self.newest_ms = 0
        """Upper bound of the milliseconds of the newest slot's numbers; 0 before the first slot."""

    async def positions(self) -> dict[bytes, Position]:
        """Return the committed ring positions, after waiting for inserts whose outcome is unknown."""
        await self.settle()
        return dict(self._positions)

    async def fill(
        self, rows: Rows, positions: Mapping[bytes, Position], retired: Sequence[bytes]
    ) -> Sequence[int]:
        """Store rows, and the positions they move, in the next slot; return the numbers of the
        records.

        Safe to cancel: `settle` finds out the outcome.

        Raises:
            StorageUnavailable: The outcome is unknown, or nothing is stored.
            StorageRejected: Nothing is stored.
        """
        await self.settle()
        gone = set(retired)
        moved = {
            source: at
            for source, at in {**self._positions, **positions}.items()
            if source not in gone
        }
        if not rows.records and moved == self._positions:
            return ()

        for _ in range(_TRIES):
            seqs = await self._take(rows.numbers)
            reason = await self._send(rows, seqs, moved)
            if isinstance(reason, Late):
                continue

            if reason is None and await self._is_there(seqs[0]):
                await self._await_copies(seqs[0])
                self._note_taken(self._slot + 1, moved)
                return seqs

            stored = await self.settle()
            if stored is not None:
                return stored
            if reason is not None:
                raise reason

        raise StorageUnavailable(f"clickhouse: {_TRIES} inserts in a row were refused as late")

    async def settle(self) -> Sequence[int] | None:
        """Find out the outcome of a batch in doubt; return the numbers of its records, None if it
        is not stored.

        Raises:
            StorageUnavailable: The outcome is still unknown, or another process uses the name of this instance.
        """
        if self._is_lost:
            raise self._name_is_lost()
        doubt = self._doubt
        wrote_s = self._wrote_s
        if doubt is None and wrote_s is not None and self._clock() - wrote_s < _BEGIN_ANEW_S:
            return None

        link = await self._begin()
        found = []
        if doubt is not None:
            found = await link.fetch(_SEQS, (doubt.slot, self._own, doubt.first_seq, MARK))

        if found:
            await self._await_copies(found[0][0])
        self._doubt = None
        if found:
            return [seq for seq, kind in found if kind < CALL]

        return None

    async def keep(self) -> None:
        """Write the ring positions again if they are a day old, so that their old partition can be
        dropped.
        """
        if self._doubt is None and self._wrote_s is not None and not self._is_lost:
            await self.settle()

    async def _send(
        self, rows: Rows, seqs: Sequence[int], moved: dict[bytes, Position]
    ) -> StorageUnavailable | None:
        """Insert rows into the next slot; the slot is in doubt from then on. Return the error, if
        any.

        Raises:
            StorageRejected: A value is refused, and nothing is stored.
        """
        started_s = self._clock()
        self._doubt = _Doubt(self._slot + 1, seqs[0])
        self._late_from_ms = None

        try:
            await self._insert(rows, seqs, self._slot + 1, moved)
        except StorageRejected:
            self._doubt = None
            raise
        except Late as error:
            self._doubt = None
            # Shift the next numbers ahead by the time that the insert took, so that they are not
            # late.
            took_ms = int((self._clock() - started_s) * 1000)
            self._numbers.lead_ms = min(_MAX_AHEAD_MS, max(2 * self._numbers.lead_ms, took_ms, 1))
            await self._hear()
            return error
        except StorageUnavailable as error:
            self._doubt = self._doubt._replace(reason=str(error))
            return error

        return None

    def _note_taken(self, slot: int, positions: dict[bytes, Position]) -> None:
        self._slot = slot
        self._positions = positions
        self._doubt = None
        self._wrote_s = self._clock()
        self._numbers.lead_ms //= 2
        self.newest_ms = self._numbers.last_ms

    async def _take(self, count: int) -> Sequence[int]:
        """Return the next numbers, and claim more lanes if they run ahead of the clock.

        Raises:
            StorageUnavailable: They are too far ahead.
        """
        numbers = self._numbers
        if numbers.ahead_ms > _HURRIED_MS and len(numbers.lanes) < MAX_LANES:
            numbers.lanes = (await self._lanes.claim(self._instance, 2 * len(numbers.lanes))).lanes
        if numbers.ahead_ms > _MAX_AHEAD_MS:
            await self._hear()
        if numbers.ahead_ms > _MAX_AHEAD_MS:
            raise StorageUnavailable(
                f"clickhouse: numbers of {self._instance!r} are {numbers.ahead_ms / 1000:.0f} s "
                "ahead of the server's clock; no more records are stored until the clock has come "
                "closer"
            )

        return numbers.take(count)

    async def _insert(
        self, rows: Rows, seqs: Sequence[int], slot: int, positions: Mapping[bytes, Position]
    ) -> None:
        attempted = rows.of_attempt(
            seqs, slot, self._own, self._instance, pack_positions(positions)
        )
        settings = self._server.once(f"{self._instance}/{slot}")
        await self._link.send(
            "records", attempted, rows.written, limit_s=WRITE_LIMIT_S, settings=settings
        )

    async def _is_there(self, seq: int) -> bool:
        sql = f"SELECT {self._server.now_ms}, count() FROM records WHERE seq = $1 AND attempt = $2"
        [(now_ms, rows)] = await self._link.fetch(sql, (seq, self._own))
        self._numbers.hear(now_ms)
        return bool(rows)

    async def _await_copies(self, seq: int) -> None:
        """Wait until as many replicas have a row as the address demands.

        Raises:
            StorageUnavailable: Too few have it yet.
        """
        wanted = self._link.address.min_replicas
        for pause_s in _LOOK_AGAIN_S if wanted > 1 else ():
            found = await self._link.fetch_each(_COUNT, (seq, self._own))
            if sum(bool(rows and rows[0][0]) for rows in found) >= wanted:
                return
            await asyncio.sleep(pause_s)

        if wanted > 1:
            raise StorageUnavailable(
                f"clickhouse: fewer than min_replicas={wanted} have the newest batch"
            )

    async def _hear(self) -> None:
        [(now_ms,)] = await self._link.fetch(f"SELECT {self._server.now_ms}")
        self._numbers.hear(now_ms)

    async def _begin(self) -> Link:
        """Continue after the newest slot, once no earlier insert for the next slot can still
        arrive.

        Returns:
            A link to a server that shows everything that was stored.
        """
        is_new = await self._find_shard()
        await self._hear()
        link = self._link.current
        spent = 0

        while not is_new:
            newest = await read_newest(link, self._instance)
            self._check_name(newest)
            self._numbers.last_ms = max(self._numbers.last_ms, newest.last_ms)
            self._positions = newest.positions
            slot = newest.slot + 1 + spent

            link, rows = await self._close(slot, newest.last_ms)
            if all(row == (self._own, MARK) for row in rows) and (
                rows or not self._server.has_tokens
            ):
                self._slot = slot if rows else slot - 1
                break

            # The slot has another batch, or a server died after it had spent the token without
            # storing rows.
            spent = 0 if rows else spent + 1

        self._wrote_s = self._clock()
        if self._slot:
            self.newest_ms = self._numbers.last_ms
        else:
            self.newest_ms = 0
        return link

    async def _find_shard(self) -> bool:
        """Find the shard and the lanes of this instance; return whether it had none before.

        A writer that has begun lately keeps them, as the shard with the register may be away.
        """
        if self._wrote_s is not None and self._clock() - self._wrote_s < _BEGIN_ANEW_S:
            return False
        held = await self._lanes.of(self._instance)
        is_new = not held.lanes

        if is_new:
            held = await self._lanes.claim(self._instance, 1)
        if held.shard > len(self._links):
            raise StorageUnavailable(
                f"clickhouse: {self._instance!r} writes to shard {held.shard}, which the cluster "
                "no longer has"
            )

        self._link = self._links[held.shard - 1]
        self._numbers.lanes = held.lanes
        return is_new

    async def _close(self, slot: int, since_ms: int) -> tuple[Link, list[Row]]:
        """Make sure that no earlier insert for a slot can still be stored; return attempts and
        kinds of its rows.

        The slot is empty on servers without tokens, or if its token was spent without storing rows.
        """
        if self._server.has_tokens:
            await self._mark(slot, since_ms)
        if self._link.is_replicated or not self._server.has_tokens:
            await self._wait_until_late()
        parameters = (stored_text(self._instance), slot, first_of(since_ms))
        if self._server.has_tokens:
            return await find_rows(self._link, "records", _OF_SLOT, parameters)

        link = await whole(self._link, "records")
        return link, await link.fetch(_OF_SLOT, parameters)

    async def _mark(self, slot: int, since_ms: int) -> None:
        """Insert a mark into a slot, in each partition that an earlier insert could reach, since a
        token is valid within one partition.
        """
        for _ in range(_TRIES):
            now_ms = self._numbers.server_ms
            least_ms = max(since_ms + 1, now_ms - self._delay_ms)
            most_ms = max(since_ms + 1, now_ms + AHEAD_MS)

            days = range(least_ms // DAY_MS, most_ms // DAY_MS + 1)
            try:
                for day in days:
                    at_ms = min(max(day * DAY_MS, now_ms, since_ms + 1), (day + 1) * DAY_MS - 1)
                    await self._insert(mark(), [self._numbers.at(at_ms)], slot, self._positions)
            except Late:
                await self._hear()
                continue

            return

        raise StorageUnavailable(f"clickhouse: {_TRIES} inserts in a row were refused as late")

    async def _wait_until_late(self) -> None:
        """Wait until any earlier insert would be refused as late.

        If the wait is interrupted, the next attempt to commit continues it, so it always ends.

        Raises:
            StorageUnavailable: The insert may still arrive; has the reason why it failed.
        """
        if self._late_from_ms is None:
            late_ms = self._delay_ms + self._server.clock_step_ms + _LATE_GRACE_MS
            self._late_from_ms = max(self._numbers.last_ms, self._numbers.server_ms) + late_ms
        sql = f"SELECT {self._server.now_ms}, {OLDEST_MS} {self._server.running_inserts}"
        while True:
            found = [rows[0] for rows in await self._link.fetch_each(sql) if rows]
            self._numbers.hear(min((now_ms for now_ms, _ in found), default=0))
            if found and all(
                now_ms - running_ms > self._late_from_ms for now_ms, running_ms in found
            ):
                return
            if self._doubt is not None and self._doubt.reason:
                raise StorageUnavailable(self._doubt.reason)

            await asyncio.sleep(_LATE_PAUSE_S)

    def _check_name(self, newest: Newest) -> None:
        """Raise StorageUnavailable if another process uses the name of this instance."""
        if newest.attempt == self._own or not newest.slot:
            return
        holder = newest.attempt >> 32
        quiet_ms = self._numbers.server_ms - newest.last_ms
        is_watched = self._holder and holder and holder != self._holder
        self._is_lost = self._wrote_s is not None and newest.slot > self._slot
        if self._is_lost or (self._wrote_s is None and is_watched and quiet_ms < NAME_KEPT_MS):
            raise self._name_is_lost()

    def _name_is_lost(self) -> StorageUnavailable:
        return StorageUnavailable(
            f"another sidelog writes to this database as instance {self._instance!r}; "
            "give each its own name in the setting instance"
        )


async def read_newest(link: Link, instance: str) -> Newest:
    """Return the last slot that an instance has written, to continue after it."""
    rows = await link.fetch(_NEWEST, (stored_text(instance),))
    if not rows:
        return Newest(0, 0, 0, {})

    # Around midnight a slot may have marks in addition to its batch.
    slot, attempt, _, _, positions = max(rows, key=lambda row: (row[0], row[3] != MARK))
    return Newest(
        slot, attempt, milliseconds_of(max(row[2] for row in rows)), unpack_positions(positions)
    )
