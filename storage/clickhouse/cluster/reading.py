"""Which replica a read asks: one that has all rows of the commits that it shows."""

from storage.clickhouse.cluster.replicas import ClusterLink, Copy
from storage.clickhouse.cluster.terms import replicas_of_newest
from storage.clickhouse.link import Link
from storage.clickhouse.reads.visible import Commits, Committed
from storage.errors import StorageUnavailable


async def readable(link: Link, commits: Commits) -> tuple[Link, Committed]:
    """Find the server to read from, and read what is committed there.

    Raises:
        StorageUnavailable: There is none at present.
    """
    if not isinstance(link, ClusterLink):
        return link, await commits.read(link)
    reasons = []
    for _ in link.copies:
        copy = link.current
        try:
            name = await copy.name()
            await _check(copy, name)
            return copy.link, await commits.read(copy.link, name)
        except StorageUnavailable as error:
            reasons.append(str(error))
            link.turn(copy.link.hosts[0])
    raise StorageUnavailable("; ".join(reasons))


async def _check(copy: Copy, name: str) -> None:
    """Look now and then whether the others have gone on without a replica, which it need not have heard of."""
    if not copy.is_check_due():
        return
    try:
        replicas = await replicas_of_newest(copy.link)
    except StorageUnavailable:
        return  # without a coordinator nobody goes on: what is there can be read
    if replicas is not None and name not in replicas:
        raise StorageUnavailable(f"clickhouse: the replica {name} is behind the others")
    copy.note_check()
