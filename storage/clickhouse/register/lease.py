"""The lease on the name of an instance, in marks of the register.

Strategy: a mark says until when a holder was heard of, by the server's clock, and another one when it left. Who begins
looks for others first, then marks, then looks again: of two that begin at once both see the other, and the lesser
holder has the name. Renewed seldom, for a fleet of hundreds does it, too; who was killed goes on at once, for its data
directory has kept who it is, and another has to wait until the mark is old.

Invariant: while somebody else's mark is young nothing is committed under the name by who came later.
"""

from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.errors import StorageUnavailable
from storage.relational.writes.lease import NameLease

_HELD: Final = "lease of "
_LEFT: Final = "left "
# Later than the last leaving: both are whole seconds.
_MARK: Final = (
    "INSERT INTO register_marks (kind, name, value) SELECT $1, $2, toInt64(greatest(toUnixTimestamp(now()), "
    "(SELECT max(value) FROM register_marks WHERE kind = $3 AND name = $2) + $4))"
)
_OTHERS: Final = (
    "SELECT name FROM register_marks WHERE kind IN ($1, $2) AND name <> $3 GROUP BY name "
    "HAVING maxIf(value, kind = $1) > greatest(maxIf(value, kind = $2), toInt64(toUnixTimestamp(now())) - $4)"
)


class Lease(NameLease):
    """One name, held or not."""

    renew_s = 30.0
    expires_s = 90.0

    async def take(self, link: Link) -> None:
        """Take the name, or renew it.

        Raises:
            StorageUnavailable: another holds it.
        """
        now_s = self._clock()
        if self.is_lost or self.may_be_lost:
            self._judge(await self._others(link), is_first=True)
        held, left = _HELD + self._instance, _LEFT + self._instance
        await link.execute(_MARK, (held, self._holder, left, 1), limit_s=LIMIT_S)
        self._judge(await self._others(link), is_first=False)
        self._renewed_at_s = now_s

    async def release(self, link: Link) -> None:
        """Give the name to whoever wants it, unless somebody has it already."""
        if not self.is_lost:
            held, left = _HELD + self._instance, _LEFT + self._instance
            await link.execute(_MARK, (left, self._holder, held, 0), limit_s=LIMIT_S)

    async def _others(self, link: Link) -> list[str]:
        kinds = _HELD + self._instance, _LEFT + self._instance
        found = await link.fetch(_OTHERS, (*kinds, self._holder, int(self.expires_s)), limit_s=LIMIT_S)
        return [str(name) for (name,) in found]

    def _judge(self, others: list[str], *, is_first: bool) -> None:
        self.is_lost = bool(others) and (is_first or min(others) < self._holder)
        if self.is_lost:
            raise StorageUnavailable(self.reason)
