"""A wheel in an environment of its own, with what it says it needs and nothing else, and the
program that runs there.

Strategy: the wheel is installed without network. What it needs is linked from the environment that
the tests run in, by the metadata of the wheel and of what it needs in turn: a requirement that is
not declared is not there.
"""

import os
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import msgspec
from packaging.requirements import Requirement

from proxy.process.version import VERSION
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running, service


def install(wheel: Path, directory: Path) -> Path:
    """Install a wheel; returns its program."""
    venv.create(directory, symlinks=True)
    python = directory / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    command = [
        str(uv),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--no-cache",
        "--python",
        str(python),
    ]
    subprocess.run([*command, str(wheel)], check=True)
    packages = next((directory / "lib").glob("python3*/site-packages"))
    (own,) = distributions(name="sidelog", path=[str(packages)])
    _link_needed(own, packages)
    where = subprocess.run(
        [python, "-P", "-c", "import api, proxy, storage; print(*(p.__file__ for p in (api, proxy, storage)))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(Path(path).is_relative_to(packages) for path in where.stdout.split())
    return directory / "bin" / "sidelog"


def _needed(found: Distribution) -> set[str]:
    requirements = map(Requirement, found.requires or ())
    return {
        each.name
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def _link_needed(own: Distribution, packages: Path) -> None:
    site = Path(sysconfig.get_path("purelib"))
    waiting = _needed(own)
    linked = set[str]()

    while waiting:
        name = waiting.pop()
        found = distribution(name)
        linked.add(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(site / top)
        waiting |= _needed(found) - linked


@contextmanager
def serving(program: Path, cwd: Path, data_dir: Path, *, build: str) -> Iterator[Sidelog]:
    """Run it in a directory: it says which build it is, records an exchange, and finds it again."""
    shown = msgspec.json.decode(_output(program, cwd, "version", "--json"))
    assert (shown["version"], shown["build"]) == (VERSION, build)
    sidelog = Sidelog(data_dir, "http://127.0.0.1:1")
    sidelog.start_in(cwd, [str(program)])

    with running(service()) as upstream:
        sidelog.use_upstream(upstream)
        with sidelog:
            urllib.request.urlopen(f"{sidelog.url}/items/1", timeout=60).read()
            (record,) = eventually(sidelog.records)
            at = {"SIDELOG_URL": sidelog.admin_url, "SIDELOG_TOKEN": sidelog.token}
            found = msgspec.json.decode(
                _output(program, cwd, "query", "--json", "path:/items/*", **at)
            )
            assert (found["id"], found["path"], found["status"]) == (record["id"], "/items/1", 200)
            with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60) as response:
                assert f'build="{build}"' in response.read().decode()
            yield sidelog


def _output(program: Path, cwd: Path, *arguments: str, **environ: str) -> bytes:
    command = [str(program), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environ, capture_output=True, check=True
    ).stdout
