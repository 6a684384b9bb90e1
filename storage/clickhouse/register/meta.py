"""Values of the store as a whole in the register."""

from typing import Final

from storage.clickhouse.register.register import Register

_META: Final = "meta/"
_MARK: Final = "="
"""Begins a value: one that is empty is one, too."""


async def read_meta(register: Register, name: str) -> str | None:
    value = (await register.entry(_META + name)).value
    return value[1:] if value else None


async def put_meta(register: Register, name: str, value: str, *, replace: bool) -> str:
    """Keep one value, unless there is one and it shall not be replaced; returns what is kept."""

    def decide(before: str) -> tuple[str | None, str]:
        return (None, before[1:]) if before and not replace else (_MARK + value, value)

    return await register.change(_META + name, decide)
