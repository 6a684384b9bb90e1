"""The collector's part of the key check: workers get every change of a key within a second, and the
store gets the times of use.

The store's key version is polled, because another sidecar of the same store may change keys; a
change made here is published at once. Publishing updates the index first, so that no record names a
key that the index lacks, then replaces the snapshot file, then raises the generation in the header
page of every ring. A worker that sees the new number finds the new file.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxy.collector.rings.sources import Source
from proxy.enrich.attribution import KeyIndex
from proxy.ring.key_snapshot import encode_snapshot, write_snapshot
from proxy.ring.segment_layout import KEYS_GENERATION
from storage.base import Storage
from storage.errors import StorageError

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
"""Time between two polls. With the workers' tick of 50 ms and the reading of the file, a change
takes effect within a second.
"""
OPENING_S: Final = 5.0
"""Time that opening a store may take at the start, on a busy machine, before it counts as an error.
"""
USES_EVERY_S: Final = 10.0
"""Longest delay with which a key's last use is stored."""


class KeyPublisher:
    """Publishes the keys to workers and records."""

    def __init__(
        self, storage: Storage, directory: Path, attached: Mapping[bytes, Source], index: KeyIndex
    ) -> None:
        """Publish into the data directory and to the rings that `attached` returns at that moment,
        and keep `index` up to date.
        """
        self._storage = storage
        self._directory = directory
        self._attached = attached
        self._index = index
        self._version = -1
        self._generation = 0
        self._is_publishing = asyncio.Lock()
        self._started_s = time.monotonic()
        self._is_reported = False
        self.reason = ""
        """Reason why workers may lack the newest keys; empty while they have them."""

    async def run(self) -> None:
        flushed_s = time.monotonic()
        while True:
            await self.refresh()
            if time.monotonic() - flushed_s >= USES_EVERY_S:
                flushed_s = time.monotonic()
                await self.flush_uses()
            await asyncio.sleep(POLL_S)

    async def refresh(self) -> None:
        """Publish if the keys have changed; after a failure the next call tries again."""
        async with self._is_publishing:
            try:
                version = await self._storage.key_version()
                if version != self._version:
                    await self._publish()
                    self._version = version
                self.reason = ""
                self._is_reported = False
            except (StorageError, OSError) as error:
                self.reason = str(error) or type(error).__name__
                self._report_failure()

    def _report_failure(self) -> None:
        """Log a failure once, but not while the store is still being opened: the start does not
        wait for that.
        """
        is_starting = self._version < 0 and time.monotonic() - self._started_s < OPENING_S
        if not self._is_reported and not is_starting:
            self._is_reported = True
            log.error(
                "the keys cannot be published, workers keep the current ones: %s", self.reason
            )

    async def _publish(self) -> None:
        keys = await self._storage.keys()
        self._index.replace(keys)
        await asyncio.to_thread(write_snapshot, self._directory, encode_snapshot(keys))
        # Above every earlier one, also those of a collector before us: rings remember.
        self._generation = max(self._generation + 1, time.time_ns())
        for source in self._attached.values():
            self.announce(source)

    def announce(self, source: Source) -> None:
        if self._generation:
            source.segment.cells[KEYS_GENERATION] = self._generation

    async def flush_uses(self) -> None:
        """Store the times of the keys' last use; after a failure they are kept for the next call."""
        uses = self._index.take_uses()
        if not uses:
            return
        try:
            await self._storage.touch_keys(uses)
        except StorageError as error:
            log.warning("the last use of keys could not be stored yet: %s", error)
            for key_id, at_us in uses.items():
                self._index.note_use(key_id, at_us)
