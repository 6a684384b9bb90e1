"""A sidelog of today over what another version left."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support import clickhouse
from tests.support.layouts.databases import drop_postgres, load_clickhouse, load_postgres
from tests.support.layouts.fixture import Fixture
from tests.support.layouts.traffic import BEFORE_KILL, BEFORE_STOP, ask
from tests.support.sidelog import Sidelog, eventually

KINDS: Final = ("sqlite", "postgres", "clickhouse")


@contextmanager
def database(fixture: Fixture, kind: str) -> Iterator[str]:
    """Make the database of a fixture; gives its address, which is empty for the file of a data
    directory.
    """
    if kind == "postgres":
        url = asyncio.run(load_postgres((fixture.path / "postgres.sql").read_text()))
        try:
            yield url
        finally:
            asyncio.run(drop_postgres(url))
    elif kind == "clickhouse":
        url = clickhouse.url("debian", fixture.path / secrets.token_hex(8))  # what names a database
        load_clickhouse(fixture.path / "clickhouse.jsonl", url)
        yield url
    else:
        yield ""


def sidelog_over(fixture: Fixture, url: str, directory: Path, upstream: str) -> Sidelog:
    """Prepare one with a fixture's configuration, over its database, or its data directory where
    `url` is empty.
    """
    config = directory / "config.toml"
    config.write_text(fixture.config.replace("{upstream}", upstream))
    rings = directory / "rings"
    rings.mkdir(mode=0o700)
    environ = {"SIDELOG_RING__DIRECTORY": str(rings)}

    if url:
        environ["SIDELOG_STORAGE__URL"] = url
    else:
        fixture.restore_data_dir(directory / "data", rings)

    return Sidelog(directory / "data", upstream, "--config", str(config), environ=environ)


def read_ledger(sidelog: Sidelog, kind: str) -> dict[str, Any]:
    """Wait until everything is stored that a fixture holds, and something behind it; return the
    ledger.

    Figures go until the newest record. A start adds one of its own where the rings are of another
    boot, and else none.
    """
    eventually(lambda: not sidelog.ready_answer()["degraded"])
    if kind == "sqlite":
        for path in (BEFORE_STOP[-1], BEFORE_KILL[-1]):
            eventually(lambda path=path: sidelog.records(f"path={path}"))  # type: ignore[misc]
    ask(sidelog, BEFORE_STOP[0])
    return sidelog.settled_ledger()
