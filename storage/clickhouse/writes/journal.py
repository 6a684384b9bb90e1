"""The journal of commits: how a batch becomes visible as a whole, once, where there are no transactions.

Strategy: the rows of a batch are inserted first, all with the number of the attempt and with the `seq` that follow the
last commit. One row of the journal, which no insert can tear, makes them visible: it says up to which `seq` the store
goes, and where all sources of the sidecar stand. What an attempt left behind that was not committed is of no account:
its `seq`s are given again, and of two rows of one `seq` the newer attempt's counts (`ReplacingMergeTree(attempt)`).
A commit of which nobody knows is settled before anything else is: by the next epoch, behind which it cannot happen.
A writer that has a turn commits what others have handed in along with its own batch, a row of the journal for each, all
in one insert.

Invariant: of all rows with a `seq` up to `last_seq` exactly those of commits are read with `FINAL`; a commit, once
read, stays; `positions` of a sidecar belong to exactly the rows it has committed.
See docs/decisions/0014-a-row-commits-a-batch.md.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from storage.clickhouse.link import LIMIT_S, Link, Row
from storage.clickhouse.upkeep.state import UPKEEP, Upkeep
from storage.clickhouse.writes.group import EPOCH_SHIFT, NO_SPAN, Base, Group, HandedIn, Span, Turn, group_of
from storage.clickhouse.writes.inbox import Hand
from storage.clickhouse.writes.turns import Turns
from storage.errors import StorageError, StorageRejected, StorageUnavailable
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
_FIRST_CROWD: Final = 3
"""How many writers are expected to wait, before it is known."""
_IS_COMMITTED: Final = "SELECT count() FROM commits WHERE attempt = $1"
_LAST: Final = f"SELECT last_seq, {', '.join(UPKEEP)} FROM commits WHERE attempt = (SELECT max(attempt) FROM commits)"
_NEWEST: Final = (
    "SELECT attempt, hex(positions) FROM commits "
    "WHERE attempt = (SELECT max(attempt) FROM commits WHERE instance = $1) AND instance = $1"
)
_SINCE: Final = "SELECT first_seq FROM commits WHERE attempt > $1 AND instance = $2 AND first_seq <= last_seq"
_decoder: Final = msgspec.msgpack.Decoder(dict[bytes, Position])
_NOWHERE: Final = msgspec.msgpack.encode({})

Positions = dict[bytes, Position]
Insert = Callable[[Group], Awaitable[None]]


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
    insert: Insert
    """Inserts its rows, and those of batches it takes along; called again when the attempt came to nothing."""
    change: Callable[[Upkeep], Upkeep] = lambda upkeep: upkeep
    """Changes what is true of the store beside its rows."""
    write: Callable[[Base], Awaitable[HandedIn]] | None = None
    """Writes the batch as it is handed in; None where it is not, and takes no others along."""
    is_void: bool = False
    """Whether it only makes others void: it may be committed or not, where one of those is."""


class _Known(NamedTuple):
    """The newest commit of a sidecar."""

    attempt: int
    positions: bytes


_NEW: Final = _Known(0, _NOWHERE)


class _Doubt(NamedTuple):
    """A batch of which nobody knows whether it was committed."""

    instance: str
    base: int
    """The newest attempt of its sidecar before."""


class Journal:
    """Commits batches, one at a time."""

    def __init__(self, link: Link, epochs: Turns, insert_taken: Insert | None = None) -> None:
        """Make one that has not seen the store yet.

        Args:
            link: To the store.
            epochs: Who may commit.
            insert_taken: Inserts rows of batches that are taken along where there is none beside; None: none are.
        """
        self._link = link
        self._epochs = epochs
        self._insert_taken = insert_taken
        self._is_current = False
        """Whether what is remembered of the store was true in the own epoch, and no commit is in doubt."""
        self._attempt = 0
        self._last_seq = 0
        self._upkeep = Upkeep()
        self._known: dict[str, _Known] = {}
        """Sidecar → its newest commit; of one that others write for as well, in the own epoch only."""
        self._crowd = _FIRST_CROWD
        self._doubt: _Doubt | None = None

    async def begin(self, hand: Hand | None = None) -> bool:
        """Make sure of the end of the store, and of what was sent before.

        Args:
            hand: A batch that may be handed in meanwhile.

        Returns:
            Whether a turn was begun for that; False, too, where somebody has committed the batch.

        Raises:
            StorageUnavailable: Nothing is sure; to be tried again.
        """
        if await self._has_turn() or not await self._epochs.begin(hand):
            return False
        self._last_seq, self._upkeep = await read_end(self._link)
        self._attempt = self._epochs.own << EPOCH_SHIFT
        self._known.clear()
        self._is_current = True
        return True

    async def commit(self, work: Work) -> Turn:
        """Commit a batch, or have it committed; returns what its rows were written with.

        Raises:
            StorageUnavailable: Nothing was committed; or nobody knows, then `settle` finds out.
            StorageRejected: Nothing was committed, some value never can be.
        """
        hand = self._hand(work)
        try:
            return await self._commit(work, hand)
        except BaseException as error:
            if hand is None or not hand.epoch or work.is_void:
                raise
            self._doubt = _Doubt(hand.base.instance, hand.base.attempt)
            self._known.pop(hand.base.instance, None)
            if not isinstance(error, StorageRejected) or (first_seq := await self.settle()) is None:
                raise
            return Turn(0, first_seq, 0)

    async def change(
        self, change: Callable[[Upkeep], Upkeep], insert: Callable[[Turn], Awaitable[None]] | None = None
    ) -> None:
        """Commit a change of what is true of the store beside its rows, if it is one, with rows that belong to it."""

        async def insert_all(group: Group) -> None:
            if insert is not None:
                await insert(group.turn)

        has_begun = await self.begin()
        if change(self._upkeep) != self._upkeep:
            await self.commit(Work("", 0, NO_SPAN, {}, (), insert_all, change))
        elif has_begun:
            await self._epochs.give_up()

    async def settle(self) -> int | None:
        """Find out whether the batch was committed of which nobody knows; returns its first `seq`, None if it was not.

        Raises:
            StorageUnavailable: Nobody knows yet.
        """
        doubt = self._doubt
        if doubt is None:
            return None
        # Where it is there already, nobody needs a turn to know.
        rows = await self._since(doubt)
        if not rows:
            await self._void(doubt.instance)
            rows = await self._since(doubt)
        self._doubt = None
        return rows[0][0] if rows else None

    async def positions(self, instance: str) -> Positions:
        """Read the positions of one sidecar, when no commit can change them that was sent before."""
        if await self._has_turn():
            return _decoder.decode((await self._newest(instance)).positions)
        await self._void(instance)
        positions = _decoder.decode((await self._newest(instance)).positions)
        # Until the first batch is there others may come.
        await self.close()
        return positions

    async def last_seq(self) -> int:
        """Tell up to which `seq` the store goes: at least to the end of what is known to be committed."""
        if not await self._has_turn():
            # Nobody needs a turn to be told.
            return (await read_end(self._link))[0]
        return self._last_seq

    async def close(self) -> None:
        """Let others write at once."""
        if self._is_current:
            self._is_current = False
            with suppress(StorageUnavailable):
                await self._epochs.give_up()

    def _hand(self, work: Work) -> Hand | None:
        """Prepare to hand a batch in; None where it cannot be, or no commit of its sidecar is known."""
        known, write = self._known.get(work.instance), work.write
        if known is None or write is None:
            return None
        base, positions = known.attempt, _moved(known.positions, work)
        records = None if work.is_void else work.records
        return Hand(self._link, Base(work.instance, base, positions), records, write, self._crowd)

    async def _commit(self, work: Work, hand: Hand | None) -> Turn:
        for _ in range(_MAX_TURNS):
            has_begun = await self.begin(hand)
            if hand is not None and (turn := await hand.taken()) is not None:
                if has_begun:
                    await self._epochs.give_up()
                self._known[work.instance] = _Known(turn.attempt, hand.base.positions)
                self._crowd = hand.crowd
                if not work.is_void:
                    # Whoever committed it has looked for that.
                    self._link.forget(hand.needed)
                return turn
            handed = await self._epochs.handed_in(work.instance) if has_begun and work.write is not None else ()
            upkeep = work.change(self._upkeep)
            group = group_of(Turn(self._attempt + 1, self._last_seq + 1, upkeep.erasures), work.records, handed)
            self._attempt = group.attempts[1]
            known = await self._newest(work.instance)
            self._link.begin_attempt([needed for _, batch in group.followers for needed in batch.needed])
            try:
                await work.insert(group)
            except StorageError:
                if not group.followers:
                    raise
                continue  # alone: one of the others may be to blame
            if await self._seal(group, work, known, upkeep):
                self._crowd = 1 + len(group.followers)
                return group.turn
        raise StorageUnavailable("clickhouse: other sidecars took every turn to write to this database")

    async def _seal(self, group: Group, work: Work, known: _Known, upkeep: Upkeep) -> bool:
        """Write the rows of the journal; False where another epoch has begun, and they were not written."""
        positions = _moved(known.positions, work)
        rows = [_row(group.turn, work.instance, work.records, work.span, positions, upkeep)]
        rows += (
            _row(turn, batch.base.instance, batch.records, batch.span, batch.base.positions, upkeep)
            for turn, batch in group.followers
        )
        # From here on only the journal tells.
        before, self._is_current = self._doubt, False
        self._known.pop(work.instance, None)
        if work.records:
            self._doubt = _Doubt(work.instance, known.attempt)
        try:
            await self._epochs.seal(_INSERT, rows)
        except StorageRejected:
            # A parameter without a literal: nothing was sent.
            self._is_current, self._doubt = True, before
            raise
        [(commits,)] = await self._link.fetch(_IS_COMMITTED, (group.turn.attempt,), limit_s=LIMIT_S)
        self._doubt = before
        if not commits:
            return False
        self._is_current = True
        self._last_seq = rows[-1][3]
        self._upkeep = upkeep
        self._known[work.instance] = _Known(group.turn.attempt, positions)
        return True

    async def _void(self, instance: str) -> None:
        """Commit nothing for a sidecar: behind it what was sent or handed in for it before is of no account.

        It may be handed in as well: when a fleet begins, or has waited in vain, not each needs a turn for that.
        """
        self._known.pop(instance, None)
        await self._newest(instance)
        work = Work(instance, 0, NO_SPAN, {}, (), _insert_nothing, is_void=True)
        if self._insert_taken is not None:
            work = work._replace(insert=self._insert_taken, write=_nothing)
        try:
            await self.commit(work)
        finally:
            # What was taken may be what it makes void.
            self._known.pop(instance, None)

    async def _since(self, doubt: _Doubt) -> list[Row]:
        return await self._link.fetch(_SINCE, (doubt.base, doubt.instance), limit_s=LIMIT_S)

    async def _has_turn(self) -> bool:
        if self._is_current and self._epochs.has_others:
            # To look is cheaper than to insert rows in vain.
            self._is_current = await self._epochs.is_newest()
        return self._is_current

    async def _newest(self, instance: str) -> _Known:
        known = self._known.get(instance)
        if known is None:
            rows = await self._link.fetch(_NEWEST, (instance,), limit_s=LIMIT_S)
            known = _Known(rows[0][0], bytes.fromhex(rows[0][1])) if rows else _NEW
            self._known[instance] = known
        return known


def _moved(positions: bytes, work: Work) -> bytes:
    moved = _decoder.decode(positions) | work.moved
    for source in work.retired:
        moved.pop(source, None)
    return msgspec.msgpack.encode(moved)


def _row(turn: Turn, instance: str, records: int, span: Span, positions: bytes, upkeep: Upkeep) -> tuple[Any, ...]:
    last_seq = turn.first_seq + records - 1
    return (turn.attempt, turn.attempt, turn.first_seq, last_seq, *span, instance, positions, *upkeep)


async def _insert_nothing(group: Group) -> None:
    pass


async def _nothing(base: Base) -> HandedIn:
    return HandedIn(base, 0, NO_SPAN, None, [])


async def read_end(link: Link) -> tuple[int, Upkeep]:
    """Read up to which `seq` the store goes, and what is true of it beside its rows: both of one commit."""
    rows = await link.fetch(_LAST, limit_s=LIMIT_S)
    if not rows:
        return 0, Upkeep()
    last_seq, *upkeep = rows[0]
    return last_seq, Upkeep(*upkeep)
