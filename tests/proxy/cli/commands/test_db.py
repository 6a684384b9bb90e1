"""`sidelog db`: its output, its changes, and its refusals."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.record import Batch, Entry
from storage.sqlite.schema import migrations
from storage.sqlite.store import SqliteStorage
from tests.proxy.cli.conftest import Run
from tests.storage.samples import make_body, make_payload, make_record


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A data directory with a store of 40 records, half of them purged and their space free."""
    async with await SqliteStorage.open(tmp_path / "sidelog.db") as store:
        for hour in (10, 20):
            entries = []
            for number in range(20):
                payload = make_payload(number)
                payload.response_body = make_body(
                    bytes((number * place * place) % 251 for place in range(20_000))
                )
                entries.append(Entry(make_record(started_at_us=hour * 3_600_000_000), payload))

            await store.commit(Batch("sidecar-1", entries))

        await store.move_floors(15 * 3_600_000_000, 0)
        while not (await store.purge(100)).is_done:
            pass

    return tmp_path


@pytest.mark.parametrize("command", ["db status", "query"])
def test_an_address_that_can_never_work_is_no_traceback(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    """The driver judges its own options, when the store is opened."""
    pytest.importorskip("asyncpg")
    monkeypatch.setenv("SIDELOG_STORAGE__URL", "postgresql://127.0.0.1:1/db?sslmode=wrong")
    said = run(f"{command} --data-dir {tmp_path}", code=1).err
    assert said.startswith(
        "sidelog: the address of the store cannot be used: `sslmode` parameter must be one of"
    )


def asked(run: Run, command: str, directory: Path) -> dict[str, object]:
    """Run a command on a data directory and read its JSON."""
    found: dict[str, object] = json.loads(run(f"{command} --json --data-dir {directory}").out)
    return found


def test_status_describes_the_store(data_dir: Path, run: Run) -> None:
    """Records, layout, size and retention are shown, as JSON and for reading."""
    found = asked(run, "db status", data_dir)
    assert found | {"backend": "sqlite", "records": 20, "last_seq": 40} == found
    assert found["purged_before"] == "1970-01-01T15:00:00+00:00"
    assert found["purged_through_seq"] == 20
    assert found["layout"] == len(migrations())
    assert "retention lag s" in run(f"db status --data-dir {data_dir}").out


def test_status_changes_no_old_store_and_migrate_does(tmp_path: Path, run: Run) -> None:
    """A file of an older layout is described and copied as it is, as before an upgrade; `migrate`
    brings it up to date.
    """
    with closing(sqlite3.connect(tmp_path / "sidelog.db")) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("CREATE TABLE something (x)")
    assert asked(run, "db status", tmp_path)["layout"] == 0
    assert asked(run, "db status", tmp_path)["newest_layout"] == len(migrations())
    assert asked(run, f"db backup {tmp_path}/copy.db", tmp_path)["layout"] == 0
    found = asked(run, "db migrate", tmp_path)
    assert found | {"layout_before": 0, "layout": len(migrations())} == found
    assert asked(run, "db status", tmp_path)["records"] == 0


def test_vacuum_gives_space_back(data_dir: Path, run: Run) -> None:
    """The file is smaller afterwards, and the records are there."""
    before = (data_dir / "sidelog.db").stat().st_size
    found = asked(run, "db vacuum", data_dir)
    assert (data_dir / "sidelog.db").stat().st_size < before
    assert found["size_bytes"] == (data_dir / "sidelog.db").stat().st_size
    assert asked(run, "db status", data_dir)["records"] == 20


def test_backup_copies_the_store(data_dir: Path, run: Run) -> None:
    """One file, for its owner only, that is a store by itself."""
    copy = data_dir / "a copy?.db"
    found = asked(run, f"db backup '{copy}'", data_dir)
    assert found | {"records": 20, "last_seq": 40} == found
    assert found["size_bytes"] == copy.stat().st_size
    assert copy.stat().st_mode & 0o777 == 0o600
    moved = data_dir / "moved"
    moved.mkdir()
    copy.rename(moved / "sidelog.db")
    assert asked(run, "db status", moved)["records"] == 20


def test_a_backup_in_a_directory_is_named_by_its_time(data_dir: Path, run: Run) -> None:
    """So that one command makes a copy each night."""
    directory = data_dir / "copies"
    directory.mkdir()
    before = datetime.now(UTC).replace(microsecond=0)
    found = asked(run, f"db backup {directory}", data_dir)
    [copy] = directory.iterdir()
    assert found | {"records": 20, "location": str(copy)} == found
    made = datetime.strptime(copy.name, "sidelog-%Y-%m-%dT%H%M%SZ.db").replace(tzinfo=UTC)
    assert before <= made <= datetime.now(UTC)


def test_backup_replaces_no_file(data_dir: Path, run: Run) -> None:
    """Nor does it write where another one may be writing."""
    copy = data_dir / "copy.db"
    for name in ("copy.db", "copy.db.partial"):
        there = data_dir / name
        there.write_text("something else")
        assert name in run(f"db backup {copy} --data-dir {data_dir}", code=1).err
        assert there.read_text() == "something else"
        there.unlink()

    assert not copy.exists()


def test_backup_of_another_store_is_refused(tmp_path: Path, run: Run) -> None:
    """The error names the tool for that store."""
    (tmp_path / "sidelog.toml").write_text(
        'storage.url = "postgresql://user:secret@127.0.0.1:1/logs"'
    )
    command = f"db backup {tmp_path}/copy.db --config {tmp_path}/sidelog.toml"
    error = run(f"{command} --data-dir {tmp_path}", code=1).err
    assert "the store is postgresql" in error
    assert "secret" not in error


@pytest.mark.parametrize("command", ["status", "migrate", "vacuum", "backup copy.db"])
def test_a_store_that_is_not_there_is_not_made(
    tmp_path: Path,
    run: Run,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a file, and for a store in memory, the command fails with one line and makes nothing."""
    monkeypatch.chdir(tmp_path)
    assert "there is no" in run(f"db {command} --data-dir {tmp_path}", code=1).err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("SIDELOG_STORAGE__URL", "memory:")
    assert "in memory" in run(f"db {command} --data-dir {tmp_path}", code=1).err
