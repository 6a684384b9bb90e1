"""The export of one signal: continues at its last position and sends everything stored since.

Strategy: the position is a `seq`, kept in the store next to the records. It moves when the receiver
has answered, and is saved before the next request. So an accepted batch is not sent again, and an
unanswered one is: the same spans with the same ids. Nothing is held in memory while waiting: after
a failure the records are read again, in their current form. Records of other sidecars in the same
store are left to those.

If one record is refused while others are accepted, the record is bad; if nothing is accepted, the
receiver is bad, and everything waits. So a refused batch is halved, and when a single record is
refused, later records are tried as well.

Invariant: every record of this sidecar stored after the start of the export is either sent, refused
by the receiver, left out by its kind, or missed: deleted from the store before it could be sent.
`counted` is the sum of all four. At the end of the log it is compared with the stored records of
the ledger; the difference is the number of missed ones.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from proxy.otel.answers import REASONS, Answer, Later, Refused, Taken, Verdict, judge
from proxy.otel.reading import Reader
from proxy.otel.requests import Item, Signal, count, next_batch, write_request
from storage.base import Storage
from storage.errors import StorageError

log = logging.getLogger(__name__)

AWAY_S: Final = 2.0
"""Pause while the store is unavailable."""
FIRST_PAUSE_S: Final = 1.0
SETTLED_S: Final = 60.0
"""Time after its commit from which a record is surely below the end of the log, even if sequence
numbers run ahead of the clock.
"""
MAX_PAUSE_S: Final = 60.0
"""Longest pause. Pauses double after each failure, unless the receiver names one."""
_ANY_NUMBER: Final = 1 << 20
"""Initial limit of records in a request: a page bounds them. A refusal halves it until the refused
record is alone.
"""


Send = Callable[[Signal, bytes], Awaitable[Answer | Later]]
"""Send a request; return the response, or the reason for its absence."""


class Progress(msgspec.Struct, frozen=True):
    """The progress of an export, in its stored form."""

    seq: int
    """Sequence number of the last settled record."""
    counted: int
    """Number of this sidecar's records stored up to there, as the ledger counts them."""


@dataclass(slots=True)
class ExportCounters:
    """Counters of an export since the start of the process."""

    exported: int = 0
    """Spans or log records that the receiver accepted."""
    rejected: int = 0
    """Spans or log records that the receiver refused."""
    missed_records: int = 0
    """Records that were deleted before they could be sent."""
    failures: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in REASONS})
    """Failed requests, by reason."""


