"""The doctor: each check on real files, sockets and databases, well and ill."""

import json
import os
import socket
import sqlite3
from pathlib import Path

import msgspec
import pytest

from proxy.cli import app
from proxy.cli.commands import doctor
from proxy.cli.commands.doctor import Finding
from proxy.settings.load import load
from proxy.settings.model import Settings
from tests.support import postgres


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Valid settings with a private data directory and free ports."""
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    overrides = {"proxy.upstream": "http://app", "proxy.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0"}
    return load(overrides | {"data_dir": str(directory)}, {}, None)


def states(findings: object) -> list[str]:
    """Only the verdicts."""
    assert hasattr(findings, "__iter__")
    return [finding.state for finding in findings]


def test_report_ends_with_1_only_on_a_failure(capsys: pytest.CaptureFixture[str], settings: Settings) -> None:
    """Warnings pass; wrong settings fail; JSON holds every finding."""
    assert doctor.run(settings, [], as_json=True) == 0
    names = [finding["name"] for finding in json.loads(capsys.readouterr().out)]
    assert {"settings", "open files", "ring space", "data directory", "storage", "sqlite", "clock"} <= set(names)
    assert doctor.run(settings, ["proxy.listen: wrong"], as_json=False) == 1
    assert "fail  settings        proxy.listen: wrong" in capsys.readouterr().out


def test_command_works_without_valid_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bad configuration is a finding among the others, not the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDELOG_PROXY__NOPE", "1")
    assert app.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "proxy.nope" in out
    assert "sqlite" in out


def test_more_connections_than_descriptors_is_a_warning(settings: Settings) -> None:
    """The limit is compared with what proxy.limits.max_connections needs, and the number to set is named."""
    few = msgspec.structs.replace(settings.proxy.limits, max_connections=10)
    many = msgspec.structs.replace(settings.proxy.limits, max_connections=10**9)
    well, ill = (
        next(doctor.check_descriptors(msgspec.structs.replace(settings, proxy=proxy)))
        for proxy in (msgspec.structs.replace(settings.proxy, limits=limits) for limits in (few, many))
    )
    assert (well.state, ill.state) == ("ok", "warn")
    assert f"ulimit -n {2 * 10**9 + 64}" in ill.fix


def test_ring_space(settings: Settings, tmp_path: Path) -> None:
    """Too little in the default place is a warning, in a configured one a failure."""
    huge = msgspec.structs.replace(settings.ring, bytes=1 << 60)
    assert states(doctor.check_ring_space(msgspec.structs.replace(settings, ring=huge))) == ["warn"]
    configured = msgspec.structs.replace(huge, directory=str(tmp_path))
    assert states(doctor.check_ring_space(msgspec.structs.replace(settings, ring=configured))) == ["fail"]
    small = msgspec.structs.replace(configured, bytes=1 << 20)
    assert states(doctor.check_ring_space(msgspec.structs.replace(settings, ring=small))) == ["ok"]
    missing = msgspec.structs.replace(small, directory=str(tmp_path / "none"))
    assert states(doctor.check_ring_space(msgspec.structs.replace(settings, ring=missing))) == ["fail"]


def test_data_directory(settings: Settings, tmp_path: Path) -> None:
    """Private is ok, missing is made, open to others is a warning, a file is a failure."""
    assert states(doctor.check_data_directory(settings)) == ["ok"]
    Path(settings.data_dir).chmod(0o755)
    assert states(doctor.check_data_directory(settings)) == ["warn"]
    Path(tmp_path, "file").touch()
    for name, expected in (("new/er", "ok"), ("file", "fail"), ("file/x", "fail")):
        elsewhere = msgspec.structs.replace(settings, data_dir=str(tmp_path / name))
        assert states(doctor.check_data_directory(elsewhere)) == [expected]


def test_storage_file(settings: Settings) -> None:
    """A missing file will be made, a good one opens, a foreign one fails; a store in memory is ok."""
    path = Path(settings.data_dir, "sidelog.db")
    assert doctor.sqlite_path(settings) == path
    assert states(doctor.check_storage(settings)) == ["ok"]
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    (finding,) = doctor.check_storage(settings)
    assert "no damage found" in finding.text
    path.write_bytes(b"not a database at all" * 100)
    assert states(doctor.check_storage(settings)) == ["fail"]
    memory = msgspec.structs.replace(settings.storage, url="memory:")
    assert states(doctor.check_storage(msgspec.structs.replace(settings, storage=memory))) == ["ok"]


def test_absolute_sqlite_url(settings: Settings) -> None:
    """Four slashes leave the data directory."""
    storage = msgspec.structs.replace(settings.storage, url="sqlite:////var/x.db")
    assert doctor.sqlite_path(msgspec.structs.replace(settings, storage=storage)) == Path("/var/x.db")


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
    assert states(doctor.check_storage(settings)) == ["fail"]


def test_sqlite_and_clock_of_this_machine(settings: Settings) -> None:
    """Here both are as needed; a state file from the future gives the clock away."""
    assert states(doctor.check_sqlite(settings)) == ["ok"]
    assert states(doctor.check_clock(settings)) == ["ok"]
    state = Path(settings.data_dir, "state.json")
    state.write_text("{}")
    os.utime(state, (4e9, 4e9))
    assert states(doctor.check_clock(settings)) == ["warn"]


def test_port_in_use_by_another_program_is_a_failure(settings: Settings) -> None:
    """A foreign listener on the data port fails, with what to do; a free admin port is ok."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        proxy = msgspec.structs.replace(settings.proxy, listen=f"127.0.0.1:{listener.getsockname()[1]}")
        data, admin = doctor.check_ports(msgspec.structs.replace(settings, proxy=proxy))
        assert (data.state, admin.state) == ("fail", "ok")
        assert "--listen" in data.fix
        admin_settings = msgspec.structs.replace(settings.admin, health_listen=proxy.listen)
        *_, health = doctor.check_ports(msgspec.structs.replace(settings, admin=admin_settings))
    assert (health.state, health.name) == ("fail", "health port")
    assert "admin.health_listen" in health.fix


def test_broken_check_is_a_finding(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """An unforeseen exception in one check leaves the others their say."""

    def check_nothing(_: Settings) -> list[Finding]:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(doctor, "CHECKS", (check_nothing, doctor.check_clock))
    assert doctor.run(settings, [], as_json=False) == 1


def with_url(settings: Settings, url: str) -> Settings:
    """Put the store elsewhere."""
    return msgspec.structs.replace(settings, storage=msgspec.structs.replace(settings.storage, url=url))


def test_a_postgres_is_reached_and_not_changed(settings: Settings) -> None:
    """A database that answers is fine, used before or not; nothing is made in it."""
    for _ in range(2):
        findings = list(doctor.check_storage(with_url(settings, postgres.url("postgres"))))
        assert states(findings) == ["ok"]
        assert "will be created at the first start" in findings[0].text


def test_a_postgres_that_is_away_is_a_failure(settings: Settings, tmp_path: Path) -> None:
    """The finding names the place and never the password."""
    findings = list(doctor.check_storage(with_url(settings, f"postgresql://me:tiger@/db?host={tmp_path}")))
    assert states(findings) == ["fail"]
    assert str(tmp_path) in findings[0].text
    assert "tiger" not in str(findings)
