"""Backups: restic against rclone's server for it, direct and through sidelog."""

import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.realworld.programs import run, serving, system_program
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

FILES = 200
LARGE_BYTES = 24 << 20


@contextlib.contextmanager
def backup_server(home: Path) -> Iterator[str]:
    """Serve an empty folder in restic's protocol."""
    (home / "root").mkdir(parents=True)
    port = free_port()
    command = [
        system_program("rclone"),
        "serve",
        "restic",
        "--addr",
        f"127.0.0.1:{port}",
        str(home / "root"),
    ]
    with serving(command, port, home) as url:
        yield url


def noise(directory: Path) -> Path:
    """Make a folder of small files and a large one; the same each time."""
    directory.mkdir()
    chosen = random.Random(1)
    for number in range(FILES):
        (directory / f"file-{number}").write_bytes(chosen.randbytes(number * 100))
    (directory / "large").write_bytes(chosen.randbytes(LARGE_BYTES))
    return directory


def tree(directory: Path) -> dict[str, bytes]:
    """Read all files below a folder."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def restic(cwd: Path, url: str, *arguments: str) -> str:
    """Run the client without a cache, so that it asks for everything."""
    command = [
        system_program("restic"),
        "--no-cache",
        "--json",
        "-r",
        f"rest:{url}/backup",
        *arguments,
    ]
    return run(command, cwd, {"RESTIC_PASSWORD": "secret"})


def back_up_and_restore(url: str, directory: Path, source: Path) -> list[Any]:
    """Back up twice, forget the first, restore the second; return what came of it."""
    directory.mkdir()
    restic(directory, url, "init")
    restic(directory, url, "backup", str(source))
    (source / "file-0").write_bytes(b"changed")
    summary = json.loads(restic(directory, url, "backup", str(source)).splitlines()[-1])
    restic(directory, url, "forget", "--keep-last", "1", "--prune")
    restic(directory, url, "check", "--read-data")
    restic(directory, url, "restore", "latest", "--target", "restored")
    restored = tree(directory / "restored" / source.relative_to("/"))
    return [summary["files_changed"], summary["files_unmodified"], restored]


def test_back_up_and_restore(tmp_path: Path) -> None:
    """What is restored is what was backed up; packs are read in ranges."""
    with backup_server(tmp_path / "a") as url:
        direct = back_up_and_restore(url, tmp_path / "direct", noise(tmp_path / "one"))
    with backup_server(tmp_path / "b") as url, proxied(tmp_path, url) as way:
        source = noise(tmp_path / "two")
        assert back_up_and_restore(way.url, tmp_path / "proxied", source) == direct
        records = way.check_record()

    assert direct[-1] == tree(source)
    assert {record["method"] for record in records} >= {"HEAD", "GET", "POST", "DELETE"}
    assert {record["status"] for record in records} >= {200, 206, 404}
    assert sum(record["request_bytes"] for record in records) > LARGE_BYTES
