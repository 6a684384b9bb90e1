"""What the doctor says of records that wait for the store."""

from pathlib import Path

from proxy.cli.commands.doctor.store import check_spool
from proxy.settings.model import Settings
from storage.ledger import SOURCE_SPOOL
from storage.record import Position
from storage.writer.spool_replay import positions_file
from tests.storage.writer.test_spool import make_batch, opened, put


def test_records_that_left_the_spool_do_not_wait(settings: Settings) -> None:
    """Those that were ever in it are no news: what waits is behind the newest that was replayed."""
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