@dataclass(slots=True, eq=False)
class Exporter:
    """Exports one signal. `run` is the task; `stop` makes it send the rest and end."""

    signal: Signal
    reader: Reader
    send: Send
    storage: Storage
    """Store that keeps the position; not closed."""
    stored_records: Callable[[], int]
    """Returns the number of records that this sidecar has stored since its data directory was made.
    """
    max_bytes: int = 4 << 20
    """Limit of a request before compression; a single record may exceed it."""
    interval_s: float = 2.0
    """Pause when everything is sent."""
    start: Progress | None = None
    """Start of an export without a position; None for the end of the log at the first access."""
    clock: Callable[[], float] = time.time
    counters: ExportCounters = field(default_factory=ExportCounters, init=False)
    problem: str = field(default="", init=False)
    """Reason why the last request was not accepted; empty if it was."""
    _progress: Progress | None = field(default=None, init=False)
    _is_saved: bool = field(default=True, init=False)
    _checked: int = field(default=-1, init=False)
    _seen: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    """Times at which the ledger was read, and its stored records at that time."""
    _tries: int = field(default=0, init=False)
    _pauses: int = field(default=0, init=False)
    """Number of failures since something was accepted."""
    _suspect_until: int = field(default=0, init=False)
    """Last `seq` of the refused batch."""
    _is_proven: bool = field(default=False, init=False)
    """True if something was accepted since that batch was refused, or a record of it was skipped.
    """
    _ahead: set[int] = field(default_factory=set, init=False)
    """Records after a refused one that were sent to test the receiver."""
    _max_items: int = field(default=_ANY_NUMBER, init=False)
    _oldest_at_us: int | None = field(default=None, init=False)
    _is_stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def _meta(self) -> str:
        return f"otel_{self.signal}:{self.reader.instance}"

    @property
    def waiting_records(self) -> int:
        """Number of records that are stored and not settled; 0 before the position is known."""
        if self._progress is None:
            return 0
        return max(self.stored_records() - self._progress.counted, 0)

    @property
    def lag_s(self) -> float:
        """Return the age in seconds of the oldest record known to wait for its export; 0 if no
        record waits.
        """
        if self._oldest_at_us is None or not self.waiting_records:
            return 0.0
        return max(self.clock() - self._oldest_at_us / 1e6, 0.0)

    async def run(self) -> None:
        """Export until `stop`, then once more send everything stored by then."""
        while not self._is_stopping.is_set():
            rest_s = await self.step()
            try:
                async with asyncio.timeout(rest_s):
                    await self._is_stopping.wait()
            except TimeoutError:
                pass

        await self.step()

    def stop(self) -> None:
        """Let `run` end. The caller limits the time for it."""
        self._is_stopping.set()

    async def step(self) -> float:
        """Send everything stored by now; return the pause until the next step in seconds."""
        try:
            progress = await self._load()
            stored = self.stored_records()
            if stored == self._checked:
                return self.interval_s
            return await self._export(progress, stored)
        except StorageError as error:
            log.debug("the export of %s waits for the store: %s", self.signal, error)
            return AWAY_S
        except Exception:  # an export must not stop the collector
            log.exception("bug: the export of %s failed", self.signal)
            return MAX_PAUSE_S

    async def _load(self) -> Progress:
        """Return the position of the export, read from the store the first time. Save it if an
        earlier attempt to save it failed.

        Save it if an earlier attempt failed.
        """
        progress = self._progress
        if progress is None:
            kept = await self.storage.meta(self._meta)
            progress = None if kept is None else _read(kept)
            if progress is None:
                stored = self.stored_records()  # before the head, so that the count is not above it
                progress = self.start or Progress(await self.storage.last_seq(), stored)
                self._is_saved = False

            # A restored store has fewer records than were counted.
            self._progress = msgspec.structs.replace(
                progress, counted=min(progress.counted, self.stored_records())
            )

        if not self._is_saved:
            await self._save()
        return self._known

    async def _export(self, progress: Progress, stored: int) -> float:
        """Send everything up to the newest record, and compare with the ledger.

        `stored` is the ledger's count, read before the newest record was determined.
        """
        head = await self.storage.last_seq()
        if progress.seq > head:
            await self._begin_again(stored, head)
        while (after := self._known.seq) < head:
            page = await self.reader.read(self.signal, after, head)
            if (pause_s := await self._deliver_all(page.items)) is not None:
                return pause_s
            if page.end <= after and not page.items:
                return AWAY_S  # the time budget ended before the first record

            if page.end > self._known.seq:
                await self._advance(page.end, 0)

        if self._known.seq >= head:
            self._oldest_at_us = None
            settled = self._settled(stored)
            await self._count_missed(settled)
            self._checked = settled

        return self.interval_s

    def _settled(self, stored: int) -> int:
        """Return the number of records stored long enough ago to be below the end of the log."""
        if not self.storage.has_late_prefix:
            return stored
        now_s = self.clock()
        seen = self._seen
        seen.append((now_s, stored))
        while len(seen) > 1 and now_s - seen[1][0] >= SETTLED_S:
            seen.popleft()
        if now_s - seen[0][0] >= SETTLED_S:
            return seen[0][1]

        return self._known.counted

    @property
    def _known(self) -> Progress:
        assert self._progress is not None
        return self._progress

    async def _begin_again(self, stored: int, head: int) -> None:
        """Continue at the position in the store; without a valid one, at the first record."""
        log.warning(
            "the store is older than the export of %s: it was emptied, replaced or restored",
            self.signal,
        )
        kept = await self.storage.meta(self._meta)

        known = None if kept is None else _read(kept)
        if known is not None and known.seq <= head:
            # The store lost only its newest commits, as a replica that became the primary may.
            self._progress = msgspec.structs.replace(known, counted=min(known.counted, stored))
            return

        there = await self.reader.count()
        missed = max(stored - there - self._known.counted, 0)
        self.counters.missed_records += missed
        self._progress = Progress(0, max(stored - there, 0))
        await self._save()

    async def _deliver_all(self, items: Sequence[Item]) -> float | None:
        """Send items; return the pause in seconds before the rest must be sent again, None if all
        are settled.
        """
        while items:
            items = [
                replace(each, encoded=()) if each.seq in self._ahead else each for each in items
            ]
            batch = next_batch(items, self.max_bytes, self._max_items)
            self._oldest_at_us = batch[0].ended_at_us
            sent = count(batch)
            if sent:
                verdict = await self._send(batch, sent)
            else:
                verdict = Taken()
            if isinstance(verdict, Later):
                return self._postpone(verdict)

            if isinstance(verdict, Refused):
                self._max_items = max(len(batch) // 2, 1)
                if batch[-1].seq > self._suspect_until:
                    self._suspect_until = batch[-1].seq
                    self._is_proven = False
                if len(batch) > 1:
                    continue
                verdict = await self._refused_alone(items, verdict)
                if isinstance(verdict, Later):
                    return self._postpone(verdict)
            elif sent:
                self._max_items = min(2 * self._max_items, _ANY_NUMBER)

            self._settle(sent, verdict)
            await self._advance(batch[-1].seq, len(batch))
            items = items[len(batch) :]

        return None

    async def _refused_alone(self, items: Sequence[Item], refused: Refused) -> Taken | Later:
        """Judge the first of some items, after it was refused alone.

        If the receiver accepts other items, the record is bad and skipped; otherwise the receiver
        is bad, and all items wait.
        """
        others = [item for item in items[1:] if item.encoded]
        near = [others[2**step - 1] for step in range(len(others).bit_length())]
        for other in dict.fromkeys((*near, *others[-1:])):
            if self._is_proven:
                break
            sent = len(other.encoded)
            verdict = await self._send([other], sent)
            if isinstance(verdict, Later):
                return verdict
            if isinstance(verdict, Taken):
                self._ahead.add(other.seq)
                self._settle(sent, verdict)

        if not self._is_proven:
            text = "nothing else is taken either, so all records wait"
            return Later("refused", f"{refused.message}; {text}")

        self._is_proven = False
        return Taken(len(items[0].encoded), refused.message)

    def _settle(self, sent: int, taken: Taken) -> None:
        self.counters.exported += sent - taken.rejected
        self.counters.rejected += taken.rejected
        if taken.rejected:
            self._report(
                f"{taken.rejected} of {sent} were refused and are passed over: {taken.message}"
            )
        elif sent:
            self._report("")

    async def _send(self, items: Sequence[Item], sent: int) -> Verdict:
        self._tries += 1
        answer = await self.send(self.signal, write_request(self.signal, items))
        if isinstance(answer, Later):
            verdict: Verdict = answer
        else:
            verdict = judge(answer, sent, self._tries, self.clock())

        if isinstance(verdict, Taken):
            self._is_proven = True
            self._pauses = 0
        else:
            self.counters.failures[
                "refused" if isinstance(verdict, Refused) else verdict.reason
            ] += 1
        if not isinstance(verdict, Later):
            self._tries = 0
        return verdict

    def _postpone(self, verdict: Later) -> float:
        self._report(verdict.message)
        pause_s: float = FIRST_PAUSE_S * 2.0 ** min(self._pauses, 10)
        self._pauses += 1
        if verdict.after_s is None:
            return min(pause_s, MAX_PAUSE_S)
        return max(verdict.after_s, FIRST_PAUSE_S)

    def _report(self, problem: str) -> None:
        """Log the problem of the export, or its end, if the problem has changed."""
        if problem == self.problem:
            return
        if problem:
            log.warning("export of %s: %s", self.signal, problem)
        else:
            log.info("export of %s: the receiver accepts it again", self.signal)

        self.problem = problem

    async def _advance(self, seq: int, records: int) -> None:
        self._progress = Progress(seq, self._known.counted + records)
        self._ahead = {each for each in self._ahead if each > seq}
        await self._save()

    async def _save(self) -> None:
        self._is_saved = False
        await self.storage.put_meta(
            self._meta, msgspec.json.encode(self._known).decode(), replace=True
        )
        self._is_saved = True

    async def _count_missed(self, stored: int) -> None:
        """Count the records in the ledger that no page contained.

        `stored` must be read before the end of the last page.
        """
        missed = stored - self._known.counted
        if missed > 0:
            self.counters.missed_records += missed
            log.warning(
                "export of %s: %d records were deleted before they could be sent",
                self.signal,
                missed,
            )
            await self._advance(self._known.seq, missed)


def _read(kept: str) -> Progress | None:
    try:
        return msgspec.json.decode(kept, type=Progress)
    except (msgspec.DecodeError, RecursionError) as error:
        log.warning("cannot read the saved position of an export; it starts without one: %s", error)
        return None
