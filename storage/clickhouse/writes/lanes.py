"""Assigns lanes of numbers, and a shard, to instances, through the register, so that no two share a
lane.

Strategy: an instance claims a random free lane when it first writes, and more when its records need
more numbers than a lane gives. Lanes of an instance that has written nothing for two days are free
again. A running instance writes a mark every day, and begins again if it could not. It stays on the
shard of its first lane, the least used one at that time.
"""

import random
from collections import Counter
from functools import partial
from typing import Final, NamedTuple

from storage.clickhouse.engine.server import Server
from storage.clickhouse.numbers import DAY, LANES
from storage.clickhouse.register.register import Entry, Register
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable

MAX_LANES: Final = 64
"""Most lanes of one instance: 64 000 records/s."""
_PREFIX: Final = "lane/"
_FREE: Final = Entry(0, "")
_IDLE_DAYS: Final = 2
_TRIES: Final = 100
_WRITERS: Final = "SELECT DISTINCT writer FROM records WHERE seq >= $1 AND writer <> ''"


class Held(NamedTuple):
    """The shard and lanes of an instance."""

    shard: int
    """0: not assigned yet."""
    lanes: tuple[int, ...]
    """Numbers of the lanes, rising."""


class Lanes:
    """The lanes of all instances of one store."""

    def __init__(self, link: Link, server: Server, register: Register, shards: int = 1) -> None:
        """Take a link to the records of all shards, and the number of shards."""
        self._link = link
        self._server = server
        self._register = register
        self._shards = shards

    async def of(self, instance: str) -> Held:
        """Return the shard and the number lanes that an instance holds."""
        return _of(instance, await self._register.entries(_PREFIX))

    async def claim(self, instance: str, wanted: int) -> Held:
        """Claim lanes until an instance has `wanted`; return all that it has.

        Raises:
            StorageUnavailable: No lane is free.
        """
        for _ in range(_TRIES):
            known = await self._register.entries(_PREFIX)
            own = _of(instance, known)
            if len(own.lanes) >= wanted:
                return own

            lane = random.choice(await self._free(known))  # noqa: S311
            shard = own.shard or self._emptiest(known)
            await self._register.change(
                f"{_PREFIX}{lane}",
                partial(_take, seen=known.get(str(lane), _FREE).value, held=f"{shard}/{instance}"),
            )

        raise StorageUnavailable(
            f"clickhouse: other sidecars claimed the same lanes, {_TRIES} times in a row"
        )

    def _emptiest(self, known: dict[str, Entry]) -> int:
        used = Counter(entry.value.partition("/")[0] for entry in known.values())
        shards = list(range(1, self._shards + 1))
        random.shuffle(shards)
        return min(shards, key=lambda shard: used[str(shard)])

    async def _free(self, known: dict[str, Entry]) -> list[int]:
        free = [lane for lane in range(LANES) if str(lane) not in known]
        if not free:
            [(now_ms,)] = await self._link.fetch(f"SELECT {self._server.now_ms}")
            since = ((now_ms << 12) // DAY - _IDLE_DAYS) * DAY
            active = {writer for (writer,) in await self._link.fetch(_WRITERS, (since,))}
            free = [
                int(lane)
                for lane, entry in known.items()
                if entry.value.partition("/")[2] not in active
            ]

        if not free:
            raise StorageUnavailable(
                f"clickhouse: all {LANES} lanes of numbers belong to sidecars that write"
            )

        return free


def _of(instance: str, known: dict[str, Entry]) -> Held:
    held = [(lane, entry.value.partition("/")) for lane, entry in known.items()]
    own = [
        (int(lane), int(shard)) for lane, (shard, _, holder) in held if holder == instance and shard
    ]
    return Held(max((shard for _, shard in own), default=0), tuple(sorted(lane for lane, _ in own)))


def _take(before: str, *, seen: str, held: str) -> tuple[str | None, None]:
    """Take a lane unless another instance was quicker."""
    return (held if before == seen else None), None
