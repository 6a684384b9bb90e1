"""Which replicas have all rows of which sums: said row by row in the table `summed`, after they were counted there.

Strategy: sums are made on one replica, which then has them. The others get them in the servers' own time, table by
table in any order, so a grid that is done says nothing of them: its rows are counted on each and on one that is known
to have all. Until a replica is noted it reads rows instead, which is slower and never wrong.

Everything here does nothing where the link leads to one server.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a parameter

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from storage.clickhouse.cluster.replicas import ClusterLink, Copy
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.upkeep.grids import Grid, covered, read_grids, void_number
from storage.errors import StorageUnavailable
from storage.relational.slices import Range

_READ: Final = "SELECT made, replica FROM summed"
_NOTE: Final = "INSERT INTO summed SELECT toUInt64(arrayJoin([{}])), $1 FROM system.one"
_COUNTED: Final = 256
"""Sums that are counted on a replica at once, at most."""

Counts = Mapping[int, Sequence[int]]
"""Number of sums → their rows in each table."""


async def replica_of(link: Link, server: Link) -> str:
    """Tell the name of the replica that a server of a link is; empty where there are none."""
    return await _copy_of(link, server).name() if isinstance(link, ClusterLink) else ""


async def note_made(link: Link, server: Link, made: int) -> None:
    """Note that a server has all rows of sums, because they were inserted there."""
    if isinstance(link, ClusterLink):
        await _note(server, [made], await replica_of(link, server))


async def note_whole(link: Link, server: Link, tables: Sequence[str]) -> None:
    """Note which replicas have got all rows of sums meanwhile; one that is away is left for later."""
    if not isinstance(link, ClusterLink):
        return
    counting = covered(await read_grids(server)).made
    named: dict[int, set[str]] = defaultdict(set)
    for made, replica in await server.fetch(_READ, limit_s=LIMIT_S):
        named[made].add(replica)
    if all(len(named[made]) >= len(link.copies) for made in counting):
        return
    for copy in link.copies:
        try:
            name = await copy.name()
            lacking = [made for made in counting if name not in named[made]][-_COUNTED:]
            whole = await _whole(link, copy, tables, {made: named[made] for made in lacking})
        except StorageUnavailable:
            continue
        if whole:
            await _note(server, whole, name)


async def is_avoided(link: Link, rows: Range, erasures: int) -> bool:
    """Whether any replica knows of a later erasure in rows: their sums may have, or lack, what it hides."""
    if not isinstance(link, ClusterLink):
        return False
    for copy in link.copies:
        try:
            voids = [grid for grid in await read_grids(copy.link) if grid.what == "void"]
        except StorageUnavailable:
            continue
        if void_number(rows, voids) > erasures:
            return True
    return False


async def read_by_replicas(copies: Iterable[Copy]) -> list[Grid] | None:
    """List the grids whose sums any replica reads; None where one does not tell."""
    try:
        return [grid for copy in copies for grid in covered(await read_grids(copy.link, await copy.name())).grids]
    except StorageUnavailable:
        return None


async def _note(server: Link, made: Sequence[int], replica: str) -> None:
    await server.execute(_NOTE.format(", ".join(map(str, made))), (replica,), limit_s=LIMIT_S)


def _copy_of(link: ClusterLink, server: Link) -> Copy:
    return next((copy for copy in link.copies if copy.link is server), link.current)


async def _whole(link: ClusterLink, copy: Copy, tables: Sequence[str], named: Mapping[int, set[str]]) -> list[int]:
    """Find sums of which a replica has as many rows as one that is noted."""
    whole: list[int] = []
    for other in link.copies:
        known = [made for made, names in named.items() if other is not copy and await other.name() in names]
        if known:
            wanted, counts = await _count(other.link, tables, known), await _count(copy.link, tables, known)
            whole += [made for made in known if counts[made] == wanted[made] and made not in whole]
    return whole


async def _count(link: Link, tables: Sequence[str], made: Sequence[int]) -> Counts:
    counts = {number: [0] * len(tables) for number in made}
    for place, table in enumerate(tables):
        sql = f"SELECT made, count() FROM {table} WHERE made IN $1 GROUP BY made"
        for number, rows in await link.fetch(sql, (list(made),), limit_s=LIMIT_S):
            counts[number][place] = rows
    return counts
