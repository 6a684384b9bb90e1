"""Every example of `--help` and every shell line of the README, executed as written.

Only what names a place is replaced: ports and paths of the examples by those of a sidelog started
for the tests, the id of a record by one that exists. A command that runs until it is interrupted
has shown what it is for, or the test fails.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from proxy.cli import app
from tests.proxy.cli.commands.test_reflect import service as reflecting
from tests.support.commands import example_of, walk
from tests.support.long import long
from tests.support.ports import free_port
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, eventually

NOT_EXECUTED: Final = {
    "make run": "installs requirements; the demo it starts has a test of its own",
    "make run UPSTREAM=http://127.0.0.1:3000": "installs requirements; run as `sidelog serve`",
}
"""Lines that cannot run in a test, and why; their make targets are looked up."""
ENDLESS: Final = {
    "sidelog serve": "sidelog is starting",
    "sidelog tail": "/status/500",
    "sidelog mock": "answering for",
    "curl -N": "/status/500",
}
"""Beginning of a command that runs until it is interrupted → what it prints when it works."""
EXAMPLE_ID: Final = re.compile(r"0192f3c4-[0-9a-f-]+|0192f3c4-…")


def help_examples() -> list[str]:
    """The example of each command."""
    return [example_of(command) for _, command in walk()]


def shell_lines(document: str) -> list[str]:
    """The lines of each shell block, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), re.S)
    lines = [
        re.sub(r"\s+# .*", "", line).strip() for block in blocks for line in block.splitlines()
    ]
    return [line for line in lines if line]


def is_ready(address: str) -> bool:
    """Whether the sidelog of an admin port is ready."""
    try:
        urllib.request.urlopen(f"http://{address}/readyz", timeout=60).close()
    except OSError:
        return False
    return True


