"""The storage contract. One conformance suite (`tests/contract/test_storage.py`) runs over every
backend.

Its promises:

* **A batch is one transaction.** Rows, payloads, rollup counts and positions become visible
  together or not at all. If `commit` raises, nothing of the batch is stored; if it is cancelled or
  the process dies, either all of it is or nothing, and `positions` tells which. So a source's
  records are stored exactly once, without looking rows up. Where a database has no transactions, a
  batch is one atomic insert that includes the positions.
* **`seq` has a stable prefix.** `seq` is unique, above 0, below 2^52, never reused, and rises along
  a batch and from batch to batch of one sidecar. `last_seq` is the end of the stable prefix: no row
  will be added at or below it. So a reader of "greater than n, up to `last_seq`" misses nothing.
  Rows above it can be read already, and others may still come between them. Numbers may be skipped.
  In SQLite and Postgres every committed row is in the prefix, and only retention and erasure leave
  holes; where sidecars write at the same time (`has_late_prefix`), it ends a few seconds ago.
  Retention and erasure never lower `last_seq`.
* **Records are immutable.** There is no update. Retention by age raises a floor first: from then
  on, records that started before it are left out of every answer, list, count and sum. Their rows
  are deleted later, slice by slice. Retention by size deletes slices of the oldest rows, each with
  its counts in one transaction. Storing an id twice is a bug of the caller; a store that can detect
  it refuses the batch with `StorageRejected`, and nothing of the batch is kept.
* **Readers never block the writer** and see only committed rows. Every read has a time budget, and
  its answer states whether the budget cut it.
* **Any value is kept.** Text may hold NUL, any code point that UTF-8 can carry, and megabytes;
  bytes are bytes.
* **Errors** are `StorageUnavailable` (try again) or `StorageRejected` (never stores this value),
  nothing else.
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
"""Reads that a store runs at once; others wait. The query gate keeps two or more for short reads
(`api/access/query_gate.py`).
"""


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """Data that a store derived from entries before their transaction. The caller keeps it, counts
    its size, and hands it back with the batch.
    """

    size_bytes: int = 0
    """Approximate memory it takes."""


class Storage(Protocol):
    """A store of records, opened by `storage.backends.open_storage` and closed by the caller."""

    @property
    def has_late_prefix(self) -> bool:
        """Return True if rows above `last_seq` can be read while rows with lower numbers may still
        be committed.
        """
        ...

    @property
    def warning(self) -> str:
        """Reason why the store is slow although it takes batches; empty if there is none."""
        ...

    async def prepare(self, entries: Sequence[Entry]) -> Prepared:
        """Derive from entries, without asking the store, the data that their commit stores with
        them (`Batch.prepared`).

        It runs in a thread for a bounded time. `index_text` later derives whatever was not ready by
        then, and everything of a batch that is committed without it. Safe to cancel.

        Raises:
            StorageUnavailable: the store is not open.
        """
        ...

    async def commit(self, batch: Batch) -> int:
        """Store a batch in one transaction and set `record.seq` of its entries, rising in the
        batch's order.

        Safe to cancel: the transaction then either happened or did not.

        Returns:
            The last `seq` of the batch; an arbitrary number for a batch without entries.

        Raises:
            StorageUnavailable: nothing was stored, the same batch may be tried again.
            StorageRejected: nothing was stored, some value of this batch can never be.
        """
        ...

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """Read the committed position in each ring of one sidecar, by the ring's uuid, to continue
        reading there.
        """
        ...

    async def read(self, query: Query[Answer]) -> Answer:
        """Answer one of the queries of `storage.query`, `storage.tools` and
        `storage.conversations`.
        """
        ...

    async def get(self, record_id: bytes) -> Record | None:
        """Read one record by its 16-byte id; None if it is not stored."""
        ...

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """Read heads and bodies of records, by seq. Records without a payload are left out.

        Where retention removed the bodies, they are null and the heads are still there.
        """
        ...

    async def retention(self) -> RetentionState:
        """Read the state of retention: floors, and how far deletion has come."""
        ...

    async def move_floors(
        self, purge_floor_us: int, body_floor_us: int, *, down: bool = False
    ) -> None:
        """Raise the floors of retention, permanently: rows, and bodies, that started before them
        become invisible to every reader.

        Floors are whole hours. A floor below the present one changes nothing; the floor of bodies
        is never below that of rows. `down` lowers floors that a wrong clock has raised: rows that
        are not deleted yet, and later ones, are visible again.
        """
        ...

    async def purge(self, max_rows: int) -> Purged:
        """Delete one slice of the rows and bodies below the floors; call it until `is_done`. Sums
        and `last_seq` stay right.
        """
        ...

    async def trim(self, max_rows: int) -> Trimmed:
        """Delete one slice of the oldest records by `seq`, to keep to the size cap. They leave all
        answers and sums at once.

        Bodies of the older half go before any row (`storage.purge.next_trim`); the newest rows
        always stay. A store that deletes in larger parts may exceed `max_rows`.
        """
        ...

    async def reclaim(self) -> None:
        """Make freed space usable for new records, where the database does not do so by itself."""
        ...

    async def is_in_place(self) -> bool:
        """Return True if the store's database file is still at its path. Records written to a file
        that was removed while open are lost once it is closed.
        """
        ...

    async def vacuum(self) -> None:
        """Give free space back to the file system, as far as the store can while it is in use."""
        ...

    async def erase(self, filter: Filter) -> Erased:
        """Erase the records that match a filter now: rows, their counts in all sums, heads and
        bodies.

        Other records keep nothing of them. It proceeds in slices between batches, so readers
        meanwhile see some of the records gone. If it is cancelled or fails half-way, erased records
        stay erased; call it again for the rest.
        """
        ...

    async def erasing(self) -> int:
        """Continue to delete erased records; returns how many are left on the disk.

        Readers never see them. Always 0 where an erasure deletes at once; otherwise call it now and
        then, from any sidecar.
        """
        ...

    async def index_text(self) -> TextStep:
        """Add committed records to the index of words, one step; call it until `is_done`.

        Searches are complete without it and fast with it. The index is made from stored records, so
        a new process continues where the store's progress ends. Erased and purged records leave the
        index. One step at a time.
        """
        ...

    async def text_index(self) -> TextIndex:
        """Read the progress and the size of the index of words."""
        ...

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        """Read one tool call by the id of the record that asked for it and its position there; None
        if it is not stored.
        """
        ...

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        """Read the tool calls that were stored with one record, by position."""
        ...

    async def waiting_calls(self, instance: str) -> list[ToolCall]:
        """List one sidecar's calls that were committed as `processing` and have no stored answer
        yet.

        They appear in no other answer. A call is forgotten once it has ended, or when its record is
        deleted.
        """
        ...

    async def last_seq(self) -> int:
        """Read the end of the stable prefix, at most the newest `seq`; 0 when empty. It never
        falls.
        """
        ...

    async def jobs(self, limit: int) -> list[Job]:
        """Read the newest jobs, by when they began, newest first."""
        ...

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        """Read the ids of records that carry the tokens of the jobs which one record began, a few
        at most.
        """
        ...

    async def meta(self, name: str) -> str | None:
        """Read a value that belongs to the whole store, like the tail's offset; None if it is not
        set.
        """
        ...

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        """Set a value that belongs to the whole store, in a transaction of its own; without
        `replace` only if it is not set yet.

        Returns:
            The value that is kept now: another sidecar may have been first.
        """
        ...

    async def keys(self) -> list[ApiKey]:
        """Read all API keys in the order of creation, deleted ones included."""
        ...

    async def key_version(self) -> int:
        """Read a number that rises with every change of a key by any sidecar; uses do not count."""
        ...

    async def create_key(self, key: ApiKey) -> None:
        """Store a new key.

        Raises:
            StorageRejected: its id or its hash is stored already, or a text cannot be.
        """
        ...

    async def update_key(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        """Change the given members of a key; None if the key does not exist or is deleted."""
        ...

    async def delete_key(self, key_id: str, at_us: int) -> KeyUpdate | None:
        """Delete a key: its hash is forgotten, its name stays. None if it does not exist or is
        deleted already.
        """
        ...

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        """Store the newest use of keys, by id in Unix µs. Older uses than stored, and unknown keys,
        change nothing.
        """
        ...

    async def views(self, owner: str) -> list[View]:
        """Read the saved views of one scope, sorted by name."""
        ...

    async def put_view(self, owner: str, view: View, replaced: str | None = None) -> PutView:
        """Store a view of a scope in the place of one with the same name, or of the one named
        `replaced`.

        Nothing changes unless the result is `stored`: a scope has at most
        `storage.search.view.MAX_VIEWS`.
        """
        ...

    async def delete_view(self, owner: str, name: str) -> bool:
        """Delete a view of a scope; False if no view has that name."""
        ...

    async def info(self) -> StorageInfo:
        """Describe the store to an operator."""
        ...

    async def replicas(self) -> list[Replica]:
        """Ask each copy of the store for its state, in the order of the address; empty for a store
        without replicas.
        """
        ...

    async def close(self) -> None:
        """Finish running work, and release connections and threads. Idempotent."""
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
