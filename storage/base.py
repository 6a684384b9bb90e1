"""The storage contract. One conformance suite (`tests/contract/test_storage.py`) runs over every
backend.

In prose:

* **A batch is one transaction.** Rows, payloads, rollup counts and positions become visible together or not at all. If
  `commit` raises, nothing of the batch is stored; if it is cancelled or the process dies, either all of it is or
  nothing, and `positions` tells which. Therefore a source's records are stored exactly once, without looking rows up.
  Where a database has no transactions, a batch is one insert that cannot be torn, and has the positions with it.
* **`seq` has a stable prefix.** `seq` is unique, above 0, below 2^52, never reused, and rises along a batch and from
  batch to batch of one sidecar. `last_seq` is the end of the stable prefix: no row at or below it that is not there by
  then will ever come. So a reader of "greater than n, up to `last_seq`" misses nothing. Rows above it can be read
  already, and others may still come between them. There may be numbers that no row has. In SQLite and Postgres every
  committed row is in the prefix, and only retention and erasure leave holes; where sidecars write at the same time
  (`has_late_prefix`) it ends some seconds ago. What retention and erasure take out, `last_seq` counts still.
* **Records are immutable.** There is no update. Retention by age raises a floor first: from then on, whatever started
  before is in no answer, list, count or sum, though its rows are deleted later, slice by slice. Retention by size takes
  slices of the oldest rows, each with its counts in one transaction. An id that is stored already
  is a bug of the caller; a store that can tell refuses it with `StorageRejected`, and the batch leaves no trace.
* **Readers never block the writer** and see only committed rows. Every read has a time budget and says when it was cut.
* **Any value is kept.** Text may hold NUL, any code point that UTF-8 can carry, and megabytes; bytes are bytes.
* **Errors** are `StorageUnavailable` (try again) or `StorageRejected` (this value never), nothing else.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from storage.keys import ApiKey, KeyChanges, KeyUpdate
from storage.purge import Erased, Purged, RetentionState, TextIndex, TextStep, Trimmed
from storage.query import Answer, Filter, Query, Replica, StorageInfo
from storage.record import Batch, Entry, Job, Payload, Position, Record, ToolCall
from storage.search.view import PutView, View

READERS: Final = 6
"""Reads that a store does at once; others wait. Who hands out turns keeps two or more for short
reads (`api/access/query_gate.py`).
"""


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """What a store made of entries before their transaction, for others to keep, count and hand
    back with them.
    """

    size_bytes: int = 0
    """What it takes of memory, about."""


class Storage(Protocol):
    """A store of records. Opened by `storage.backends.open_storage`; owned and closed by who opened
    it.
    """

    @property
    def has_late_prefix(self) -> bool:
        """Whether rows can be read above `last_seq`, between which others may still come."""
        ...

    @property
    def warning(self) -> str:
        """What holds it up although it takes batches; empty while nothing does."""
        ...

    async def prepare(self, entries: Sequence[Entry]) -> Prepared:
        """Make of entries what their commit can bring with it and needs nothing of the store
        (`Batch.prepared`).

        It takes a bounded time, off the loop: what is not ready by then, and all of a batch that is
        committed without it, `index_text` makes of what is stored. Safe to cancel.

        Raises:
            StorageUnavailable: the store is not open.
        """
        ...

    async def commit(self, batch: Batch) -> int:
        """Store a batch in one transaction and set `record.seq` of its entries, rising in the
        batch's order.

        Safe to cancel: the transaction then either happened or did not.

        Returns:
            The last `seq` of the batch; of one without entries, no number in particular.

        Raises:
            StorageUnavailable: nothing was stored, the same batch may be tried again.
            StorageRejected: nothing was stored, some value of this batch can never be.
        """
        ...

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """Read the committed position of every source of one sidecar, by source uuid."""
        ...

    async def read(self, query: Query[Answer]) -> Answer:
        """Answer one of the queries of `storage.query`, `storage.tools` and
        `storage.conversations`.
        """
        ...

    async def get(self, record_id: bytes) -> Record | None:
        """Read one record by its 16-byte id; None when there is none."""
        ...

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """Read heads and bodies of some records, by seq; those that have none (any more) are left
        out.

        Bodies that retention removed are null with the heads still there.
        """
        ...

    async def retention(self) -> RetentionState:
        """Read how far retention has come."""
        ...

    async def move_floors(
        self, purge_floor_us: int, body_floor_us: int, *, down: bool = False
    ) -> None:
        """Make rows, and bodies of rows, that started before a whole hour invisible to every
        reader, permanently.

        A floor lower than the one before changes nothing; that of bodies is never below that of
        rows. `down` undoes floors that a wrong clock has raised, and only higher ones: what is not
        deleted yet, and what comes, is visible.
        """
        ...

    async def purge(self, max_rows: int) -> Purged:
        """Delete one slice of what is below the floors; call it until `is_done`. Sums and
        `last_seq` stay right.
        """
        ...

    async def trim(self, max_rows: int) -> Trimmed:
        """Delete one slice of the oldest records by `seq`, for the cap on size: at once gone from
        all answers and sums.

        Bodies of the older half go before any row (`storage.purge.next_trim`); the newest rows
        always stay. A store that deletes by larger parts takes more than `max_rows`.
        """
        ...

    async def reclaim(self) -> None:
        """Make space that was freed usable for what comes, where the database leaves that to
        others.
        """
        ...

    async def is_in_place(self) -> bool:
        """Whether what is written can be found again: a file may be removed while it is open."""
        ...

    async def vacuum(self) -> None:
        """Give free space back to the file system, as much as can be while the store is in use."""
        ...

    async def erase(self, filter: Filter) -> Erased:
        """Erase what matches a filter at this moment: rows, their counts in all sums, and their
        heads and bodies.

        Nothing of them is left in what other records keep. It proceeds in slices between batches:
        readers meanwhile see some of it gone. Cancelled or failed half-way, what is erased stays
        erased; ask again for the rest.
        """
        ...

    async def erasing(self) -> int:
        """Bring on the deletion of what was erased; returns how many erased records are left on the
        disk.

        No reader sees them. 0 where an erasure deletes at once; else call it now and then, from any
        sidecar.
        """
        ...

    async def index_text(self) -> TextStep:
        """Make one step of the index of words, of what is committed and not in it yet; call it
        until `is_done`.

        Searches are complete without it, and quick with it. It is made from what is stored: who is
        killed goes on where the store says. Nothing is left in it of what is erased or purged. One
        step at a time.
        """
        ...

    async def text_index(self) -> TextIndex:
        """Tell how far the index of words has come."""
        ...

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        """Read one tool call by the id of the record that asked for it and its place in that; None
        without one.
        """
        ...

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        """Read the tool calls that were stored with one record, by position."""
        ...

    async def waiting_calls(self, instance: str) -> list[ToolCall]:
        """List the calls that were committed as `processing` by one sidecar, and not since with
        their answer.

        Such a call is no row of any other answer; it is forgotten with its record, as it is once it
        has ended.
        """
        ...

    async def last_seq(self) -> int:
        """Read the end of the stable prefix, that of the newest row at most; 0 when empty. It never
        falls.
        """
        ...

    async def jobs(self, limit: int) -> list[Job]:
        """Read the newest jobs, by when they began, newest first."""
        ...

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        """Read the ids of the records that the jobs which one record began are counted with, a few
        at most.
        """
        ...

    async def meta(self, name: str) -> str | None:
        """Read a value that belongs to the store as a whole, such as the tail's offset; None when
        there is none.
        """
        ...

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        """Keep such a value, in a transaction of its own; without `replace` only when there is none
        yet.

        Returns:
            The value that is kept now: another sidecar may have been first.
        """
        ...

    async def keys(self) -> list[ApiKey]:
        """Read all API keys in the order of creation, deleted ones included."""
        ...

    async def key_version(self) -> int:
        """Read a number that rises with every change of a key, by whichever sidecar; uses do not
        count.
        """
        ...

    async def create_key(self, key: ApiKey) -> None:
        """Store a new key.

        Raises:
            StorageRejected: its id or its hash is stored already, or a text cannot be.
        """
        ...

    async def update_key(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        """Change a key, its other members as they are now; None when there is none, or it is
        deleted.
        """
        ...

    async def delete_key(self, key_id: str, at_us: int) -> KeyUpdate | None:
        """Delete a key: its hash is forgotten, its name stays; None when there is none any more."""
        ...

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        """Note the newest use of keys, by id in Unix µs; older ones than known, and unknown keys,
        change nothing.
        """
        ...

    async def views(self, owner: str) -> list[View]:
        """Read the views of one scope, by name."""
        ...

    async def put_view(self, owner: str, view: View, replaced: str | None = None) -> PutView:
        """Keep a view of a scope instead of one of the same name; with `replaced`, instead of that
        one.

        Nothing changes unless it is `stored`: a scope has at most `storage.search.view.MAX_VIEWS`.
        """
        ...

    async def delete_view(self, owner: str, name: str) -> bool:
        """Delete a view of a scope; False when there is none of that name."""
        ...

    async def info(self) -> StorageInfo:
        """Describe the store to an operator."""
        ...

    async def replicas(self) -> list[Replica]:
        """Ask each copy of the store how it is, in the order of the address; none where there is
        but one store.
        """
        ...

    async def close(self) -> None:
        """Finish what is running, give back connections and threads. Idempotent."""
        ...

    async def __aenter__(self) -> Self:
        """Return the open store."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Close the store."""
        ...
