"""`sidelog doctor` on databases: can they be reached, and used."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

from proxy.cli.commands.doctor.finding import Finding
from storage.errors import StorageUnavailable

POSTGRES_ENCODING: Final = "UTF8"


def check_postgres(name: str, url: str) -> Finding:
    """Connect to the database of a `postgresql:` URL and see whether it can be used."""
    from storage.postgres.connection import Address
    from storage.postgres.inspect import inspect

    address = Address.of(urlsplit(url))
    try:
        seen = asyncio.run(inspect(address))
    except StorageUnavailable as error:
        fix = "check that Postgres is running, that its address is right, and that pg_hba.conf admits this user"
        return Finding("fail", name, f"{address.location}: {error}", fix)
    if seen.encoding != POSTGRES_ENCODING:
        fix = f"createdb --encoding={POSTGRES_ENCODING} --template=template0 NAME"
        return Finding("fail", name, f"{address.location} has the encoding {seen.encoding}", fix)
    if seen.is_read_only:
        return Finding("fail", name, f"{address.location} is a replica", "name the primary in its address")
    if seen.layout > seen.newest_layout:
        text = (
            f"{address.location} was written by a newer sidelog "
            f"(layout {seen.layout}, this one supports up to {seen.newest_layout})"
        )
        return Finding("fail", name, text, "upgrade sidelog")
    if not seen.may_create:
        fix = "CREATE SCHEMA sidelog AUTHORIZATION our user, or GRANT CREATE ON DATABASE"
        return Finding("fail", name, f"{address.location}: no permission to create the schema sidelog", fix)
    pooled = ", through a pooler" if seen.is_pooled else ""
    layout = f"layout {seen.layout}" if seen.layout else "will be created at the first start"
    return Finding("ok", name, f"{address.location}: Postgres {seen.server_version}{pooled}, {layout}")
