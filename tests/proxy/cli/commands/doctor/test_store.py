"""The doctor on a store that refuses records, and on waiting records."""

import asyncio
from pathlib import Path

import asyncpg

from proxy.cli.commands.doctor.databases import check_postgres
from proxy.cli.commands.doctor.store import check_spool, check_storage
from proxy.settings.model import Settings
from storage.ledger import SOURCE_SPOOL
from storage.record import Position
from storage.writer.spool_replay import positions_file
from tests.proxy.cli.commands.doctor.conftest import changed, states
from tests.storage.writer.test_spool import make_batch, opened, put
from tests.support import postgres


def test_records_that_left_the_spool_do_not_wait(settings: Settings) -> None:
    """Only records after the newest replayed one wait; older ones of the spool are not reported."""
    directory = Path(settings.data_dir, "spool")
    spool = opened(directory)
    replayed = Position()
    for number in range(1, 30):
        replayed = Position(offset=number, taken=put(spool, make_batch(number)).frame.end_record)
    spool.settle(replayed)
    positions_file(directory).write({SOURCE_SPOOL: replayed})
    put(spool, make_batch(30))
    spool.close()
    (finding,) = check_spool(settings)
    assert finding.text.startswith("up to 3 records wait for the store, in 1 segments")


def test_a_database_that_was_set_read_only_is_a_failure(tmp_path: Path) -> None:
    """It answers, and every batch is refused."""

    async def prepare() -> str:
        url = await postgres.database(tmp_path)
        connection = await asyncpg.connect(url)
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await connection.close()
        return url

    finding = next(check_postgres(asyncio.run(prepare())))
    assert finding.state == "fail"
    assert "read-only" in finding.text


def test_a_cap_that_is_larger_than_the_disk_is_named(settings: Settings) -> None:
    """The disk would be full before anything is deleted."""
    found = list(check_storage(changed(settings, retention={"max_bytes": 1 << 60})))
    assert states(found) == ["ok", "warn"]
    assert f"retention.max_bytes is {1 << 40} MiB" in found[-1].text
    found = list(check_storage(changed(settings, retention={"max_bytes": 1 << 20})))
    assert states(found) == ["ok"]