class World:
    """A running sidelog with records, and a directory to type commands in."""

    def __init__(
        self, sidelog: Sidelog, upstream: str, directory: Path, reflection: str = "127.0.0.1:1"
    ) -> None:
        self.sidelog = sidelog
        self.directory = directory
        self._upstream = upstream
        self._reflection = reflection
        script = directory / "bin" / "sidelog"
        script.parent.mkdir()
        script.write_text(
            f"#!{sys.executable}\nimport sys\nfrom proxy.cli.app import main\nsys.exit(main())\n"
        )
        script.chmod(0o755)
        (directory / ".venv").symlink_to(directory)  # as make run makes it
        agent = directory / "bin" / "claude"
        agent.write_text("#!/bin/sh\ncurl -s $ANTHROPIC_BASE_URL/v1/models\n")
        agent.chmod(0o755)
        self._environ = {
            **os.environ,
            "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SIDELOG_DATA_DIR": str(sidelog.data_dir),
            "SIDELOG_RING__BYTES": str(8 << 20),
            "XDG_STATE_HOME": str(directory / "state"),
            "ANTHROPIC_BASE_URL": upstream,
        }
        ports = (
            f'listen = "127.0.0.1:{{}}"\nupstream = "{upstream}"\n\n[admin]\nlisten = '
            f'"127.0.0.1:{{}}"\n'
        )
        (directory / "sidelog.toml").write_text(
            "[proxy]\n" + ports.format(sidelog.port, sidelog.admin_port)
        )
        (directory / "response.json").write_text('{"id": 1}')
        for status in (200, 404, 500):
            self.fetch(f"/status/{status}")
        self.record_id = str(eventually(lambda: sidelog.records("status=500"))[0]["id"])
        self.prepare("save", "checkout", "-o", str(directory / "checkout.ndjson"))

    def fetch(self, path: str) -> None:
        """Make a request through the proxy."""
        try:
            urllib.request.urlopen(self.sidelog.url + path, timeout=60).read()
        except urllib.error.HTTPError as error:
            error.read()

    def placed(self, line: str, *, is_new: bool) -> tuple[str, dict[str, str]]:
        """Return a line and its environment with the places of the examples replaced; `is_new`: it
        starts a sidelog.
        """
        port, admin_port = (
            (free_port(), free_port()) if is_new else (self.sidelog.port, self.sidelog.admin_port)
        )
        data_dir = (
            self.directory / f"data-{port}" if is_new or "rotate" in line else self.sidelog.data_dir
        )
        if "rotate" in line:
            shutil.copytree(self.sidelog.data_dir, data_dir)
        line = EXAMPLE_ID.sub(self.record_id, line)
        line = line.replace("127.0.0.1:3000", urlsplit(self._upstream).netloc).replace(
            "/var/lib/sidelog", str(data_dir)
        )
        line = re.sub(r":(?:8080|8888)\b", f":{port}", line).replace(":8090", f":{admin_port}")
        line = line.replace(":9000", f":{free_port()}").replace("127.0.0.1:50051", self._reflection)
        environ = {**self._environ, "SIDELOG_DATA_DIR": str(data_dir)}

        if is_new:
            environ |= {
                "SIDELOG_ADMIN__LISTEN": f"127.0.0.1:{admin_port}",
                "SIDELOG_PROXY__LISTEN": f"127.0.0.1:{port}",
            }

        return line, environ

    def prepare(self, *words: str) -> int:
        """Do what has to be done before a line, without a process of its own; the exit code."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return app.main([*words, "--data-dir", str(self.sidelog.data_dir)])

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Execute a line that ends."""
        line, environ = self.placed(line, is_new=False)
        command = ["bash", "-c", line]
        return subprocess.run(
            command,
            cwd=self.directory,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_S,
        )

    def interrupt(self, line: str, expected: str) -> str:
        """Execute a line until it has printed `expected`, then send Ctrl-C; return all it printed."""
        is_new = line.startswith("sidelog serve")
        line, environ = self.placed(line, is_new=is_new)

        path = self.directory / "output"
        with path.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line}"],
                cwd=self.directory,
                env=environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # Whoever runs the tests in the background has them started with interrupts ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

            def is_shown() -> bool:
                if not is_new:
                    self.fetch("/status/500")
                assert process.poll() is None, path.read_text()
                return expected in path.read_text() and (
                    not is_new or is_ready(environ["SIDELOG_ADMIN__LISTEN"])
                )

            try:
                eventually(is_shown)
                os.killpg(process.pid, signal.SIGINT)
                process.wait(60)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

        return path.read_text()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[World]:
    """What the documents assume: sidelog runs, and has seen traffic."""
    directory = tmp_path_factory.mktemp("documented")
    alerts = [{"name": "checkout fails", "above": 1000, "url": f"{upstream}/hook"}]

    environ = {"SIDELOG_ALERTS": json.dumps(alerts)}
    with (
        reflecting("v1") as reflection,
        Sidelog(directory / "data", upstream, environ=environ) as sidelog,
    ):
        yield World(sidelog, upstream, directory, reflection)


def execute(world: World, line: str) -> str:
    """Execute a line as its document promises; return what it printed."""
    for beginning, expected in ENDLESS.items():
        if line.startswith(beginning):
            return world.interrupt(line, expected)
    # There is one key of that name, or none before it is created.
    if line.startswith("sidelog keys"):
        world.prepare("keys", "delete", "Mobile app")
        if "create" not in line:
            assert world.prepare("keys", "create", "Mobile app") == 0

    done = world.run(line)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "line", [line if number % 3 == 2 else long(line) for number, line in enumerate(help_examples())]
)
def test_an_example_of_help_works(world: World, line: str) -> None:
    """It ends with 0, or prints what it is for until it is interrupted, and never a traceback."""
    output = execute(world, line)
    # Which answers what it is asked.
    assert output.strip() or "-o " in line or "sidelog mcp" in line
    assert "Traceback" not in output


@pytest.mark.parametrize("line", shell_lines("README.md"))
def test_a_line_of_the_readme_works(world: World, line: str) -> None:
    """The same for each line of a shell block; those that cannot run name a target that make knows."""
    if line in NOT_EXECUTED:
        command = ["make", "-n", *shlex.split(line)[1:]]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
        return
    assert "Traceback" not in execute(world, line)


def test_the_list_of_lines_that_are_not_executed_is_short_and_true() -> None:
    """Each of them is in the README."""
    assert set(NOT_EXECUTED) <= set(shell_lines("README.md"))
