"""Programs that nobody here wrote: where they are, and how they run beside a test.

Python's are in `.venv-realworld` and npm's in `.venv-realworld/npm`, both made by `make realworld`;
the rest is the system's. What is missing is a skip that says so, and a failure with `CI=true` or
`REALWORLD_STRICT=1`.
"""

import contextlib
import http.client
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.sidelog import ROOT, eventually

HOME = ROOT / ".venv-realworld"
SERVERS = Path(__file__).parent / "servers"
_IS_STRICT = os.environ.get("CI") == "true" or os.environ.get("REALWORLD_STRICT") == "1"
_START_S = 60.0
"""A loaded machine takes half a minute to import Jupyter."""


def _missing(what: str) -> None:
    if _IS_STRICT:
        pytest.fail(what)
    pytest.skip(what)


def system_program(name: str, package: str = "") -> str:
    """Return the path of a program of the system, which is in a Debian package, by default of its
    name.
    """
    found = shutil.which(name)
    if found is None:
        _missing(f"{name} is not installed: apt-get install {package or name}")
    return str(found)


def debian_file(name: str, packages: str) -> Path:
    """Return the path of a file that Debian packages bring."""
    path = Path(name)
    if not path.exists():
        _missing(f"{name} is not there: apt-get install {packages}")
    return path


def go_program(source: str, home: Path) -> str:
    """Compile a program of `servers` with what Debian has of Go's packages; return its path."""
    go = system_program("go", "golang-go")
    built = home / source.removesuffix(".go")
    debian_file("/usr/share/gocode/src/google.golang.org/grpc", "golang-google-grpc-dev")
    environ = {
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(HOME / "go-cache"),
    }
    if not built.exists():
        run([go, "build", "-o", str(built), str(SERVERS / source)], home, environ)
    return str(built)


def python_program(name: str = "python") -> str:
    """Return the path of a program that `make realworld` installed from its lock."""
    path = HOME / "bin" / name
    if not path.exists():
        _missing(f"{name} is not in {HOME.name}: make realworld")
    return str(path)


def npm_program(name: str) -> str:
    """Return the path of a program that `make realworld` installed with npm."""
    return npm_file(f".bin/{name}")


def npm_file(name: str) -> str:
    """Return the path of a file below `node_modules` that `make realworld` installed with npm."""
    path = HOME / "npm/node_modules" / name
    if not path.exists():
        _missing(f"{name} is not in {HOME.name}/npm: install npm, then make realworld")
    return str(path)


def run(
    command: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 120,
) -> str:
    """Run a client to its end, which must be a good one; return its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=client_environ(cwd) | dict(environ or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def client_environ(home: Path) -> dict[str, str]:
    """Return an environment without the user's own settings, nor any way past this machine."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR")
        if name in os.environ
    }
    return kept | {"HOME": str(home), "PIP_CONFIG_FILE": os.devnull, "no_proxy": "*"}


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    port: int,
    home: Path,
    environ: Mapping[str, str] | None = None,
    ready_path: str = "/",
) -> Iterator[str]:
    """Run a server beside the test, in `home`; give its URL once `ready_path` is answered, with
    whatever status.
    """
    url = f"http://127.0.0.1:{port}"
    log_path = home / "server.log"
    with log_path.open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=home,
            env=client_environ(home) | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def is_up() -> bool:
        assert server.poll() is None, log_path.read_text()
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)  # follows no redirect
        try:
            probe.request("GET", ready_path, headers={"Connection": "close"})
            probe.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            probe.close()

        return True

    try:
        eventually(is_up, _START_S)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
