"""The newest changes of a register, each made once: views on one server, claims in a cluster."""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from storage.clickhouse.cluster.claims import Claims
from storage.clickhouse.link import LIMIT_S, Link, over_tables
from storage.errors import StorageUnavailable

CHANGES: Final = "changes"
_CHANGES: Final = (
    "SELECT toUInt64OrZero(substring(name, 8)) AS number FROM system.tables "
    "WHERE database = currentDatabase() AND substring(name, 1, 7) = 'change_'"
)
_ENDS: Final = f"SELECT max(place), (SELECT max(number) FROM ({_CHANGES})) FROM register"
_PLACE: Final = (
    "SELECT max(place), (SELECT sum(inserts_in_queue) FROM system.replicas "
    "WHERE database = currentDatabase() AND table = 'register') FROM register"
)
_KEPT: Final = 100
"""Changes that are kept at most for replicas that do not have them yet."""
_LOOK_AGAIN_S: Final = 0.02
SHIFT: Final = 8
"""A place in the table is the number of its change, and below it that within the change."""


class Changes(Protocol):
    """Changes by their numbers."""

    async def ends(self) -> tuple[int, int]:
        """Return the greatest place in the table, and the number of the newest change; 0 without any."""

    async def content(self, number: int) -> str | None:
        """Read a change; None where it is gone."""

    async def make(self, number: int, content: str) -> None:
        """Make a change.

        Raises:
            AlreadyThere: There is one of this number.
        """

    async def forget(self, before: int) -> None:
        """Drop changes before a number."""


class Views:
    """Changes as views of one server, `change_N`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def ends(self) -> tuple[int, int]:
        [(place, last)] = await over_tables(partial(self._link.fetch, _ENDS, limit_s=LIMIT_S))
        return int(place), int(last or 0)

    async def content(self, number: int) -> str | None:
        # Another one was quicker, and it is gone; unless the server is away: then looking again will tell.
        with suppress(StorageUnavailable):
            [(text,)] = await self._link.fetch(f"SELECT change FROM change_{number}", limit_s=LIMIT_S)
            return str(text)
        return None

    async def make(self, number: int, content: str) -> None:
        await self._link.execute(f"CREATE VIEW change_{number} AS SELECT $1 AS change", (content,), limit_s=LIMIT_S)

    async def forget(self, before: int) -> None:
        for (number,) in await over_tables(partial(self._link.fetch, _CHANGES, limit_s=LIMIT_S)):
            if number < before:
                await self._link.execute(f"DROP TABLE IF EXISTS change_{number}", limit_s=LIMIT_S)


class Claimed:
    """Changes that a cluster agrees on."""

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._claims = Claims(link, CHANGES)

    async def ends(self) -> tuple[int, int]:
        # What is still on its way to this replica may lie before what is there.
        ends_at = self._clock() + LIMIT_S
        while True:
            [(place, coming)] = await self._link.fetch(_PLACE, limit_s=LIMIT_S)
            if not coming:
                return int(place), (await self._claims.newest())[0]
            if self._clock() > ends_at:
                raise StorageUnavailable("clickhouse: the replica that was asked does not get the register")
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def content(self, number: int) -> str | None:
        content = await self._claims.content(number)
        if content is None:
            # The others have it in the table already; it is on its way.
            await asyncio.sleep(_LOOK_AGAIN_S)
            return None
        return content.decode()

    async def make(self, number: int, content: str) -> None:
        await self._claims.claim(number, content.encode())

    async def forget(self, before: int) -> None:
        # A replica that is away takes from here what another one that dies had in its table alone.
        await self._claims.forget(before if await self._is_everywhere(before - 1) else before - _KEPT)

    async def _is_everywhere(self, number: int) -> bool:
        try:
            places = [await link.fetch(_PLACE, limit_s=LIMIT_S) for link in self._link.everywhere()]
        except StorageUnavailable:
            return False
        return all(place >> SHIFT >= number and not coming for [(place, coming)] in places)
