"""The key check of one worker: the snapshot it knows, and what an exchange is told before anything is forwarded.

Strategy: the collector raises a number in the segment's header page once a new snapshot is in place; the engine's tick
compares it and reads the file anew, so requests never look at shared memory or files. The invariant: without a snapshot
a route that requires keys is closed (`keys_unavailable`), never open.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from proxy.http1.errors import Refused
from proxy.http1.forwarded import TrustedProxies
from proxy.http1.request_head import RequestHead
from proxy.ring.exchange import ACCESS, NO_KEY, Exchange
from proxy.ring.key_snapshot import KnownKey, read_snapshot
from proxy.ring.segment_layout import KEYS_GENERATION
from proxy.worker.key_access import Access, evaluate, explain
from proxy.worker.recorder import Recorder
from proxy.worker.routes import RouteTable

log = logging.getLogger(__name__)


class Gate:
    """Admits exchanges to routes that ask something of their callers."""

    def __init__(
        self,
        routes: RouteTable,
        cells: "memoryview[int]",
        directory: Path,
        trusted: TrustedProxies,
        recorder: Recorder,
    ) -> None:
        """Begin with the snapshot that is there, if any route asks for keys.

        Args:
            routes: of this worker.
            cells: header page of its segment.
            directory: the data directory.
            trusted: proxies whose word is taken.
            recorder: counts refusals.
        """
        self._cells = cells
        self._directory = directory
        self._trusted = trusted
        self._recorder = recorder
        self._keys: Mapping[bytes, KnownKey] | None = None
        self._is_needed = any(route.access is not None and route.access.is_keyed for route in routes.routes)
        self._generation = self._failed_generation = 0
        if self._is_needed:
            self._load(cells[KEYS_GENERATION])

    def refresh(self) -> None:
        """Read the snapshot anew when the collector has replaced it; called by the tick."""
        generation = self._cells[KEYS_GENERATION]
        if generation != self._generation and self._is_needed:
            self._load(generation)

    def _load(self, generation: int) -> None:
        try:
            self._keys = read_snapshot(self._directory)
        except FileNotFoundError as error:
            if generation:
                self._complain(generation, error)
        except (OSError, ValueError) as error:
            self._complain(generation, error)
        else:
            self._generation = generation

    def _complain(self, generation: int, error: Exception) -> None:
        """Say once per snapshot that it cannot be read; the one before stays in force, the next tick tries again."""
        if self._failed_generation != generation or not generation:
            self._failed_generation = generation
            log.error("the key snapshot cannot be read: %s", error)

    def admit(self, exchange: Exchange, access: Access, head: RequestHead, peer: bytes) -> None:
        """Check a call before it is forwarded, and note the key for its record.

        Raises:
            Refused: one of the six key codes, or `keys_unavailable`.
        """
        key_id, code = NO_KEY, ""
        if access.is_keyed:
            presented = access.presented(head.lines)
            key, code = evaluate(access, presented, self._keys, exchange.started_at_ns // 1000)
            if key is not None:
                key_id = key.id
        is_trusted = (access.believes_headers or code != "") and self._trusted.has(peer.decode())
        exchange.access = ACCESS.pack(is_trusted, key_id)
        if code:
            if is_trusted and head.forwarded_for:
                exchange.client = self._trusted.client(peer.decode(), head.forwarded_for).encode()
            self._recorder.count_auth_failure(code)
            raise Refused(code, explain(access, code))
