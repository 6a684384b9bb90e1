"""Values of the whole store, and views, in the register; the views of a scope are one entry."""

from typing import Final

import msgspec

from storage.clickhouse.register.register import Register, encoded
from storage.search.view import PutView, View, put_result

_META: Final = "meta/"
_MARK: Final = "="
"""Prefix of stored values: it distinguishes an empty value from a missing one."""
_VIEWS: Final = "views/"
_decoder: Final = msgspec.json.Decoder(list[View])


async def read_meta(register: Register, name: str) -> str | None:
    value = (await register.entry(_META + name)).value
    if value:
        return value[1:]
    return None


async def put_meta(register: Register, name: str, value: str, *, replace: bool) -> str:
    """Store a value, unless there is one and `replace` is false; return the stored value."""

    def decide(before: str) -> tuple[str | None, str]:
        if before and not replace:
            return (None, before[1:])
        return (_MARK + value, value)

    return await register.change(_META + name, decide)


async def read_views(register: Register, owner: str) -> list[View]:
    return sorted(
        _views((await register.entry(_VIEWS + owner)).value).values(), key=lambda view: view.name
    )


async def put_view(
    register: Register, owner: str, view: View, replaced: str | None = None
) -> PutView:
    """Store a view in the place of one with the same name, or of the one named `replaced`."""
    encoded(view)

    def decide(before: str) -> tuple[str | None, PutView]:
        views = _views(before)
        result = put_result(views, view.name, replaced)
        if result != "stored":
            return None, result

        views.pop(view.name if replaced is None else replaced, None)
        return encoded([*views.values(), view]), result

    return await register.change(_VIEWS + owner, decide)


async def delete_view(register: Register, owner: str, name: str) -> bool:
    """Delete a view; False if it does not exist."""

    def decide(before: str) -> tuple[str | None, bool]:
        views = _views(before)
        if views.pop(name, None) is None:
            return None, False
        return encoded(list(views.values())), True

    return await register.change(_VIEWS + owner, decide)


def _views(content: str) -> dict[str, View]:
    if content:
        return {view.name: view for view in _decoder.decode(content)}
    return {}
