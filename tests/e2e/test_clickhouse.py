"""A ClickHouse under a sidecar: what goes wrong there is told, costs nothing, and is over when it
is over there.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.e2e.test_kill import check_accounts
from tests.e2e.test_store_away import ENVIRON, balanced
from tests.support.clickhouse import Server, own_server
from tests.support.disks import fill, small_disk
from tests.support.kills import KILL_PAUSE_S, ROOM, kill_rounds
from tests.support.load import PAUSE_S, Load, await_more
from tests.support.sidelog import Sidelog, eventually

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(600)]

STEPS_S: Final = 120.0


def reason(sidelog: Sidelog) -> str:
    """Why the store is away; empty while it is not."""
    storage = sidelog.api("/api/status")["storage"]
    return str(storage["reason"] or "")


def is_told(sidelog: Sidelog, words: str) -> bool:
    """Whether the sidecar says that its store is away, and why, and goes on."""
    ready = sidelog.ready_answer()
    return (
        words in reason(sidelog)
        and ready["ready"]
        and ready["degraded"]
        and ready["away"] == ["store"]
    )


class Trouble(NamedTuple):
    """Something that goes wrong on a server."""

    begin: Callable[[Server, str], object]
    end: Callable[[Server, str], object]
    words: str
    """Of the reason that the sidecar gives."""


def set_password(password: str) -> Callable[[Server, str], object]:
    """Give the sidecar's user another password; the server reads it anew by itself."""
    return lambda server, name: server.change_users(
        "<password>secret</password>", f"<password>{password}</password>"
    )


def let_read_only(server: Server, name: str) -> None:
    """Take the right to write from the sidecar's user."""
    server.change_users(
        "<password>secret</password><networks><ip>::/0</ip></networks><profile>default",
        "<password>secret</password><networks><ip>::/0</ip></networks><profile>guest",
    )


def asking(*statements: str) -> Callable[[Server, str], object]:
    """Run statements in the database."""

    def ask(server: Server, name: str) -> None:
        for statement in statements:
            server.ask(statement.format(name=name))

    return ask


TROUBLES: Final = {
    "password": Trouble(set_password("other"), set_password("secret"), "does not let this user in"),
    "rights": Trouble(let_read_only, set_password("secret"), "readonly"),
    "altered": Trouble(
        asking("ALTER TABLE {name}.records DROP COLUMN user_agent"),
        asking("ALTER TABLE {name}.records ADD COLUMN user_agent String"),
        "user_agent",
    ),
}


@contextmanager
def sidecar(server: Server, tmp_path: Path, upstream: str) -> Iterator[tuple[Sidelog, str]]:
    """A sidecar over a new database of a server, and the name of that."""
    name = server.database()
    url = f"clickhouse://locked:secret@127.0.0.1:{server.port}/{name}"
    environ = {**ENVIRON, "SIDELOG_STORAGE__URL": url, "SIDELOG_STORAGE__BATCH_MAX_AGE_MS": "100"}
    with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        yield sidelog, name


def test_troubles_of_a_server_are_told_and_cost_nothing(tmp_path: Path, upstream: str) -> None:
    """Each in turn: requests go on, the reason is told, and when it is over all is stored, once."""
    with own_server("debian") as server, sidecar(server, tmp_path, upstream) as (sidelog, name):
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 50)
            eventually(lambda: balanced(sidelog)["stored"] > 0, STEPS_S)
            for trouble in TROUBLES.values():
                trouble.begin(server, name)
                eventually(partial(is_told, sidelog, trouble.words), STEPS_S)
                await_more(load.completed, 50)
                trouble.end(server, name)
                eventually(lambda: not reason(sidelog), STEPS_S)

        eventually(lambda: balanced(sidelog)["spooled"] == 0, STEPS_S)
        assert sidelog.log.count("the store is unavailable") >= len(TROUBLES)
        check_accounts(sidelog, load.completed, is_dense=False)


def test_a_password_that_is_wrong_at_the_start(tmp_path: Path, upstream: str) -> None:
    """The sidecar serves and spools; when the server has the password of the address, all is
    stored.
    """
    with own_server("debian") as server:
        server.kill()
        set_password("other")(server, "")
        server.start()

        with (
            sidecar(server, tmp_path, upstream) as (sidelog, name),
            Load(sidelog.port, pause_s=PAUSE_S) as load,
        ):
            await_more(load.completed, 50)
            eventually(lambda: is_told(sidelog, "does not let this user in"), STEPS_S)
            set_password("secret")(server, name)
            eventually(lambda: not reason(sidelog), STEPS_S)
            load.stop()
            check_accounts(sidelog, load.completed, is_dense=False)


