"""What `sidelog doctor` says of a store in Postgres: whether it can be reached and used. Changes nothing."""

import asyncio
from collections.abc import Iterator
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from storage.errors import StorageUnavailable

ENCODING = "UTF8"


class PostgresFinding(NamedTuple):
    """What was found, in the words of `proxy.cli.commands.doctor.Finding`."""

    state: Literal["ok", "warn", "fail"]
    name: str
    text: str
    mend: str = ""


def look_at_postgres(url: str) -> Iterator[PostgresFinding]:
    """Connect to the database of a `postgresql:` URL and look it over."""
    from storage.postgres.connection import Address
    from storage.postgres.inspect import look

    address = Address.of(urlsplit(url))
    try:
        seen = asyncio.run(look(address))
    except StorageUnavailable as error:
        mend = "see that it runs, that storage.url is right, and that its pg_hba.conf lets us in"
        yield PostgresFinding("fail", "storage", f"{address.location}: {error}", mend)
        return
    if seen.encoding != ENCODING:
        mend = f"createdb --encoding={ENCODING} --template=template0 NAME"
        yield PostgresFinding("fail", "storage", f"{address.location} keeps text as {seen.encoding}", mend)
    elif seen.is_read_only:
        yield PostgresFinding("fail", "storage", f"{address.location} is a replica", "name the primary in storage.url")
    elif seen.layout > seen.newest_layout:
        text = f"{address.location} has layout {seen.layout}, this program knows {seen.newest_layout}"
        yield PostgresFinding("fail", "storage", text, "run the newer sidelog that wrote it")
    elif not seen.may_create:
        mend = "CREATE SCHEMA sidelog AUTHORIZATION our user, or GRANT CREATE ON DATABASE"
        yield PostgresFinding("fail", "storage", f"{address.location}: we may not make the schema sidelog", mend)
    else:
        how = ", through a pooler" if seen.is_pooled else ""
        layout = f"layout {seen.layout}" if seen.layout else "will be made at the first start"
        yield PostgresFinding("ok", "storage", f"{address.location}: Postgres {seen.server_version}{how}, {layout}")
