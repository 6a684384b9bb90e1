"""How a collector begins: with its store, or without one that is away, which it meets later.

Strategy: the store gets a moment to open. If it does not, everything else begins on what was noted of it beside the
spool (`storage/writer/state_file.py`): rings are drained into the spool, the admin port answers, and what needs the
store says that it is away. When it has come, what it really has is compared with what was assumed, at one point between
two slices of the drain, and only then it is handed out.

Invariant: nothing is committed before the positions in the store are known.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from api.dialects.fanout import Fanout
from api.stream.tail import Tail
from proxy.collector.drain import Drain
from proxy.collector.retention import SPOOL_DIRECTORY, load_spool
from proxy.collector.tail_offset import begin_tail, make_tail, read_secret
from proxy.process.data_dir import DataDir
from proxy.settings.model import Settings
from storage.backends import open_storage
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.ledger import merge
from storage.record import Position, ToolCall, now_us
from storage.tools import ToolStorage
from storage.writer.deferred import RETRY_S, LateStorage
from storage.writer.spool import Spool
from storage.writer.state_file import POSITIONS_FILE, read_positions
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

FIRST_LOOK_S: Final = 1.0
"""How long the start waits for the store before it goes on without."""
ANSWER_S: Final = 5.0
"""How long an open store may take to say what it has."""


@dataclass(slots=True)
class Beginning:
    """What a collector begins with."""

    late: LateStorage
    storage: Storage
    committed: dict[bytes, Position]
    """As the store has them, or had when it was last heard of."""
    spool: Spool | None
    tail: Tail
    fanout: Fanout | None
    period: int = 0
    """Names the time without a store; 0 when it is there."""
    waiting: list[ToolCall] = field(default_factory=list)
    """Tool calls whose answer was awaited when the last collector ended."""

    @property
    def effective(self) -> dict[bytes, Position]:
        """Where every source is, in the store or the spool."""
        spool = self.spool
        return self.committed if spool is None else merge(self.committed, spool.positions, spool.retired)


@asynccontextmanager
async def begun(settings: Settings, data: DataDir) -> AsyncIterator[Beginning]:
    """Begin with the store or without it; opening goes on meanwhile, and on leaving the store is closed.

    Raises:
        SchemaTooNew: a newer sidelog wrote the store. In an exception group, like the next.
        StorageMisconfigured: its address can never work.
    """
    notify_as = data.instance if settings.storage.listen_url else ""
    opened = partial(
        open_storage, settings.storage.url, data.path, durability=settings.storage.durability, notify_as=notify_as
    )
    late = LateStorage(opened, RETRY_S)
    try:
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(late.open(), name="opening")
            try:
                yield await _begin(settings, data, late)
            finally:
                opening.cancel()
    finally:
        await late.close()


async def _begin(settings: Settings, data: DataDir, late: LateStorage) -> Beginning:
    if await late.tried(FIRST_LOOK_S):
        storage = await late.opened()
        tail = make_tail(settings, storage)
        answer = await _asked(settings, data, storage, tail)
        if answer is not None:
            late.admit()
            spool = load_spool(settings, data.path, answer.positions)
            fanout = _fanout(settings, answer.secret)
            return Beginning(late, storage, answer.positions, spool, tail, fanout, waiting=answer.waiting)
    return _begin_without(settings, data, late)


def _begin_without(settings: Settings, data: DataDir, late: LateStorage) -> Beginning:
    storage, period = late.as_storage(), now_us()
    noted = read_positions(data.path / SPOOL_DIRECTORY / POSITIONS_FILE)
    committed = noted or {}
    spool = load_spool(settings, data.path, committed)
    if spool is not None and noted is None:
        # The name of this sidecar may be older than its directory: its position in the store is somewhere else.
        spool.begin_at(period)
    return Beginning(late, storage, committed, spool, make_tail(settings, storage), _fanout(settings, b""), period)


def _fanout(settings: Settings, secret: bytes) -> Fanout | None:
    return Fanout(secret=secret, ttl_s=settings.tail.cursor_ttl_s) if settings.admin.fanout else None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is needed of a store at the start."""

    positions: dict[bytes, Position]
    secret: bytes
    waiting: list[ToolCall]


async def _asked(settings: Settings, data: DataDir, storage: Storage, tail: Tail) -> _Answer | None:
    """Ask the store for everything that is needed of it at the start, and begin the tail; None when it is away."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await begin_tail(tail, storage, data.path)
            secret = await read_secret(storage) if settings.admin.fanout else b""
            waiting = await storage.waiting_calls(data.instance) if isinstance(storage, ToolStorage) else []
            return _Answer(await storage.positions(data.instance), secret, waiting)
    except (StorageUnavailable, TimeoutError) as error:
        log.error("the store was opened and does not answer: %s", str(error) or f"nothing within {ANSWER_S:g} s")
    return None


async def meet(
    settings: Settings,
    data: DataDir,
    beginning: Beginning,
    writer: Writer,
    drain: Drain,
) -> None:
    """Wait for the store and go on with it; everybody may use it then."""
    storage = await beginning.late.opened()
    while (answer := await _asked(settings, data, storage, beginning.tail)) is None:  # noqa: ASYNC110 - it sends no event
        await asyncio.sleep(RETRY_S)
    stored, beginning.waiting = answer.positions, answer.waiting
    if beginning.fanout is not None:
        beginning.fanout.secret = answer.secret
    has_met = asyncio.Event()

    def adopt() -> Collection[bytes]:
        writer.adopt(stored)
        beginning.committed = stored
        effective = beginning.effective
        drain.committed.clear()
        drain.committed.update(effective)
        beginning.late.admit()
        has_met.set()
        return () if beginning.spool is None else beginning.spool.positions

    drain.meet(adopt)
    await has_met.wait()
