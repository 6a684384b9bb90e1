"""Word of commits among the sidecars of one database: they wake tails that would otherwise look every 250 ms.

Strategy: NOTIFY is part of a batch's first round trip and takes effect with its commit; who listens does so on a
connection of its own, which must lead to the server itself, because LISTEN belongs to a session and a pooler changes
sessions. Only where the setting asks for it: commits with a NOTIFY wait for each other (async.c of the server).

Invariant: nothing depends on a notice. They may be lost, come twice or come late; tails look by themselves, too.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from storage.errors import StorageRejected, StorageUnavailable
from storage.postgres.connection import Address, Connection, connect, translated

log = logging.getLogger(__name__)

CHANNEL: Final = "sidelog_commits"
RETRY_FIRST_S: Final = 0.25
RETRY_MAX_S: Final = 30.0
CHECK_S: Final = 30.0
"""How often a silent connection is asked whether it is still one."""
CHECK_LIMIT_S: Final = 5.0


def notify(begin: str, name: str) -> str:
    """Add to the text that begins a transaction that others hear of its commit, in the name of a sidecar."""
    quoted = name.replace("'", "''")
    return f"{begin}; NOTIFY {CHANNEL}, '{quoted}'"


async def hear(address: Address, own: str, on_news: Callable[[], object]) -> NoReturn:
    """Call `on_news` for the commits of others, until cancelled; a connection that is lost is opened again.

    The address is that of the server, not of a pooler. Our own commits are announced under the name `own`, and are no
    news. `on_news` is also called after each connect, for what came before.
    """
    pause_s, reason = RETRY_FIRST_S, ""
    while True:
        began_s = asyncio.get_running_loop().time()
        try:
            with translated():
                await _hear(address, own, on_news)
        except (StorageUnavailable, StorageRejected) as error:
            if str(error) != reason:
                reason = str(error)
                log.warning("commits of other sidecars are not announced at present, the store is polled: %s", reason)
        if asyncio.get_running_loop().time() - began_s > RETRY_MAX_S:
            pause_s, reason = RETRY_FIRST_S, ""
        await asyncio.sleep(pause_s)
        pause_s = min(RETRY_MAX_S, 2 * pause_s)


async def _hear(address: Address, own: str, on_news: Callable[[], object]) -> NoReturn:
    """Listen on one connection until it is lost.

    Raises:
        OSError: it is, or does not answer, or leads to a pooler; or the driver's errors.
    """
    is_lost = asyncio.Event()

    def take(_connection: object, _process_id: int, _channel: str, name: object) -> None:
        if name != own:
            on_news()

    connection = await connect(address, statement_cache_size=0)
    try:
        connection.add_termination_listener(lambda _: is_lost.set())
        await _check(connection)
        await connection.add_listener(CHANNEL, take)
        log.info("commits of other sidecars are announced")
        on_news()
        while not await _is_set(is_lost, CHECK_S):
            await _check(connection)
        raise ConnectionError("the connection for notices was lost")
    finally:
        connection.terminate()


async def _is_set(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False


async def _check(connection: Connection) -> None:
    """Ask the server for its process: a pooler reports another one at connect time.

    Raises:
        OSError: no answer in time, or a pooler.
    """
    async with asyncio.timeout(CHECK_LIMIT_S):
        process_id = await connection.fetchval("SELECT pg_backend_pid()")
    if process_id != connection.get_server_pid():
        raise ConnectionError("[storage] listen_url leads to a pooler, expected the server itself")
