"""WebDAV: litmus, the suite by the author of mod_dav, against WsgiDAV."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realworld.programs import client_environ, python_program, serving, system_program
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

METHODS = {
    *(
        "OPTIONS",
        "GET",
        "PUT",
        "DELETE",
        "MKCOL",
        "COPY",
        "MOVE",
        "PROPFIND",
        "PROPPATCH",
        "LOCK",
        "UNLOCK",
    ),
}


@contextlib.contextmanager
def dav_server(home: Path) -> Iterator[str]:
    """Serve an empty folder that anybody may write to."""
    (home / "files").mkdir(parents=True)
    port = free_port()
    command = [
        *(
            python_program("wsgidav"),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--root",
            str(home / "files"),
        ),
        *("--auth", "anonymous", "--no-config"),
    ]
    with serving(command, port, home) as url:
        yield url


def litmus(url: str, cwd: Path) -> list[str]:
    """Run all suites; return what each test came to, in order."""
    cwd.mkdir()
    done = subprocess.run(
        [system_program("litmus"), "--keep-going", f"{url}/"],
        cwd=cwd,
        env=client_environ(cwd),
        capture_output=True,
        text=True,
        timeout=200,
    )
    lines = re.split(r"[\r\n]+", done.stdout.replace(url, "URL"))
    return [
        line
        for line in lines
        if re.match(r" *\d+\. .*(pass|FAIL|SKIPPED|WARNING)|<- summary|-> \d+", line)
    ]


def test_litmus(tmp_path: Path) -> None:
    """Each of litmus' tests comes to the same, by way of eleven methods, 100-continue and locks."""
    with dav_server(tmp_path / "a") as url:
        direct = litmus(url, tmp_path / "direct")
    assert sum("pass" in line for line in direct) > 80
    with dav_server(tmp_path / "b") as url, proxied(tmp_path, url) as way:
        assert litmus(way.url, tmp_path / "proxied") == direct
        # A fragment is no part of a request target (RFC 9112 section 3.2): litmus wants it refused,
        # by whomever.
        records = way.check_record(("DELETE", "/litmus/frag/#ment", 400))

    assert {record["method"] for record in records} >= METHODS
