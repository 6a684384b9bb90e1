"""Views in the register, by the scope that they belong to."""

from typing import Final

import msgspec

from storage.clickhouse.register.register import Changes, Entries, Register, encoded
from storage.search.view import MAX_VIEWS, PutView, View

_KIND: Final = "view"
_decoder: Final = msgspec.json.Decoder(View)


async def read_views(register: Register, owner: str) -> list[View]:
    entries = await register.entries(_KIND, owner)
    return sorted(map(_decoder.decode, entries.values()), key=lambda view: view.name)


async def put_view(register: Register, owner: str, view: View, replaced: str | None = None) -> PutView:
    """Keep a view, in the place of one of its name, or of the one that is replaced."""
    content = encoded(view)
    gone = view.name if replaced is None else replaced

    def decide(entries: Entries) -> tuple[Changes, PutView]:
        if replaced is not None and replaced not in entries:
            return {}, "missing"
        if replaced is not None and view.name in entries and view.name != replaced:
            return {}, "taken"
        if gone not in entries and len(entries) >= MAX_VIEWS:
            return {}, "full"
        return {gone: None, view.name: content}, "stored"

    return await register.change(_KIND, owner, decide)


async def delete_view(register: Register, owner: str, name: str) -> bool:
    """Delete a view; False when there is none."""

    def decide(entries: Entries) -> tuple[Changes, bool]:
        return ({name: None}, True) if name in entries else ({}, False)

    return await register.change(_KIND, owner, decide)
