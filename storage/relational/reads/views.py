"""Views: few rows that are read whole, each a name and its JSON, by the scope that they belong to."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import msgspec

from storage.relational.session import Session
from storage.search.view import MAX_VIEWS, PutView, View


async def read_views(session: Session, owner: str) -> list[View]:
    dialect = session.dialect
    sql = f"SELECT content FROM {dialect.schema}views WHERE owner = {dialect.placeholder(1)}"
    rows = await session.fetch(sql, (owner,))
    views = [msgspec.json.decode(dialect.unescape(row[0]), type=View) for row in rows]
    return sorted(views, key=lambda view: view.name)


async def put_view(session: Session, owner: str, view: View, replaced: str | None = None) -> PutView:
    """Keep a view, in the place of one of its name, or of the one that is replaced."""
    names = {known.name for known in await read_views(session, owner)}
    if replaced is not None:
        if replaced not in names:
            return "missing"
        if view.name in names - {replaced}:
            return "taken"
    gone = view.name if replaced is None else replaced
    if gone not in names and len(names) >= MAX_VIEWS:
        return "full"
    await delete_view(session, owner, gone)
    marks = ", ".join(map(session.dialect.placeholder, (1, 2, 3)))
    sql = f"INSERT INTO {session.dialect.schema}views (owner, name, content) VALUES ({marks})"
    await session.execute_many(sql, [(owner, view.name, msgspec.json.encode(view).decode())])
    return "stored"


async def delete_view(session: Session, owner: str, name: str) -> bool:
    """Delete a view; False when there is none."""
    dialect = session.dialect
    among = f"{dialect.schema}views WHERE owner = {dialect.placeholder(1)} AND name = {dialect.placeholder(2)}"
    if not await session.fetch(f"SELECT 1 FROM {among}", (owner, name)):
        return False
    await session.execute_many(f"DELETE FROM {among}", [(owner, name)])
    return True
