"""Commands that read, where nothing runs: they read the store itself, and change nothing."""

import csv
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli import app
from proxy.process.data_dir import is_in_use, lock_data_dir, update_state
from storage.backends import open_storage
from storage.record import Batch, Entry, format_id
from storage.relational.reads import aggregate
from storage.sqlite import schema
from tests.api.native.files.test_export import PAYLOAD
from tests.api.samples import make_record
from tests.proxy.cli.conftest import Run

RECORDS = 30


@pytest.fixture
async def ids(empty: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make a data directory with 30 exchanges, of which every third failed; return their ids."""
    monkeypatch.setenv("SIDELOG_DATA_DIR", str(empty))
    records = [
        make_record(n, method="POST", status=503 if n % 3 == 0 else 200) for n in range(RECORDS)
    ]
    async with await open_storage("sqlite:///sidelog.db", empty) as opened:
        await opened.commit(Batch("side-1", [Entry(record, PAYLOAD) for record in records]))
    return [format_id(record.id) for record in records]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every command ends its thread."""
    before = threading.active_count()
    yield
    assert threading.active_count() <= before  # one of an earlier test may have been about to end


def test_every_reading_command_reads_the_store(ids: list[str], run: Run) -> None:
    """query, get, top and export answer as over the API, filters included."""
    lines = run("query --json --status 5xx").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids[::3][::-1]
    assert ids[0] in run("query --limit 1000").out
    assert "POST /v1/users?page=1" in run(f"get {ids[0]}").out
    assert "service.test/v1/users/0" in run(f"get {ids[0]} --curl").out
    assert (
        json.loads(run(f"get {ids[0]} --har").out)["log"]["entries"][0]["response"]["status"] == 503
    )
    top = json.loads(run("top --by status --json").out)["rows"]
    assert [(row["value"], row["exchanges"]) for row in top] == [("200", 20), ("503", 10)]
    rows = list(csv.DictReader(io.StringIO(run("export csv --status 200").out, newline="")))
    assert len(rows) == 20
    assert len(run("export ndjson --bodies").out.splitlines()) == RECORDS


def test_percentiles_that_are_estimated_say_so(
    ids: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of few exchanges are exact."""
    shown = run("top").out
    assert "p50" in shown
    assert "≈" not in shown
    monkeypatch.setattr(aggregate, "EXACT_ROWS", 1)
    assert "≈" in run("top").out


def test_raw_bytes_come_from_the_store(
    ids: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`get --raw` writes the stored part of a body; a mark in it and stderr report the cut."""
    assert app.main(["get", ids[1], "--raw"]) == 0
    written = capfdbinary.readouterr()
    mark = b"\n[cut: the first 6 and the last 1 of 100 bytes were kept]\n"
    assert written.out == b"\x89PNG\x00\xff" + mark + b"\xfe"
    assert b"the body was cut: head=6, tail=1, size=100" in written.err


@pytest.mark.usefixtures("ids")
def test_a_refused_export_leaves_the_file_alone(tmp_path: Path, run: Run) -> None:
    """The one of yesterday is there until there is another; one without records is empty all the
    same.
    """
    file = tmp_path / "day.csv"
    file.write_text("of yesterday")
    run(f"export csv --status 0xx -o {file}", code=2)
    assert file.read_text() == "of yesterday"
    run(f"export ndjson --status 418 -o {file}")
    assert file.read_text() == ""


def test_nothing_in_the_store_changes(ids: list[str], tmp_path: Path, run: Run) -> None:
    """The file is byte for byte what it was."""
    before = (tmp_path / "sidelog.db").read_bytes()
    for command in ("query", "top", "export ndjson", f"get {ids[0]}", "db status"):
        run(command)
    assert (tmp_path / "sidelog.db").read_bytes() == before


@pytest.mark.usefixtures("ids")
def test_the_store_of_the_last_start_is_found(tmp_path: Path, run: Run) -> None:
    """`state.json` names it, a configuration names another, and what is in memory is gone."""
    (tmp_path / "sidelog.db").rename(tmp_path / "other.db")
    run("query", code=1)
    update_state(tmp_path, storage_url="sqlite:///other.db")
    assert len(run("query --json").out.splitlines()) == RECORDS
    file = tmp_path / "c.toml"
    file.write_text('[storage]\nurl = "sqlite:///third.db"\n')
    run(f"query --config {file}", code=1)
    update_state(tmp_path, storage_url="memory:", admin_url="http://127.0.0.1:1")
    assert "is sidelog running?" in run("query", code=1).err


@pytest.mark.usefixtures("ids")
def test_a_running_sidelog_is_asked_and_not_passed_by(tmp_path: Path, run: Run) -> None:
    """While the lock is held the store is left alone, also when the admin port does not answer."""
    update_state(tmp_path, admin_url="http://127.0.0.1:1")
    assert not is_in_use(tmp_path)
    taken = lock_data_dir(tmp_path)

    try:
        assert is_in_use(tmp_path)
        assert "is sidelog running?" in run("query", code=1).err
    finally:
        os.close(taken.lock_fd)

    assert len(run("query --json").out.splitlines()) == RECORDS


@pytest.mark.usefixtures("ids")
def test_an_older_layout_says_how_it_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not brought up to date behind one's back."""
    scripts = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: [*scripts, ""])
    assert "sidelog db migrate" in run("query", code=1).err
