"""What released versions left behind is read by this one, and what newer ones left stops nothing."""

import asyncio
import sqlite3
import struct
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.release.tree import git
from proxy.process.data_dir import read_state
from proxy.process.ring_home import STATE_NAME
from proxy.ring.key_snapshot import SNAPSHOT_FILE
from proxy.ring.segment_layout import HEADER_BYTES
from storage.clickhouse.tables import LAYOUT as CLICKHOUSE_LAYOUT
from storage.writer.spool_frames import MAGIC
from tests.support.layouts.answers import answers, lacking, without_places
from tests.support.layouts.databases import ask_clickhouse, execute_postgres
from tests.support.layouts.fixture import NEXT, STORE_FILE, Fixture, fixtures
from tests.support.layouts.opening import KINDS, database, read_ledger, sidelog_over
from tests.support.layouts.promises import layouts, promises, unlawful
from tests.support.layouts.traffic import BEFORE_KILL, BEFORE_STOP, UNKNOWN, ask, ask_with
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, eventually

pytestmark = pytest.mark.timeout(600)


FIXTURES = fixtures()
EACH = pytest.mark.parametrize("fixture", FIXTURES, ids=[fixture.path.name for fixture in FIXTURES])


def each_kind(*wide: str) -> pytest.MarkDecorator:
    """Over each kind of store; over those named `make long` only."""
    marks = {kind: [pytest.mark.long] for kind in wide} | {"clickhouse": [pytest.mark.clickhouse]}
    return pytest.mark.parametrize(
        "kind", [pytest.param(kind, marks=marks.get(kind, [])) for kind in KINDS]
    )


def current(fixture: Fixture) -> Fixture:
    """Skip one whose layouts have changed and that is not released: with the release the test below
    asks for it.
    """
    if not fixture.is_released and fixture.json("layouts") != layouts():
        pytest.skip(f"layouts are others than those in {fixture.path}: make layouts")
    return fixture


@EACH
def test_a_released_layout_has_its_number(fixture: Fixture) -> None:
    """Who changes one adds a migration, or gives it another number, and reads the one before."""
    assert not fixture.is_released or unlawful(fixture.json("layouts"), layouts()) == []


def test_the_newest_layouts_are_kept() -> None:
    """Who changes one behind a release puts the next version into `NEXT`, and makes its fixture:
    `make layouts`.
    """
    newest = FIXTURES[-1]
    assert newest.path.name == NEXT
    assert not newest.is_released or newest.json("layouts") == layouts()


def test_what_was_released_is_not_made_anew() -> None:
    """The files of a version are those of its tag from then on: none is changed, none is removed."""
    for tag in git(ROOT, "tag", "--list", "v*").split():
        assert (
            git(
                ROOT,
                "diff",
                "--name-only",
                "--diff-filter=DMRT",
                tag,
                "--",
                str(FIXTURES[0].path.parent),
            )
            == ""
        ), tag


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"s": {"migrations": ["a", "b", "c"]}, "r": {"number": 1, "digest": "x"}}, []),
        ({"s": {"migrations": ["a", "b"]}, "r": {"number": 2, "digest": "y"}}, []),
        ({"s": {"migrations": ["a", "c"]}, "r": {"number": 1, "digest": "x"}}, ["s: a migration"]),
        (
            {"s": {"migrations": ["a"]}, "r": {"number": 1, "digest": "y"}},
            ["s: a migration", "r: the layout"],
        ),
        ({"s": {"migrations": ["a", "b"]}}, []),
    ],
)
def test_changes_of_layouts_are_judged(now: dict[str, Any], words: list[str]) -> None:
    """Migrations are added behind those that were released; any other layout changes with its
    number.
    """
    before = {"s": {"migrations": ["a", "b"]}, "r": {"number": 1, "digest": "x"}}
    found = unlawful(before, now)
    assert len(found) == len(words)
    assert all(line.startswith(word) for line, word in zip(found, words, strict=True))


@EACH
@each_kind()
def test_what_a_version_left_is_read(
    tmp_path: Path, upstream: str, fixture: Fixture, kind: str
) -> None:
    """Store, spool, ring, keys and configuration: every record is there once, and is told as it was
    told then.
    """
    current(fixture)
    expected = fixture.expected(kind)
    with database(fixture, kind) as url, sidelog_over(fixture, url, tmp_path, upstream) as sidelog:
        assert read_ledger(sidelog, kind)["dropped"] == {}
        found = answers(sidelog, expected["about"]["since"], expected["about"]["until"])
        assert lacking(expected["answers"], found) == []
        assert ask_with(sidelog, expected["about"]["secret"]) == 200
        assert ask_with(sidelog, "wrong") == UNKNOWN

        if kind == "sqlite":
            paths = [record["path"] for record in sidelog.records("kind=exchange")]
            assert all(paths.count(path) >= 1 for path in (*BEFORE_STOP, *BEFORE_KILL))
            names = promises(sidelog)
            assert {kind: set(old) - set(names[kind]) for kind, old in fixture.json("promises").items()} == {
                "metrics": set(), "operations": set(), "settings": set(),
            }  # fmt: skip


