"""Values of the store as a whole in the register, each with its name as its owner, so that one is read alone."""

from typing import Final

from storage.clickhouse.register.register import Changes, Entries, Register

_KIND: Final = "meta"
_NAME: Final = "value"


async def read_meta(register: Register, name: str) -> str | None:
    return (await register.entries(_KIND, name)).get(_NAME)


async def put_meta(register: Register, name: str, value: str, *, replace: bool) -> str:
    """Keep one value, unless there is one and it shall not be replaced; returns what is kept."""

    def decide(entries: Entries) -> tuple[Changes, str]:
        kept = entries.get(_NAME)
        if kept is not None and (not replace or kept == value):
            return {}, kept
        return {_NAME: value}, value

    return await register.change(_KIND, name, decide)
