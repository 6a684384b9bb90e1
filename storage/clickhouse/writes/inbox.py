"""Batches that are handed in to whoever commits next: one row each, in the table of an epoch.

Strategy: a writer that finds another one at work puts its batch, written as it would be sent, into the table of that
one's epoch. Whoever begins the next epoch inserts what is there beside its own rows and seals it with the same insert.
So many writers need few turns, and their rows come in few parts. Safety rests on none of it: the table is in the
server's memory, and a batch that nobody took is committed by its writer when it has a turn itself.

Invariant: a batch is committed at most once: `base`, the newest attempt of its sidecar, is another one behind it. What
is committed there need not be this batch: its writer knows it by its records and positions.
See docs/decisions/0017-writers-commit-for-each-other.md.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from storage.clickhouse.answers import NotThere
from storage.clickhouse.link import LIMIT_S, Link, Needed
from storage.clickhouse.native import Column
from storage.clickhouse.writes.group import EPOCH_SHIFT, Base, HandedIn, Turn

EPOCH: Final = "epoch_"
COLUMNS: Final = "gone UInt8, batch Array(UInt8)"
"""Of the table of an epoch: `gone` is a row of its writer, which commits nothing now; the others are batches."""
MAX_HANDED_BYTES: Final = 1 << 20
"""A larger batch waits for a turn of its own, which pays for itself."""
MAX_FOLLOWERS: Final = 512
"""Batches that are taken out of one epoch, where they are small. The others are left to who comes next."""
MAX_TAKEN_BYTES: Final = 32 << 20
"""They are fewer where the largest of them, as often, would have more."""
_HANDED_LIMIT_S: Final = 55.0
_HOW_MANY: Final = "SELECT count() FROM {}"
_LARGEST: Final = "SELECT max(length(batch)) FROM {}"
_PENDING: Final = "SELECT batch FROM {} WHERE NOT gone LIMIT $1"
_NEWEST: Final = "SELECT instance, max(attempt) FROM commits WHERE attempt >= $1 GROUP BY instance"
_TAKEN: Final = "SELECT attempt, first_seq FROM commits WHERE attempt > $1 AND instance = $2{} ORDER BY attempt LIMIT 1"
_IS_SAME: Final = " AND last_seq - first_seq + 1 = $3 AND positions = $4"
_CROWD: Final = "SELECT count() FROM commits WHERE attempt BETWEEN $1 AND $2"
_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(HandedIn)


def table_of(epoch: int) -> str:
    """Name the table of an epoch."""
    return f"{EPOCH}{epoch}"


class Hand:
    """A batch that may be handed in, and what became of it."""

    def __init__(
        self, link: Link, base: Base, records: int | None, write: Callable[[Base], Awaitable[HandedIn]], crowd: int
    ) -> None:
        """Hold a batch of this writer.

        Args:
            link: To the store.
            base: What it builds on.
            records: How many it has; None: whatever is committed behind its base will do.
            write: Writes it, which takes a while.
            crowd: How many batches were committed along with its last one; more are noticed when it is handed in.
        """
        self._link = link
        self.base = base
        self._records = records
        self._write = write
        self._data: bytes | None = None
        self.needed: Sequence[Needed] = ()
        """What its rows rely on beside themselves, when it was written."""
        self.crowd = crowd
        self.epoch = 0
        """Where it was handed in last; 0 where nobody can have it."""
        self._looked = 0
        self._turn: Turn | None = None

    async def is_done(self, committed: int) -> bool:
        """Look whether somebody has committed it, unless nobody can have since the last look.

        Args:
            committed: The newest epoch with a commit.
        """
        if not self.epoch or committed <= max(self.epoch, self._looked):
            return self._turn is not None
        self._looked = committed
        return await self.taken() is not None

    async def fits(self) -> bool:
        """Whether it can be handed in; it is written for that."""
        return len(await self._written()) <= MAX_HANDED_BYTES

    async def give(self, epoch: int) -> None:
        """Hand it in to whoever comes behind an epoch.

        Raises:
            StorageUnavailable: Nobody knows whether it is there.
        """
        data = await self._written()
        # From here on only the journal tells.
        self.epoch = epoch
        columns = [Column("batch", "Array(UInt8)", [data])]
        with suppress(NotThere):  # it is looked for the newest epoch again
            await self._link.insert(table_of(epoch), columns, limit_s=LIMIT_S)
            # A fleet that begins at once knows of nobody yet.
            [(others,)] = await self._link.fetch(_HOW_MANY.format(table_of(epoch)), limit_s=LIMIT_S)
            self.crowd = max(self.crowd, others)

    async def taken(self) -> Turn | None:
        """Look whether somebody has committed it, and as what."""
        if self.epoch and self._turn is None:
            same, parameters = "", list[object]((self.base.attempt, self.base.instance))
            if self._records is not None:
                # What was handed in before, and given up, may have been taken instead.
                same = _IS_SAME
                parameters += self._records, self.base.positions
            rows = await self._link.fetch(_TAKEN.format(same), parameters, limit_s=LIMIT_S)
            if rows:
                attempt, first_seq = rows[0]
                self._turn = turn = Turn(attempt, first_seq, 0)
                within = turn.epoch << EPOCH_SHIFT, (turn.epoch + 1) << EPOCH_SHIFT
                [(self.crowd,)] = await self._link.fetch(_CROWD, within, limit_s=LIMIT_S)
        return self._turn

    async def _written(self) -> bytes:
        if self._data is None:
            batch = await self._write(self.base)
            self.needed = self._link.needed
            self._data = _encode(msgspec.structs.replace(batch, needed=self.needed))
        return self._data


def wait_limit_s(hand: Hand | None) -> float:
    """How long others may write before a turn is given up: what is handed in has its turn with the next of them."""
    return LIMIT_S if hand is None or not hand.epoch else _HANDED_LIMIT_S


class Lying(NamedTuple):
    """What was found in an inbox."""

    size: int
    """Bytes of the batch."""
    batch: HandedIn


async def handed(link: Link, epochs: Sequence[int], limit_s: float = LIMIT_S) -> list[Lying]:
    """Read what was handed in to epochs that there are tables of, committed or not.

    Args:
        link: To the server where the tables are.
        epochs: Their numbers.
        limit_s: How long each of two statements may take.
    """
    if not epochs:
        return []
    tables = [table_of(epoch) for epoch in epochs]
    sizes = await link.fetch(" UNION ALL ".join(map(_LARGEST.format, tables)), limit_s=limit_s)
    largest = max(size for (size,) in sizes)
    if not largest:
        return []
    limit = min(MAX_FOLLOWERS, max(1, MAX_TAKEN_BYTES // largest))
    rows = await link.fetch(" UNION ALL ".join(map(_PENDING.format, tables)), (limit,), limit_s=limit_s)
    return [Lying(len(data), batch) for (data,) in rows if (batch := _decoded(data)) is not None]


async def pending(
    link: Link, lying: Iterable[Lying], but: str, max_positions_bytes: int = MAX_TAKEN_BYTES
) -> list[HandedIn]:
    """Choose what can be committed: one batch of a sidecar, of those that are not; when nobody else can commit.

    Args:
        link: To the journal.
        lying: What was handed in.
        but: The sidecar of who asks: it has its batch itself.
        max_positions_bytes: Of all of them.
    """
    by_instance = {found.batch.base.instance: found for found in lying if found.batch.base.instance != but}
    if not by_instance:
        return []
    least = min(found.batch.base.attempt for found in by_instance.values())
    newest: dict[str, int] = dict(await link.fetch(_NEWEST, (least,), limit_s=LIMIT_S))
    taken, taken_bytes, positions_bytes = list[HandedIn](), 0, 0
    for instance, (size, batch) in by_instance.items():
        if newest.get(instance, 0) != batch.base.attempt:
            continue
        taken_bytes += size
        positions_bytes += len(batch.base.positions)
        is_enough = taken_bytes > MAX_TAKEN_BYTES or positions_bytes > max_positions_bytes
        if len(taken) == MAX_FOLLOWERS or (taken and is_enough):
            break
        taken.append(batch)
    return taken


def _decoded(data: bytes) -> HandedIn | None:
    """Read a batch; None of a program that writes them in another way: it will have its turn."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return None