def test_a_disk_of_the_server_that_is_full(tmp_path: Path, upstream: str) -> None:
    """Nothing is stored while there is no room; when there is, all of it is."""
    disk = tmp_path / "disk"
    with (
        small_disk(disk, "200m"),
        own_server("debian", place=disk) as server,
        sidecar(server, tmp_path, upstream) as (sidelog, _),
        Load(sidelog.port, pause_s=PAUSE_S) as load,
    ):
        await_more(load.completed, 50)
        eventually(lambda: balanced(sidelog)["stored"] > 0, STEPS_S)
        ballast = fill(disk, 0)
        eventually(lambda: is_told(sidelog, "space"), STEPS_S)
        await_more(load.completed, 50)
        ballast.unlink()
        eventually(lambda: not reason(sidelog), STEPS_S)
        load.stop()
        check_accounts(sidelog, load.completed, is_dense=False)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Let nobody write below a directory; skips where that is not allowed."""
    command = ["mount", "--bind", str(directory), str(directory)]
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(command, check=False).returncode
    ):
        pytest.skip("a directory cannot be mounted")

    try:
        remount = ["mount", "-o", "remount,bind,ro", str(directory)]
        # It is busy while a file is written.
        eventually(lambda: subprocess.run(remount, check=False).returncode == 0, STEPS_S)
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


@pytest.mark.long  # a file that stays open for writing keeps the mount busy in one of ten runs
def test_a_disk_of_the_server_that_is_read_only(tmp_path: Path, upstream: str) -> None:
    """As after an error of the disk: nothing is stored meanwhile, and all of it when it can be
    written again.
    """
    with own_server("debian") as server, sidecar(server, tmp_path, upstream) as (sidelog, name):
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 50)
            eventually(lambda: balanced(sidelog)["stored"] > 0, STEPS_S)
            with read_only(server.directory / "data" / "data" / name):
                eventually(lambda: is_told(sidelog, "ead-only"), STEPS_S)
                await_more(load.completed, 50)
            eventually(lambda: not reason(sidelog), STEPS_S)

        check_accounts(sidelog, load.completed, is_dense=False)


def limit_parts(server: Server, name: str, delayed: int, refused: int) -> None:
    """Say from how many parts on inserts into the records take longer, and from how many on they
    are refused.
    """
    limits = f"parts_to_delay_insert = {delayed}, parts_to_throw_insert = {refused}"
    server.ask(f"ALTER TABLE {name}.records MODIFY SETTING {limits}")


def test_too_many_parts(tmp_path: Path, upstream: str) -> None:
    """Merges do not keep up, so inserts are refused; when they do, all is stored."""
    with own_server("chdb") as server, sidecar(server, tmp_path, upstream) as (sidelog, name):
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            eventually(lambda: balanced(sidelog)["stored"] > 0, STEPS_S)
            server.ask(f"SYSTEM STOP MERGES {name}.records")
            limit_parts(server, name, 9, 10)
            eventually(lambda: is_told(sidelog, "Too many parts"), STEPS_S)
            await_more(load.completed, 50)
            limit_parts(server, name, 1000, 3000)
            server.ask(f"SYSTEM START MERGES {name}.records")
            eventually(lambda: not reason(sidelog), STEPS_S)

        check_accounts(sidelog, load.completed, is_dense=False)


def test_merges_that_are_slow(tmp_path: Path, upstream: str) -> None:
    """A server with too many parts takes longer for each insert: batches become larger, and nothing
    is lost.
    """
    with own_server("chdb") as server, sidecar(server, tmp_path, upstream) as (sidelog, name):
        server.ask(f"SYSTEM STOP MERGES {name}.records")
        limit_parts(server, name, 10, 1000)
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            delayed = "SELECT value FROM system.events WHERE event = 'DelayedInserts'"
            eventually(lambda: int(server.ask(delayed) or 0) > 3, STEPS_S)
            await_more(load.completed, 50)

        eventually(lambda: balanced(sidelog)["waiting"] == 0, STEPS_S)
        check_accounts(sidelog, load.completed, is_dense=False)


@pytest.mark.parametrize(
    "rounds", [4, pytest.param(75, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_kills_of_sidecar_and_server_lose_and_double_nothing(
    tmp_path: Path, upstream: str, rounds: int
) -> None:
    """Worker, collector, all of the sidecar, and in every third round the server, too, at any
    moment under load.
    """
    with own_server("debian") as server:

        @contextmanager
        def server_dies(number: int) -> Iterator[None]:
            if number % 3 == 1:
                server.kill()
                yield
                server.start()
            else:
                yield

        url = server.url(server.database())
        began_s = time.monotonic()
        with Sidelog(
            tmp_path / "data", upstream, environ={**ROOM, "SIDELOG_STORAGE__URL": url}
        ) as sidelog:
            report = kill_rounds(
                sidelog, rounds, seed=rounds, pause_s=KILL_PAUSE_S, during=server_dies
            )
            eventually(lambda: not reason(sidelog), STEPS_S)
            check_accounts(sidelog, report.completed, is_dense=False)

        kills = f"{(rounds + 1) // 3} of the server, {time.monotonic() - began_s:.0f} s"
        print(report.describe(), kills)  # noqa: T201 - the figures are what it is run for
