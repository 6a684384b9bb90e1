"""Who may commit, as the journal asks for it: `Epochs` on one server, `Terms` in a cluster."""

from collections.abc import Sequence
from typing import Any, Protocol

from storage.clickhouse.writes.group import HandedIn
from storage.clickhouse.writes.inbox import Hand


class Turns(Protocol):
    """The turns of one writer."""

    @property
    def own(self) -> int:
        """The number of the newest turn that this writer began; rising over all writers. 0 before the first."""

    @property
    def has_others(self) -> bool:
        """Whether others may want to write."""

    async def begin(self, hand: Hand | None = None) -> bool:
        """Begin a turn, behind which nothing of an older one is committed; what was is settled.

        Args:
            hand: A batch that may be handed in meanwhile.

        Returns:
            False where somebody has committed that batch, and no turn was begun.
        """

    async def handed_in(self, but: str) -> Sequence[HandedIn]:
        """Read batches that others have handed in, once a turn.

        Args:
            but: The own sidecar.
        """

    async def is_newest(self) -> bool:
        """Whether no other turn has begun since the own one."""

    async def give_up(self) -> None:
        """Let others begin a turn at once."""

    async def seal(self, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows into the journal, all or none, unless another turn has begun.

        Args:
            insert: The beginning of the statement, with the names of columns in parentheses.
            rows: Their values.
        """
