"""Links that go wrong."""

from collections.abc import Sequence
from typing import Any

from storage.clickhouse.address import Address
from storage.clickhouse.answers import NotThere
from storage.clickhouse.link import Link, Row
from storage.errors import StorageUnavailable


class WaywardLink(Link):
    """A link whose next commits go wrong: the answer is lost, or the statement comes late."""

    is_lossy = False
    is_late = False

    def __init__(self, link: Link) -> None:
        super().__init__(link.address)
        self.late: list[tuple[str, Sequence[Any]]] = []

    async def execute(
        self, sql: str, parameters: Sequence[Any] = (), *, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        """See `Link.execute`."""
        if self.is_late and "commits" in sql:
            self.late.append((sql, parameters))
        else:
            await super().execute(sql, parameters, limit_s=limit_s, settings=settings)
        if (self.is_lossy or self.is_late) and "commits" in sql:
            raise StorageUnavailable("no answer")


class DroppingLink(Link):
    """A link to version 18 while tables are dropped: each look at their names is refused the first time."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.refused: set[str] = set()

    async def fetch(self, sql: str, *arguments: Any, **options: Any) -> list[Row]:
        """See `Link.fetch`."""
        if "system.tables" in sql and sql not in self.refused:
            self.refused.add(sql)
            raise NotThere("clickhouse: a table was dropped meanwhile")
        return await super().fetch(sql, *arguments, **options)
