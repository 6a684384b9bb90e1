"""The journal of commits: how a batch becomes visible as a whole, once, where there are no transactions.

Strategy: the rows of a batch are inserted first, all with the number of the attempt and with the `seq` that follow the
last commit. One row of the journal, which no insert can tear, makes them visible: it says up to which `seq` the store
goes, and where all sources of the sidecar stand. What an attempt left behind that was not committed is of no account:
its `seq`s are given again, and of two rows of one `seq` the newer attempt's counts (`ReplacingMergeTree(attempt)`).
A commit of which nobody knows is settled before anything else is: by the next epoch, behind which it cannot happen.

Invariant: of all rows with a `seq` up to `last_seq` exactly those of commits are read with `FINAL`; a commit, once
read, stays; `positions` of a sidecar belong to exactly the rows it has committed.
See docs/decisions/0014-a-row-commits-a-batch.md.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.upkeep.state import UPKEEP, Upkeep
from storage.clickhouse.writes.epochs import EPOCH_SHIFT
from storage.errors import StorageRejected, StorageUnavailable
from storage.record import Position

COMMITS: Final = f"""CREATE TABLE IF NOT EXISTS commits (
    -- The only attempt of the row, unless older commits were put together into one row.
    first_attempt UInt64,
    attempt UInt64,
    -- Of its rows; the first is behind the last where it has none.
    first_seq Int64,
    last_seq Int64,
    min_started_at_us Int64,
    max_started_at_us Int64,
    min_id_ms Int64,
    max_id_ms Int64,
    instance String,
    -- All sources of the instance: 16 bytes → storage.record.Position, as msgpack.
    positions String,
    {", ".join(f"{name} Int64" for name in UPKEEP)}
) ENGINE = MergeTree ORDER BY attempt"""
_MAX_TURNS: Final = 8
_INSERT: Final = (
    "INSERT INTO commits (first_attempt, attempt, first_seq, last_seq, min_started_at_us, max_started_at_us, "
    f"min_id_ms, max_id_ms, instance, positions, {', '.join(UPKEEP)})"
)
_IS_COMMITTED: Final = "SELECT count() FROM commits WHERE attempt = $1"
_LAST: Final = f"SELECT last_seq, {', '.join(UPKEEP)} FROM commits WHERE attempt = (SELECT max(attempt) FROM commits)"
_POSITIONS: Final = (
    "SELECT hex(positions) FROM commits WHERE attempt = (SELECT max(attempt) FROM commits WHERE instance = $1) "
    "AND instance = $1"
)
_decoder: Final = msgspec.msgpack.Decoder(dict[bytes, Position])
_NOWHERE: Final = msgspec.msgpack.encode({})

Positions = dict[bytes, Position]


class Span(NamedTuple):
    """When the records of a batch started, and the milliseconds of their ids."""

    min_started_at_us: int
    max_started_at_us: int
    min_id_ms: int
    max_id_ms: int


NO_SPAN: Final = Span(0, -1, 0, -1)
"""Of a batch without records: nothing lies in it."""


class Turn(NamedTuple):
    """What the rows of an attempt are written with."""

    attempt: int
    first_seq: int
    erasures: int
    """Of the store, when it is committed."""


class Work(NamedTuple):
    """A batch to be committed."""

    instance: str
    records: int
    """How many `seq`s it takes."""
    span: Span
    moved: Positions
    """Sources that have a new position."""
    retired: Sequence[bytes]
    """Sources that have none any more."""
    insert: Callable[[Turn], Awaitable[None]]
    """Inserts its rows; called again when the attempt came to nothing."""
    change: Callable[[Upkeep], Upkeep] = lambda upkeep: upkeep
    """Changes what is true of the store beside its rows."""


class Turns(Protocol):
    """Who may commit: `Epochs` on one server."""

    @property
    def own(self) -> int:
        """The number of the newest turn that this writer began; rising over all writers. 0 before the first."""

    @property
    def has_others(self) -> bool:
        """Whether others may want to write."""

    async def begin(self) -> None:
        """Begin a turn, behind which nothing of an older one is committed; what was is settled."""

    async def is_newest(self) -> bool:
        """Whether no other turn has begun since the own one."""

    async def give_up(self) -> None:
        """Let others begin a turn at once."""

    async def seal(self, insert: str, row: Sequence[Any]) -> None:
        """Insert a row into the journal, unless another turn has begun.

        Args:
            insert: The beginning of the statement, with the names of columns.
            row: Their values.
        """


class Journal:
    """Commits batches, one at a time."""

    def __init__(self, link: Link, epochs: Turns) -> None:
        self._link = link
        self._epochs = epochs
        self._is_current = False
        """Whether what is remembered of the store was true in the own epoch, and no commit is in doubt."""
        self._attempt = 0
        self._last_seq = 0
        self._upkeep = Upkeep()
        self._positions: dict[str, bytes] = {}
        """Instance → its positions as they are stored."""
        self._doubt: Turn | None = None
        """The attempt of which nobody knows whether it was committed."""
        self.settled: dict[int, int] = {}
        """Such attempts that turned out to be committed → their first `seq`; whoever asked for them takes them out."""

    async def begin(self) -> int:
        """Settle what is in doubt, and make sure of the end of the store; returns the number of the next attempt.

        Raises:
            StorageUnavailable: Nothing is settled; to be tried again.
        """
        if self._is_current and self._epochs.has_others:
            # To look is cheaper than to insert rows in vain.
            self._is_current = await self._epochs.is_newest()
        if not self._is_current:
            await self._epochs.begin()
            await self._settle()
            self._last_seq, self._upkeep = await read_end(self._link)
            self._attempt = self._epochs.own << EPOCH_SHIFT
            self._positions.clear()
            self._is_current = True
        return self._attempt + 1

    async def commit(self, work: Work) -> Turn:
        """Commit a batch; returns the attempt that did it.

        Raises:
            StorageUnavailable: Nothing was committed; or nobody knows, then `begin` finds out about the attempt.
            StorageRejected: Nothing was committed, some value never can be.
        """
        for _ in range(_MAX_TURNS):
            attempt = await self.begin()
            upkeep = work.change(self._upkeep)
            turn = Turn(attempt, self._last_seq + 1, upkeep.erasures)
            self._attempt = turn.attempt
            positions = await self._moved(work)
            self._link.begin_attempt()
            await work.insert(turn)
            if await self._seal(turn, work, positions, upkeep):
                self._last_seq += work.records
                self._upkeep = upkeep
                self._positions[work.instance] = positions
                return turn
        raise StorageUnavailable("clickhouse: other sidecars took every turn to write to this database")

    async def change(
        self, change: Callable[[Upkeep], Upkeep], insert: Callable[[Turn], Awaitable[None]] | None = None
    ) -> None:
        """Commit a change of what is true of the store beside its rows, if it is one, with rows that belong to it."""
        was_current = self._is_current
        await self.begin()
        if change(self._upkeep) != self._upkeep:
            await self.commit(Work("", 0, NO_SPAN, {}, (), insert or _insert_nothing, change))
        elif not was_current:
            await self._epochs.give_up()

    async def positions(self, instance: str) -> Positions:
        """Read the positions of one sidecar, when no commit can change them that was sent before."""
        was_current = self._is_current
        await self.begin()
        if not was_current:
            await self._epochs.give_up()
        return _decoder.decode(await self._read_positions(instance))

    async def last_seq(self) -> int:
        """Tell up to which `seq` the store goes, when nothing is in doubt."""
        await self.begin()
        return self._last_seq

    async def close(self) -> None:
        """Let others write at once."""
        if self._is_current:
            self._is_current = False
            with suppress(StorageUnavailable):
                await self._epochs.give_up()

    async def _seal(self, turn: Turn, work: Work, positions: bytes, upkeep: Upkeep) -> bool:
        """Write the row of the journal; False where another epoch has begun, and it was not written."""
        row = (
            turn.attempt, turn.attempt, turn.first_seq, turn.first_seq + work.records - 1, *work.span,
            work.instance, positions, *upkeep,
        )  # fmt: skip
        # From here on only the journal tells.
        self._is_current, self._doubt = False, turn
        try:
            await self._epochs.seal(_INSERT, row)
        except StorageRejected:
            # A parameter without a literal: nothing was sent.
            self._is_current, self._doubt = True, None
            raise
        [(commits,)] = await self._link.fetch(_IS_COMMITTED, (turn.attempt,), limit_s=LIMIT_S)
        self._doubt = None
        self._is_current = bool(commits)
        return self._is_current

    async def _settle(self) -> None:
        if self._doubt is not None:
            [(commits,)] = await self._link.fetch(_IS_COMMITTED, (self._doubt.attempt,), limit_s=LIMIT_S)
            if commits:
                self.settled[self._doubt.attempt] = self._doubt.first_seq
            self._doubt = None

    async def _moved(self, work: Work) -> bytes:
        positions = _decoder.decode(await self._read_positions(work.instance)) | work.moved
        for source in work.retired:
            positions.pop(source, None)
        return msgspec.msgpack.encode(positions)

    async def _read_positions(self, instance: str) -> bytes:
        known = self._positions.get(instance)
        if known is None:
            rows = await self._link.fetch(_POSITIONS, (instance,), limit_s=LIMIT_S)
            known = self._positions[instance] = bytes.fromhex(rows[0][0]) if rows else _NOWHERE
        return known


async def _insert_nothing(turn: Turn) -> None:
    pass


async def read_end(link: Link) -> tuple[int, Upkeep]:
    """Read up to which `seq` the store goes, and what is true of it beside its rows: both of one commit."""
    rows = await link.fetch(_LAST, limit_s=LIMIT_S)
    if not rows:
        return 0, Upkeep()
    last_seq, *upkeep = rows[0]
    return last_seq, Upkeep(*upkeep)
