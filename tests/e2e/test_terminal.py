"""The commands on a real terminal, over records that clients made to be obeyed by one."""

import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from proxy.process.terminal import UNSAFE
from tests.support.sidelog import ROOT, Sidelog, eventually

TITLE = b"\x1b]0;pwned\x07"
C1 = b"\xc2\x9b2J"
OVERRIDE = b"\xe2\x80\xae"
HOSTILE = TITLE + C1 + OVERRIDE
SHOWN = "\\x1b]0;pwned\\x07\\x9b2J\\u202e"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""The only sequences of our own."""
SHOWN_S: Final = 200.0
"""What a command has to show something: its imports take long on a busy machine. A test has 300."""


def send(sidelog: Sidelog, raw: bytes) -> None:
    """Send one request on a connection of its own, and take what is answered."""
    with socket.create_connection(("127.0.0.1", sidelog.port), timeout=60) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass


def ask(sidelog: Sidelog) -> None:
    """Send a hostile request: a body may hold what it likes, a field visible bytes and those above
    them.
    """
    body = HOSTILE + b'\n{"a": 1}'
    head = (
        b"POST /x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: %b\r\nX-Odd: %b\r\nContent-Length: "
        b"%d\r\n\r\n"
    )
    send(sidelog, head % (C1 + OVERRIDE, C1 + OVERRIDE, len(body)) + body)


class Terminal:
    """A command whose standard streams are a terminal of 200 columns."""

    def __init__(self, sidelog: Sidelog, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "proxy", *arguments, "--data-dir", str(sidelog.data_dir)]
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
        )
        os.close(theirs)
        self._seen = b""

    def shown(
        self, until: Callable[[str], bool] = lambda text: False, timeout_s: float = SHOWN_S
    ) -> str:
        """Return what it showed, without colours, up to its end or until something is there."""
        deadline = time.monotonic() + timeout_s
        while not until(self._seen.decode(errors="replace")) and time.monotonic() < deadline:
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self._seen += os.read(self._ours, 65536)
                except OSError:  # EIO: the command has ended
                    break

        return COLOURS.sub("", self._seen.decode())

    def close(self) -> None:
        if self.process.poll() is None:
            # An interrupt may be ignored here, as in whatever a shell runs beside it.
            self.process.terminate()
        self.process.wait(60)
        os.close(self._ours)


def obeyed(text: str) -> list[str]:
    """What a terminal would obey, but for its own line ends."""
    return re.findall(f"[{UNSAFE}]", text.replace("\r\n", "\n"))


@pytest.fixture(scope="module")
def sidelog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidelog]:
    """One with a hostile record, and one that was refused."""
    with Sidelog(tmp_path_factory.mktemp("terminal") / "data", "http://127.0.0.1:1") as running:
        ask(running)
        send(
            running,
            b"GET /" + TITLE + b" HTTP/1.1\r\nHost: a.example\r\nX-Odd: " + HOSTILE + b"\r\n\r\n",
        )
        eventually(lambda: len(running.records()) == 2)
        yield running


@pytest.mark.parametrize(
    ("command", "spelt"),
    [
        ("get {asked}", SHOWN),
        ("get {asked} --request --raw", SHOWN),
        ("get {asked} --json", "\\u001b]0;pwned\\u0007\\u009b2J\\u202e"),
        ("get {asked} --curl", "\\033"),
        ("get {refused}", "\\x1b]0;pwned\\x07"),
        ("query --fields id,user_agent,header.x-odd", "\\x9b2J\\u202e"),
        ("top --by user_agent", "\\x9b2J\\u202e"),
        ("export ndjson", "\\x9b2J\\u202e"),
    ],
)
def test_what_is_recorded_moves_no_cursor(sidelog: Sidelog, command: str, spelt: str) -> None:
    """It is shown, spelt out, by every command that shows records."""
    rows = {row["status"]: row["id"] for row in sidelog.records()}
    ids = {"asked": rows[502], "refused": rows[400]}

    terminal = Terminal(sidelog, *command.format(**ids).split())
    try:
        shown = terminal.shown()
        assert terminal.process.wait(60) == 0, shown
    finally:
        terminal.close()

    assert obeyed(shown) == []
    assert spelt in shown


def test_a_live_list_moves_no_cursor(sidelog: Sidelog) -> None:
    """Neither does what comes while somebody looks on."""
    terminal = Terminal(sidelog, "tail", "--fields", "id,user_agent")
    try:
        deadline = time.monotonic() + SHOWN_S
        while (
            "u202e" not in terminal.shown(lambda text: "u202e" in text, 0.2)
            and time.monotonic() < deadline
        ):
            ask(sidelog)

        shown = terminal.shown(lambda text: True)
    finally:
        terminal.close()

    assert obeyed(shown) == []
    assert "\\x9b2J\\u202e" in shown
