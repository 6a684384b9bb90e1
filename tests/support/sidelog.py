"""A real sidelog in its own processes, on free ports, with a data directory of its own."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from proxy.process.data_dir import read_state
from tests.support.ports import free_port

Value = TypeVar("Value")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S: Final = 240.0
"""For what must come true: a machine that others keep busy may take a hundred times as long as a
quiet one.
"""
_OPENING_S: Final = 60.0
_ENVIRON: Final = {
    "SIDELOG_RING__BYTES": str(8 << 20),
    # A starved process may take more than the five seconds that a connection has by default, and
    # the ten of a head.
    "SIDELOG_PROXY__LIMITS__TIMEOUT_CONNECT_S": "60",
    "SIDELOG_PROXY__LIMITS__TIMEOUT_HEADERS_S": "60",
    # Nobody here has a certificate that the system's authorities signed, and to read those is 0.07
    # of 1.3 s of CPU.
    "SSL_CERT_FILE": os.devnull,
}


def eventually(probe: Callable[[], Value | None], timeout_s: float = PATIENCE_S) -> Value:
    """Call `probe` until it returns something true; fail with its last answer."""
    deadline = time.monotonic() + timeout_s
    pause_s = 0.02
    while True:
        value = probe()
        if value or time.monotonic() >= deadline:
            assert value, f"did not come true within {timeout_s} s: {value!r}"
            assert value is not None
            return value

        time.sleep(pause_s)
        # What takes long is busy, and has better to do than to answer us.
        pause_s = min(pause_s * 1.2, 0.1)


def customized(directory: Path, code: str) -> dict[str, str]:
    """An environment in which each Python first runs `code` (the standard library's `site`); it may
    import ours.
    """
    (directory / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{directory}{os.pathsep}{ROOT}"}


class Sidelog:
    """One running `sidelog serve`; started by `with`, stopped (SIGTERM) at its end, killed if that
    fails.
    """

    def __init__(
        self,
        data_dir: Path,
        upstream: str,
        *arguments: str,
        environ: dict[str, str] | None = None,
        tls_cert: Path | None = None,
    ) -> None:
        """Prepare; ports are chosen now and stay the same over restarts. `tls_cert`: both ports
        speak TLS with it.
        """
        self.data_dir = data_dir
        self._token = ""
        self._scheme = "https" if tls_cert else "http"
        self._tls = ssl.create_default_context(cafile=str(tls_cert)) if tls_cert else None
        self.port, self.admin_port = free_port(), free_port()
        self._path = ""
        self._program = [sys.executable, "-m", "proxy"]
        self._directory = ROOT
        self._command = [
            *("serve", "--upstream", upstream, "--data-dir", str(data_dir)),
            *(
                "--listen",
                f"127.0.0.1:{self.port}",
                "--admin-listen",
                f"127.0.0.1:{self.admin_port}",
                *arguments,
            ),
        ]
        self.environ = {**os.environ, **_ENVIRON, **(environ or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = data_dir.with_suffix(".log")
        self.stdout: int | None = None
        """Descriptor for what is written to stdout; None: the log's file."""
        self.stderr: int | None = None
        """The same for stderr."""
        self.inherited: tuple[int, ...] = ()
        """Descriptors that it is started with, under the same numbers."""
        self.stop_s = 0.0
        """How long the newest stop took."""

    def use_upstream(self, upstream: str, listen_host: str = "127.0.0.1") -> None:
        """Change the upstream, and the address the ports listen on, before the start."""
        self._command[self._command.index("--upstream") + 1] = upstream
        self._command[self._command.index("--listen") + 1] = f"{listen_host}:{self.port}"
        self._command[self._command.index("--admin-listen") + 1] = (
            f"{listen_host}:{self.admin_port}"
        )

    def listen_at(self, path: Path) -> None:
        """Listen on a Unix socket instead of a port, from the next start on."""
        self._command[self._command.index("--listen") + 1] = f"unix:{path}"
        self._path = str(path)

    def start_in(self, directory: Path, program: list[str]) -> None:
        """Start in another directory than the checkout, by the beginning of a command line, from
        the next start on.
        """
        self._directory = directory
        self._program = program

    @property
    def url(self) -> str:
        """The data port."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The admin port."""
        return f"{self._scheme}://127.0.0.1:{self.admin_port}"

    @property
    def token(self) -> str:
        """The admin token; of a data directory that was removed, the one that was there."""
        with suppress(FileNotFoundError):
            self._token = (self.data_dir / "admin-token").read_text().strip()
        return self._token

    @property
    def log(self) -> str:
        """What all processes wrote to stderr so far."""
        if self.log_path.exists():
            return self.log_path.read_text()
        return ""

    def await_log(self, words: str) -> None:
        """Wait until some process has written words: a thread writes them, behind what they tell
        of.
        """
        eventually(lambda: words in self.log)

    def __enter__(self) -> Self:
        """Start and wait until it is ready."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, however it is doing."""
        try:
            if self.process is not None:
                self.stop(check=kind is None)
        finally:
            rings = read_state(self.data_dir).get("rings")
            if rings:  # memory that a failed test leaves is not given back by anybody else
                shutil.rmtree(rings, ignore_errors=True)

    def start(self, *, is_awaited: bool = True) -> None:
        """Start all processes and wait until ready, if that `is_awaited`."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._program, *self._command],
                cwd=self._directory,
                env=self.environ,
                stderr=log if self.stderr is None else self.stderr,
                stdout=log if self.stdout is None else self.stdout,
                start_new_session=True,
                pass_fds=self.inherited,
            )

        if is_awaited:
            eventually(self.is_ready)

    def is_ready(self) -> bool:
        """Whether /readyz says so, without a store that is just being opened, and the data port
        accepts.
        """
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            with urllib.request.urlopen(
                f"{self.admin_url}/readyz", timeout=60, context=self._tls
            ) as response:
                if b"being opened" in response.read():
                    return False

            with socket.socket(socket.AF_UNIX if self._path else socket.AF_INET) as probe:
                probe.settimeout(60)
                probe.connect(self._path or ("127.0.0.1", self.port))
        except OSError:
            return False

        return True

    def stop(self, *, check: bool = True) -> int:
        """Stop in order; the exit code must be 0 when `check`."""
        assert self.process is not None
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)

        try:
            code = self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise

        self.process = None
        self.stop_s = time.monotonic() - began_s
        if check:
            assert code == 0, self.log
        return code

    def kill_all(self) -> None:
        """`kill -9` of every process at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def pids(self, role: str) -> list[int]:
        """Process ids of one role, `proxy.worker` or `proxy.collector`, below this supervisor."""
        assert self.process is not None
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue

            if parent == self.process.pid and role.encode() in command:
                found.append(int(entry.name))

        return sorted(found)

    def api(self, path: str) -> Any:
        """GET from the admin port as JSON; a store that is being opened is waited for, as the
        command line does.
        """
        request = urllib.request.Request(
            f"{self.admin_url}{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        ends_s = time.monotonic() + _OPENING_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60, context=self._tls) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                if error.headers["Retry-After"] != "1" or time.monotonic() > ends_s:
                    raise

            time.sleep(0.1)

    def record(self, name: str) -> dict[str, Any]:
        """The detail of one record, by the id its answer carried, once it is stored."""

        def find() -> dict[str, Any] | None:
            try:
                record: dict[str, Any] = self.api(f"/api/records/{name}")
            except urllib.error.HTTPError:
                return None
            return None if record["in_flight"] else record

        found = eventually(find)
        assert found is not None
        return found

    def is_in_flight(self, path: str) -> bool:
        """Whether an exchange of a path runs; the same question answers records that are stored,
        and longer paths.
        """
        shown = self.api(f"/api/records?in_flight=true&path={path}")["records"]
        return any(record["in_flight"] and record["path"] == path for record in shown)

    def ready_answer(self) -> dict[str, Any]:
        """What /readyz answers, whatever its status."""
        try:
            with urllib.request.urlopen(
                f"{self.admin_url}/readyz", timeout=60, context=self._tls
            ) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            answer = json.load(error)

        return answer

    def status_of(self, path: str) -> int:
        """The status a GET from the admin port is answered with."""
        try:
            self.api(path)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def records(self, query: str = "") -> list[dict[str, Any]]:
        """All records of a query, page by page, newest first."""
        records: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.api(f"/api/records?limit=1000&{query}{cursor}")
            records += page["records"]
            if page["next_cursor"] is None:
                return records
            cursor = f"&cursor={page['next_cursor']}"

    def settled_ledger(self) -> dict[str, Any]:
        """The ledger, once nothing waits any more, in memory or in the spool; it must balance."""

        def settled() -> dict[str, Any] | None:
            try:
                ledger: dict[str, Any] = self.api("/api/ledger")
            except OSError:
                return None
            if ledger["waiting"] == ledger["spooled"] == 0:
                return ledger
            return None

        ledger = eventually(settled)
        assert ledger is not None
        assert ledger["balanced"], ledger
        return ledger


def await_pids(sidelog: Sidelog, role: str) -> list[int]:
    """Wait until processes of a role are running; return their ids."""
    return eventually(lambda: sidelog.pids(role))