def set_layout(kind: str, url: str, store: Path, difference: int) -> None:
    """Give a store another number, as if another version had written it; nothing else changes."""
    if kind == "sqlite":
        with closing(sqlite3.connect(store)) as file:
            (layout,) = file.execute("PRAGMA user_version").fetchone()
            file.execute(f"PRAGMA user_version = {layout + difference}")
    elif kind == "postgres":
        above = (
            "INSERT INTO sidelog.migrations (version) "
            "SELECT max(version) + 1 FROM sidelog.migrations"
        )
        below = (
            "DELETE FROM sidelog.migrations "
            "WHERE version = (SELECT max(version) FROM sidelog.migrations)"
        )
        asyncio.run(execute_postgres(url, above if difference > 0 else below))
    else:
        number = CLICKHOUSE_LAYOUT + max(difference, 0)
        ask_clickhouse(
            url, f"ALTER TABLE records MODIFY COLUMN layout UInt16 ALIAS {number}".encode()
        )


def doctor(sidelog: Sidelog, config: Path) -> str:
    """Ask `sidelog doctor`; what it prints."""
    command = [
        sys.executable,
        "-m",
        "proxy",
        "doctor",
        "--data-dir",
        str(sidelog.data_dir),
        "--config",
        str(config),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_S, env=sidelog.environ
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


@EACH
@each_kind("postgres")
def test_a_newer_store_stops_nothing(
    tmp_path: Path, upstream: str, fixture: Fixture, kind: str
) -> None:
    """Requests are answered, keys are checked, records wait in the spool; the program that can read
    it stores them.
    """
    current(fixture)
    expected = fixture.expected(kind)
    with database(fixture, kind) as url:
        sidelog = sidelog_over(fixture, url, tmp_path, upstream)
        store = sidelog.data_dir / STORE_FILE
        set_layout(kind, url, store, +1)

        with sidelog:
            assert ask(sidelog, "/meanwhile") == 200
            eventually(
                lambda: "newer sidelog" in str(sidelog.api("/api/status")["storage"]["reason"])
            )
            assert sidelog.ready_answer()["degraded"]

            if kind == "sqlite":  # the others have no snapshot yet
                assert (
                    ask_with(sidelog, expected["about"]["secret"]),
                    ask_with(sidelog, "wrong"),
                ) == (200, UNKNOWN)

            assert "was written by a newer sidelog" in doctor(sidelog, tmp_path / "config.toml")
            sidelog.stop()
            set_layout(kind, url, store, -1)
            sidelog.start()
            assert read_ledger(sidelog, kind)["dropped"] == {}
            assert len(sidelog.records("path=/meanwhile")) == 1
            kept = {
                path: told
                for path, told in expected["answers"].items()
                if path.startswith("/api/records/")
            }
            assert lacking(kept, {path: without_places(sidelog.api(path)) for path in kept}) == []


def make_newer(data_dir: Path) -> dict[Path, bytes]:
    """Give rings, spool and key snapshot the number of a newer version; returns the rings."""
    snapshot = data_dir / SNAPSHOT_FILE
    _, keys = msgspec.msgpack.decode(snapshot.read_bytes())
    snapshot.write_bytes(msgspec.msgpack.encode([99, keys]))
    for segment in (data_dir / "spool").glob("*.spool"):
        segment.write_bytes(segment.read_bytes().replace(MAGIC, b"SLs9"))
    rings = {}
    for path in Path(read_state(data_dir)[STATE_NAME]).glob("*.ring"):
        raw = bytearray(path.read_bytes())
        struct.pack_into("<I", raw, 8, 99)
        struct.pack_into("<I", raw, HEADER_BYTES - 4, zlib.crc32(raw[: HEADER_BYTES - 4]))
        path.write_bytes(raw)
        rings[path] = bytes(raw)

    return rings


@EACH
def test_newer_files_stop_nothing_and_stay(tmp_path: Path, upstream: str, fixture: Fixture) -> None:
    """Each is told; requests are answered, and recorded in the store, which this version can read."""
    current(fixture)
    sidelog = sidelog_over(fixture, "", tmp_path, upstream)
    rings = make_newer(sidelog.data_dir)
    assert len(rings) > 0

    with sidelog:
        assert ask(sidelog, "/meanwhile") == 200
        eventually(lambda: sidelog.records("path=/meanwhile"))
        secret = fixture.expected("sqlite")["about"]["secret"]
        eventually(lambda: ask_with(sidelog, secret) == 200)  # the snapshot was written anew

        for words in (
            *("has layout 99, this sidelog reads layout 1", "and is left in place"),
            *(
                "a key snapshot of format 99",
                "a segment of the spool was written by another version of sidelog",
            ),
        ):
            sidelog.await_log(words)

        assert sidelog.api("/api/ledger")["balanced"]
        sidelog.stop()
        assert {path: path.read_bytes() for path in rings} == rings

    assert len(list((sidelog.data_dir / "spool").glob("*.spool-other"))) == 1
