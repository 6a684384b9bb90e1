"""`sidelog db`: what it prints, what it changes, and what it refuses."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.cli.app import main
from storage.record import Batch, Entry
from storage.sqlite.schema import migrations
from storage.sqlite.store import SqliteStorage
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
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The driver judges its own options, when the store is opened."""
    pytest.importorskip("asyncpg")
    monkeypatch.setenv("SIDELOG_STORAGE__URL", "postgresql://127.0.0.1:1/db?sslmode=wrong")
    assert main([*command.split(), "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "sidelog: the address of the store cannot be used: `sslmode` parameter must be one of"
    )


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """Run a command and read its JSON."""
    assert main([*arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_status_describes_the_store(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records, layout, size and retention are shown, as JSON and for reading."""
    found = asked(capsys, "db", "status", "--data-dir", str(data_dir))
    assert (found["backend"], found["records"], found["last_seq"]) == ("sqlite", 20, 40)
    assert found["purged_before"] == "1970-01-01T15:00:00+00:00"
    assert found["purged_through_seq"] == 20
    assert found["layout"] == len(migrations())
    assert main(["db", "status", "--data-dir", str(data_dir)]) == 0
    assert "retention lag s" in capsys.readouterr().out


def test_status_changes_no_old_store_and_migrate_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of an older layout is described as it is; `migrate` brings it up to date."""
    with closing(sqlite3.connect(tmp_path / "sidelog.db")) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("CREATE TABLE something (x)")
    directory = ("--data-dir", str(tmp_path))
    assert asked(capsys, "db", "status", *directory)["layout"] == 0
    assert asked(capsys, "db", "status", *directory)["newest_layout"] == len(migrations())
    found = asked(capsys, "db", "migrate", *directory)
    assert (found["layout_before"], found["layout"]) == (0, len(migrations()))
    assert asked(capsys, "db", "status", *directory)["records"] == 0


def test_vacuum_gives_space_back(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is smaller afterwards, and the records are there."""
    before = (data_dir / "sidelog.db").stat().st_size
    found = asked(capsys, "db", "vacuum", "--data-dir", str(data_dir))
    assert (data_dir / "sidelog.db").stat().st_size < before
    assert found["size_bytes"] == (data_dir / "sidelog.db").stat().st_size
    assert asked(capsys, "db", "status", "--data-dir", str(data_dir))["records"] == 20


def test_backup_copies_the_store(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file, for its owner only, that is a store by itself."""
    copy = data_dir / "a copy?.db"
    found = asked(capsys, "db", "backup", str(copy), "--data-dir", str(data_dir))
    assert (found["records"], found["last_seq"]) == (20, 40)
    assert found["size_bytes"] == copy.stat().st_size
    assert copy.stat().st_mode & 0o777 == 0o600
    moved = data_dir / "moved"
    moved.mkdir()
    copy.rename(moved / "sidelog.db")
    assert asked(capsys, "db", "status", "--data-dir", str(moved))["records"] == 20


def test_a_backup_in_a_directory_is_named_by_its_time(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that one command makes a copy each night."""
    directory = data_dir / "copies"
    directory.mkdir()
    before = datetime.now(UTC).replace(microsecond=0)
    found = asked(capsys, "db", "backup", str(directory), "--data-dir", str(data_dir))
    [copy] = directory.iterdir()
    assert (found["records"], found["location"]) == (20, str(copy))
    made = datetime.strptime(copy.name, "sidelog-%Y-%m-%dT%H%M%SZ.db").replace(tzinfo=UTC)
    assert before <= made <= datetime.now(UTC)


def test_backup_copies_a_store_of_an_older_layout_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As before an upgrade."""
    with closing(sqlite3.connect(tmp_path / "sidelog.db")) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("CREATE TABLE something (x)")
    found = asked(capsys, "db", "backup", str(tmp_path / "copy.db"), "--data-dir", str(tmp_path))
    assert found["layout"] == 0


def test_backup_replaces_no_file(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor does it write where another one may be writing."""
    copy = data_dir / "copy.db"
    for name in ("copy.db", "copy.db.partial"):
        there = data_dir / name
        there.write_text("something else")
        assert main(["db", "backup", str(copy), "--data-dir", str(data_dir)]) == 1
        assert name in capsys.readouterr().err
        assert there.read_text() == "something else"
        there.unlink()

    assert not copy.exists()


def test_backup_of_another_store_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what copies that one."""
    (tmp_path / "sidelog.toml").write_text(
        'storage.url = "postgresql://user:secret@127.0.0.1:1/logs"'
    )
    command = [
        "db",
        "backup",
        str(tmp_path / "copy.db"),
        "--config",
        str(tmp_path / "sidelog.toml"),
    ]
    assert main([*command, "--data-dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "the store is postgresql" in error
    assert "secret" not in error


@pytest.mark.parametrize("command", [["status"], ["migrate"], ["vacuum"], ["backup", "copy.db"]])
def test_a_store_that_is_not_there_is_not_made(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a file, and for a store in memory, the command fails with one line and makes nothing."""
    monkeypatch.chdir(tmp_path)
    assert main(["db", *command, "--data-dir", str(tmp_path)]) == 1
    assert "there is no" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("SIDELOG_STORAGE__URL", "memory:")
    assert main(["db", *command, "--data-dir", str(tmp_path)]) == 1
    assert "in memory" in capsys.readouterr().err
