"""Dumps of Postgres and ClickHouse as text, and databases made of them."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import asyncpg

from tests.support import postgres

_OF_PSQL: Final = re.compile(r"^(\\|SET |SELECT pg_catalog\.set_config|--|$)")
"""Lines of a dump that are for the program psql, or for a server of the same version."""
_NAME: Final = re.compile(r"\bt[0-9a-f]{16,32}\.")
_DELAY: Final = re.compile(r"(throwIf\(.*?\) > )\d+(?=\) OR)")
"""How late rows may be, in the statement that makes their table."""
_SURROGATES: Final = "surrogateescape"
"""Bytes that are no UTF-8 become half characters, which JSON can say."""
_ASK_S: Final = 60.0


def dump_postgres(url: str, into: Path) -> None:
    """Write a database as statements that any supported version reads."""
    program = postgres.binaries()
    assert program is not None
    command = [
        str(program / "pg_dump"),
        "--inserts",
        "--no-owner",
        "--no-privileges",
        "--schema=sidelog",
        url,
    ]
    text = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=_ASK_S
    ).stdout
    into.write_text("\n".join(_statements(text)) + "\n")


def _statements(dump: str) -> Iterator[str]:
    """Leave out what is not for this; a text of several lines begins with a word of SQL and is left
    whole.
    """
    is_inside = False
    for line in dump.splitlines():
        if is_inside or not _OF_PSQL.match(line):
            yield line
            is_inside ^= line.count("'") % 2 == 1


async def load_postgres(dump: str) -> str:
    """Make a database of a dump; returns its address."""
    name = f"layouts_{uuid4().hex}"
    admin = await asyncpg.connect(postgres.url("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name}")
    finally:
        await admin.close()

    own = await asyncpg.connect(postgres.url(name))
    try:
        await own.execute(dump)
    finally:
        await own.close()

    return postgres.url(name)


async def execute_postgres(url: str, statement: str) -> None:
    """Run a statement in a database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def drop_postgres(url: str) -> None:
    """Remove a database that was made of a dump, and whoever is still connected."""
    admin = await asyncpg.connect(postgres.url("postgres"))
    try:
        await admin.execute(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)")
    finally:
        await admin.close()


def ask_clickhouse(url: str, statement: bytes) -> bytes:
    """Run a statement in a database."""
    place = urlsplit(url)
    address = f"http://{place.netloc}/?database={place.path[1:]}"
    try:
        with urlopen(Request(address, statement), timeout=_ASK_S) as answer:
            text: bytes = answer.read()
    except HTTPError as error:
        raise AssertionError(f"{statement[:200]!r}: {error.read()[:500]!r}") from error

    return text


def dump_clickhouse(url: str, into: Path) -> None:
    """Write each table as a line: the statement that makes it, and its rows as tab-separated
    values.
    """
    listed = ask_clickhouse(
        url, b"SELECT name, engine FROM system.tables WHERE database = currentDatabase() ORDER BY 1"
    )
    tables = [line.split("\t") for line in listed.decode().splitlines()]
    with into.open("w") as lines:
        for name, engine in sorted(tables, key=lambda table: (table[1] == "View", table)):
            made = ask_clickhouse(url, f"SHOW CREATE TABLE {name} FORMAT TSVRaw".encode()).decode()
            rows = (
                b""
                if engine == "View"
                else ask_clickhouse(url, f"SELECT * FROM {name} FORMAT TSV".encode())
            )
            columns = ask_clickhouse(
                url,
                "SELECT name FROM system.columns "
                f"WHERE database = currentDatabase() AND table = '{name}' "
                "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')".encode(),
            )
            entry = {
                "table": name,
                "make": _NAME.sub("", made),
                "columns": columns.decode().split(),
                "rows": rows.decode(errors=_SURROGATES).splitlines(keepends=True),
            }
            lines.write(json.dumps(entry) + "\n")


def load_clickhouse(dump: Path, url: str) -> None:
    """Make the tables of a dump in an empty database."""
    for line in dump.read_text().splitlines():
        entry = json.loads(line)
        # Its rows are late by now: the table would refuse them.
        ask_clickhouse(url, _DELAY.sub(r"\g<1>9000000000000", entry["make"]).encode())
        if entry["rows"]:
            columns = ", ".join(entry["columns"])
            rows = "".join(entry["rows"]).encode(errors=_SURROGATES)
            ask_clickhouse(
                url, f"INSERT INTO {entry['table']} ({columns}) FORMAT TSV\n".encode() + rows
            )
