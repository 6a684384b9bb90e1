"""What a server can do, by its version: asked once, when a store is opened. Pure but for the question.

Source: ClickHouse, CHANGELOG.md of the versions named.
"""

import re
from typing import Final, NamedTuple, Self

from storage.clickhouse.link import LIMIT_S, Link
from storage.errors import StorageUnavailable

_VERSION: Final = re.compile(r"(\d+)\.(\d+)")


class Features(NamedTuple):
    """What this server can do."""

    version: tuple[int, int]

    @classmethod
    def of(cls, version: str) -> Self:
        """Read a server's version, `18.16.1` or `26.9.2.1`.

        Raises:
            StorageUnavailable: It is none.
        """
        found = _VERSION.match(version)
        if found is None:
            raise StorageUnavailable(f"clickhouse: {version[:100]!r} is no version")
        return cls((int(found[1]), int(found[2])))

    @property
    def has_codecs(self) -> bool:
        """Whether a column may have a codec of its own."""
        return self.version >= (19, 1)

    @property
    def insert_settings(self) -> dict[str, str]:
        """Settings of an insert of rows: a batch may be of many days, and each is a partition."""
        return {"max_partitions_per_insert_block": "0"} if self.version >= (19, 6) else {}


async def read_features(link: Link) -> Features:
    """Ask for the version."""
    [(version,)] = await link.fetch("SELECT version()", limit_s=LIMIT_S)
    return Features.of(version)
