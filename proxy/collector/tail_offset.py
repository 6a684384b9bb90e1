"""The state of live tails and cursors that the collector keeps in the store, so that no id is ever
used twice.

An id on the wire is K + entry number. K is kept in the store, so that all sidecars of one store
count alike; the highest id is kept in `state.json`, outside the store. A store whose ids are below
that mark at the start was emptied, replaced or restored: K is then raised above every id ever sent,
and clients with older ids have to start over.
"""

import asyncio
import logging
import secrets
from pathlib import Path
from typing import Final

from api.stream.tail import Tail
from proxy.process.data_dir import read_state, update_state
from storage.base import Storage
from storage.errors import StorageUnavailable

OFFSET_NAME: Final = "tail_offset"
CURSOR_SIGNING_NAME: Final = "cursor_secret"
MARK_NAME: Final = "tail_high_water"
MARGIN: Final = 1_000_000
"""Distance above the mark. The mark may be `SAVE_EVERY_S` old, and no machine writes this many
entries meanwhile.
"""
SAVE_EVERY_S: Final = 5.0
POLL_S: Final = 0.25
"""Time between two reads of the head of a shared store, while there are subscribers."""

log = logging.getLogger(__name__)


def raise_offset(offset: int, last_seq: int, mark: int) -> int:
    """Return K, raised if necessary so that the next id is above every id sent before."""
    head = offset + 2 * last_seq
    if head >= mark:
        return offset
    return offset + (mark - head) + MARGIN


async def start_tail(tail: Tail, storage: Storage, data_path: Path) -> None:
    """Start a tail after the newest entry of the store, and raise its offset if necessary.

    Raises:
        StorageUnavailable: the store is away.
    """
    last_seq = await storage.last_seq()
    offset = int(await storage.meta(OFFSET_NAME) or 0)
    mark = read_state(data_path).get(MARK_NAME)

    raised = raise_offset(offset, last_seq, mark if isinstance(mark, int) else 0)
    if raised != offset:
        log.warning(
            "the store is older than what was already streamed; clients of streams must start over"
        )
        await storage.put_meta(OFFSET_NAME, str(raised), replace=True)

    tail.begin(last_seq, raised)


async def read_secret(storage: Storage) -> bytes:
    """Return the secret that signs the fan-out's cursors. It is in the store, made by the first
    sidecar that needs it.

    Raises:
        StorageUnavailable: the store is away.
    """
    return bytes.fromhex(
        await storage.put_meta(CURSOR_SIGNING_NAME, secrets.token_hex(32), replace=False)
    )


async def keep_tail(tail: Tail, storage: Storage, data_path: Path, *, is_shared: bool) -> None:
    """Save the highest id every few seconds and at the end; with `is_shared` also follow entries of
    other sidecars.
    """
    loop = asyncio.get_running_loop()
    saved_id = -1

    saved_s = loop.time()
    try:
        while True:
            await asyncio.sleep(POLL_S if is_shared else SAVE_EVERY_S)
            if is_shared and tail.subscribers:
                await _follow(tail, storage)
            if tail.head_id != saved_id and loop.time() - saved_s >= SAVE_EVERY_S:
                saved_id = tail.head_id
                saved_s = loop.time()
                await asyncio.to_thread(save_mark, data_path, tail.offset + saved_id)
    finally:
        save_mark(data_path, tail.offset + tail.head_id)


async def _follow(tail: Tail, storage: Storage) -> None:
    try:
        tail.note_head(await storage.last_seq())
    except StorageUnavailable as error:
        log.debug("the head of the store cannot be read at present: %s", error)


def save_mark(data_path: Path, mark: int) -> None:
    """Write the highest id; if the disk refuses, the older one stays."""
    try:
        update_state(data_path, **{MARK_NAME: mark})
    except OSError as error:
        log.warning("the highest id of streams could not be saved: %s", error)
