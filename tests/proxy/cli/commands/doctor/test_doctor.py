"""The doctor: each check on real files, sockets and databases, well and ill."""

import contextlib
import errno
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.commands.doctor import databases, doctor
from proxy.cli.commands.doctor import network as doctor_network
from proxy.cli.commands.doctor import store as doctor_store
from proxy.cli.commands.doctor.doctor import check_clock, check_ring_space
from proxy.cli.commands.doctor.finding import Finding
from proxy.settings.check import NO_UPSTREAM
from proxy.settings.model import LimitSettings, Settings
from tests.proxy.cli.commands.doctor.conftest import changed, running, states
from tests.proxy.cli.conftest import Run
from tests.support import clickhouse, postgres
from tests.support.clickhouse import ENGINES


def test_report_ends_with_1_only_on_a_failure(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    """Warnings pass; wrong settings fail; JSON holds every finding."""
    assert doctor.run(settings, [], as_json=True) == 0
    names = [finding["name"] for finding in json.loads(capsys.readouterr().out)]
    assert {
        "settings",
        "open files",
        "ring space",
        "data directory",
        "storage",
        "sqlite",
        "clock",
    } <= set(names)
    assert doctor.run(settings, ["proxy.listen: wrong"], as_json=False) == 1
    out = capsys.readouterr().out
    assert ("fail  settings        proxy.listen: wrong" in out, "config check" in out) == (
        True,
        False,
    )


@pytest.mark.usefixtures("empty")
def test_command_works_without_valid_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad configuration is a finding among the others, not the end."""
    monkeypatch.setenv("SIDELOG_PROXY__NOPE", "1")
    out = run("doctor", code=1).out
    assert "proxy.nope" in out
    assert "sqlite" in out


def test_more_connections_than_descriptors_is_a_warning(settings: Settings) -> None:
    """The limit is compared with the need of proxy.limits.max_connections, and the fix has the
    number.
    """
    well, ill = (
        next(doctor.check_descriptors(changed(settings, proxy={"limits": limits})))
        for limits in (LimitSettings(max_connections=10), LimitSettings(max_connections=10**9))
    )
    assert (well.state, ill.state) == ("ok", "warn")
    assert f"ulimit -n {2 * 10**9 + 64}" in ill.fix


def test_without_a_data_port_nothing_is_said_of_it(settings: Settings) -> None:
    """No room for rings is needed, no port, and no upstream."""
    shows = changed(settings, routes=(), proxy={"data_port": False})
    (ring_space,) = check_ring_space(shows)
    assert (ring_space.state, ring_space.text) == ("ok", "not needed: there is no data port")
    assert [finding.name for finding in doctor_network.check_ports(shows)] == ["admin port"]


def test_data_directory(settings: Settings, tmp_path: Path) -> None:
    """Private is ok, missing is made, open to others is a warning, a file is a failure."""
    assert states(doctor.check_data_directory(settings)) == ["ok"]
    Path(settings.data_dir).chmod(0o755)
    assert states(doctor.check_data_directory(settings)) == ["warn"]
    token = Path(settings.data_dir, "admin-token")
    token.touch(mode=0o644)
    assert [finding.fix for finding in doctor.check_data_directory(settings)] == [
        f"chmod 700 {settings.data_dir}",
        f"chmod 600 {token}",
    ]
    token.unlink()
    Path(tmp_path, "file").touch()
    for name, expected in (("new/er", "ok"), ("file", "fail"), ("file/x", "fail")):
        elsewhere = changed(settings, data_dir=str(tmp_path / name))
        assert states(doctor.check_data_directory(elsewhere)) == [expected]


def test_storage_file(settings: Settings) -> None:
    """A missing file will be made, a good one opens, a foreign one fails; a store in memory is ok."""
    path = Path(settings.data_dir, "sidelog.db")
    assert doctor_store.sqlite_path(settings) == path
    assert states(doctor_store.check_storage(settings)) == ["ok"]
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    (finding,) = doctor_store.check_storage(settings)
    assert "no damage found, layout 0, which the next start brings to" in finding.text
    place = Path(settings.data_dir, "sidelog.db.damaged-20260101T000000Z")
    place.write_bytes(b"")
    place.with_name(place.name + "-wal").write_bytes(b"")
    aside, _ = doctor_store.check_storage(settings)
    assert (aside.state, str(place) in aside.text, ".recover" in aside.fix) == ("warn", True, True)
    place.unlink()
    path.write_bytes(b"not a database at all" * 100)
    assert states(doctor_store.check_storage(settings)) == ["fail"]
    memory = changed(settings, storage={"url": "memory:"})
    assert states(doctor_store.check_storage(memory)) == ["ok"]


def test_prices_that_are_not_installed_are_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fault, but the reason why a cost is missing; the command that adds them is named."""
    (found,) = doctor.check_prices(settings)
    assert found.text == "the price list of models is installed"
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    (found,) = doctor.check_prices(settings)
    assert (found.state, "pip install 'sidelog[llm]'" in found.text) == ("ok", True)


def test_a_container_that_is_read_only(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write-ahead log is tried in the data directory, and nowhere if nothing can be written."""

    def nowhere() -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    (finding,) = doctor_store.check_sqlite(settings)
    assert "WAL works" in finding.text
    assert list(Path(settings.data_dir).iterdir()) == []
    (finding,) = doctor_store.check_sqlite(changed(settings, data_dir=str(tmp_path / "none")))
    assert (finding.state, "no writable directory" in finding.text) == ("ok", True)


@pytest.mark.parametrize("is_read_only", [True, False])
def test_places_that_cannot_be_written_say_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, is_read_only: bool
) -> None:
    """A volume is missing, or the directory belongs to another user; free space does not matter."""
    real = os.statvfs

    def statvfs(path: str) -> os.statvfs_result:
        found = list(real(path))
        found[8] = os.ST_RDONLY if is_read_only else 0
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (data,), (rings,) = doctor.check_data_directory(settings), check_ring_space(settings)
    why = "on a read-only file system" if is_read_only else f"not writable for uid {os.geteuid()}"
    assert (data.state, data.text) == ("fail", f"{settings.data_dir} is {why}")
    assert (f"mount a volume at {settings.data_dir}" in data.fix, "chown" in data.fix) == (
        is_read_only,
        not is_read_only,
    )
    assert (rings.state, rings.text) == ("warn", f"/dev/shm is {why}, rings take 69 MiB")


def test_what_hangs_is_a_finding(settings: Settings) -> None:
    """The others have their say, in order."""
    over = threading.Event()

    def check_hanging(_: Settings) -> Iterator[Finding]:
        yield Finding("ok", "first", "found before")
        over.wait()

    found, is_hanging = doctor.run_checks((check_hanging, check_clock), settings, limit_s=3.0)
    over.set()
    assert ([finding.name for finding in found], is_hanging) == (
        ["first", "hanging", "clock"],
        True,
    )
    assert "no answer within 3 s" in found[1].text


@pytest.mark.usefixtures("empty")
def test_without_an_upstream_the_machine_is_looked_at(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to proxy to is a warning, and none where a sidelog runs that was told on its command
    line.
    """
    for name in ("PROXY", "ADMIN"):
        monkeypatch.setenv(f"SIDELOG_{name}__LISTEN", "127.0.0.1:0")
    assert "warn  settings        no upstream configured" in run("doctor").out
    with running(Settings(data_dir="sidelog-data")):
        assert (
            "ok    settings        no upstream here; the sidelog that runs in" in run("doctor").out
        )


def test_a_store_of_a_newer_sidelog_is_a_failure(settings: Settings) -> None:
    """As with the other databases: both layouts, and what to do."""
    path = Path(settings.data_dir, "sidelog.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    (finding,) = doctor_store.check_storage(settings)
    assert (finding.state, finding.fix) == ("fail", "upgrade sidelog")
    assert "layout 999, this one supports up to" in finding.text


def test_absolute_sqlite_url(settings: Settings) -> None:
    """Four slashes leave the data directory."""
    elsewhere = changed(settings, storage={"url": "sqlite:////var/x.db"})
    assert doctor_store.sqlite_path(elsewhere) == Path("/var/x.db")


def test_damaged_store_is_found(settings: Settings) -> None:
    """A page overwritten in the middle is reported."""
    path = Path(settings.data_dir, "sidelog.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
    connection.close()
    raw = bytearray(path.read_bytes())
    raw[8192:12288] = b"\xff" * 4096
    path.write_bytes(raw)
    assert states(doctor_store.check_storage(settings)) == ["fail"]


def test_broken_check_is_a_finding(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """An unforeseen exception in one check leaves the others their say."""

    def check_nothing(_: Settings) -> Iterator[Finding]:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(doctor, "CHECKS", (check_nothing, check_clock))
    assert doctor.run(settings, [], as_json=False) == 1


def denied(name: str, path: str) -> doctor.Check:
    """A check that may not read a file."""

    def check(_: Settings) -> Iterator[Finding]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    check.__name__ = f"check_{name}"
    return check


def test_what_another_user_may_not_read_says_who_may(settings: Settings) -> None:
    """The data directory is private: a look at it as oneself finds nothing else."""
    path = "/var/lib/sidelog/state.json"
    (finding,), _ = doctor.run_checks((denied("rings", path),), settings)
    fix = "run `sidelog doctor` as the user that sidelog runs as"
    assert finding == ("fail", "rings", f"{path}: Permission denied", fix)


def test_a_data_directory_of_another_user_is_one_finding(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """The finding names all checks that could not run. Another file has its own line, and so has
    each file in an open directory.
    """
    checks = (
        denied("spool", f"{settings.data_dir}/spool"),
        denied("certificates", "/etc/ssl/key.pem"),
        denied("rings", f"{settings.data_dir}/state.json"),
    )
    texts = [finding.text for finding in doctor.run_checks(checks, settings)[0]]
    assert f"{settings.data_dir}/spool: Permission denied" in texts
    assert len(texts) == len(checks)

    monkeypatch.setattr(os, "access", lambda *_: False)
    (of_key, of_directory), _ = doctor.run_checks(checks, settings)
    assert of_key[:3] == ("fail", "certificates", "/etc/ssl/key.pem: Permission denied")
    text = f"{settings.data_dir}: Permission denied; not checked: rings, spool"
    assert of_directory[:3] == ("fail", "data directory", text)


def test_a_lock_that_cannot_be_read_is_no_running_sidelog(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """An upstream that another sidelog has is only told where one is seen to run."""
    monkeypatch.setattr(doctor, "is_in_use", lambda _: True)
    problem = [f"proxy.upstream: {NO_UPSTREAM}"]
    seen = doctor.run_checks([doctor._check_of(problem)], settings)[0]
    monkeypatch.setattr(os, "access", lambda *_: False)
    unseen = doctor.run_checks([doctor._check_of(problem)], settings)[0]
    assert (states(seen), states(unseen)) == (["ok"], ["warn"])


def test_a_postgres_is_reached_and_not_changed(settings: Settings) -> None:
    """A database that answers is fine, used before or not; nothing is made in it."""
    for _ in range(2):
        findings = list(
            doctor_store.check_storage(changed(settings, storage={"url": postgres.url("postgres")}))
        )
        assert states(findings) == ["ok"]
        assert "will be created at the first start" in findings[0].text


def test_a_driver_that_is_not_installed_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra nothing of Postgres can be asked; the command that adds it is the fix."""
    monkeypatch.setattr(databases, "find_spec", lambda name: None)
    (finding,) = doctor_store.check_storage(
        changed(settings, storage={"url": "postgresql://me@127.0.0.1:1/db"})
    )
    assert (finding.state, finding.fix) == ("fail", "pip install 'sidelog[postgres]'")


@pytest.mark.clickhouse
@pytest.mark.parametrize("engine", ENGINES)
def test_a_clickhouse_is_reached_and_not_changed(engine: str) -> None:
    """A database that was never used will do; nothing is made in it. One that is not there is to be
    made.
    """
    running = clickhouse.server(engine)
    name = running.database()
    (finding,) = databases.check_clickhouse(running.url(name))
    assert finding.state == "ok"
    assert "tables will be created at the first start" in finding.text
    assert running.ask(f"SELECT count() FROM system.tables WHERE database = '{name}'") == "0\n"
    (finding,) = databases.check_clickhouse(running.url("nowhere"))
    assert (finding.state, finding.fix) == (
        "fail",
        "clickhouse-client --query 'CREATE DATABASE nowhere'",
    )


@pytest.mark.clickhouse
def test_a_clickhouse_of_a_newer_sidelog_is_a_failure() -> None:
    """As with Postgres: the layouts and what to do."""
    name = (running := clickhouse.server("debian")).database()
    columns = "seq Int64, layout UInt16 ALIAS 99, order_delay_ms UInt32 ALIAS 0"
    running.ask(f"CREATE TABLE {name}.records ({columns}) ENGINE = MergeTree ORDER BY seq")
    (seen,) = databases.check_clickhouse(running.url(name))
    assert (seen.state, "by a newer sidelog (layout 99" in seen.text) == ("fail", True)


@pytest.mark.clickhouse
def test_a_clickhouse_that_cannot_be_used_is_a_failure() -> None:
    """A wrong password, one that may only read, one that is away: each one line without the
    password.
    """
    running = clickhouse.server("debian")
    place = f"127.0.0.1:{running.port}/{running.database()}"
    for user, expected in (
        ("locked:tiger", "does not let this user in"),
        ("guest", "guest may not write there"),
    ):
        (finding,) = databases.check_clickhouse(f"clickhouse://{user}@{place}")
        assert finding.state == "fail"
        assert expected in finding.text
        assert "tiger" not in finding.text
        assert "\n" not in finding.text

    away = databases.check_clickhouse(f"clickhouse://127.0.0.1:1,{place}")
    assert states(away) == ["warn", "ok"]


def test_a_postgres_that_is_away_is_a_failure(settings: Settings, tmp_path: Path) -> None:
    """The finding names the place and never the password."""
    findings = list(
        doctor_store.check_storage(
            changed(settings, storage={"url": f"postgresql://me:tiger@/db?host={tmp_path}"})
        )
    )
    assert states(findings) == ["fail"]
    assert str(tmp_path) in findings[0].text
    assert "tiger" not in str(findings)
