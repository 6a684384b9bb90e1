"""`.ci/run` installs what is missing, with or without sudo, and ends as the test command ends."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import PROGRAM_S

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = ("bash", "dirname", "basename", "readlink", "env", "timeout")
TOOLS = (
    *sorted({*re.findall(r"command -v ([\w-]+) >", (ROOT / ".ci" / "run").read_text())} - {"sudo"}),
    "python3",
)
"""Every program the script looks for."""
STEPS = [
    "make ui-setup",
    *(
        f"make {name} PYTHON=python3"
        for name in ("clickhouse-setup", "release-setup", "test", "retest")
    ),
]
"""How `make` is called where the tests fail."""
_REST = ("test-clickhouse", "test-compiled", "helm", "docs-setup", "docs")
ALL_STEPS = [*STEPS[:-1], *(f"make {name} PYTHON=python3" for name in _REST)]
ALL_STEPS.insert(ALL_STEPS.index("make helm PYTHON=python3"), "make helm-setup")
"""The same where they pass."""


class Machine:
    """A machine that has only what is put on its PATH; every tool says how it was called."""

    def __init__(
        self,
        directory: Path,
        tools: tuple[str, ...],
        user_id: int = 0,
        *,
        has_sudo: bool = False,
        make_code: int = 7,
    ) -> None:
        """Put tools on it: `apt-get install` brings make and python3, `make` ends with a code."""
        self._bin = directory / "bin"
        self._log = directory / "log"
        self.vectors = directory / "vectors"
        self._jars = directory / "jars"
        for place in (self._bin, self.vectors, self._jars):
            place.mkdir()
        if "java" in tools:
            (self._jars / "zookeeper.jar").touch()
        for name in ALWAYS:
            (self._bin / name).symlink_to(shutil.which(name) or "/bin/false")
        self._tool("id", f"echo {user_id}")
        self._tool("apt-get", f'[ "$1" = update ] || {{ {self._make()}; {self._python()}; }}')
        if has_sudo:
            self._tool("sudo", 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"')
        for name in tools:
            match name:
                case "make":
                    self._tool("make", f"exit {make_code}")
                case "python3":
                    (self._bin / "python3").symlink_to(sys.executable)
                case _:
                    self._tool(name, "exit 0")

    def _tool(self, name: str, body: str) -> None:
        tool = self._bin / name
        tool.write_text(f'#!{shutil.which("bash")}\necho "{name} $*" >>{self._log}\n{body}\n')
        tool.chmod(0o755)

    def _make(self) -> str:
        lines = f"#!/bin/bash\\necho make $* >>{self._log}\\nexit 7\\n"
        return f"printf '{lines}' >{self._bin}/make; {shutil.which('chmod')} 755 {self._bin}/make"

    def _python(self) -> str:
        return (
            f"[ -e {self._bin}/python3 ] || {shutil.which('ln')} -s {sys.executable} "
            f"{self._bin}/python3"
        )

    def run(self) -> tuple[int, str, list[str]]:
        """Run the script; return its code, what it printed, and how tools were called."""
        environ = {
            **{"PATH": str(self._bin), "HOME": os.environ.get("HOME", "/")},
            "SIDELOG_TEST_VECTORS": str(self.vectors),
            "SIDELOG_TEST_JARS": str(self._jars),
        }
        ended = subprocess.run(
            [ROOT / ".ci" / "run"],
            env=environ,
            capture_output=True,
            text=True,
            timeout=PROGRAM_S,
            check=False,
        )
        calls = self._log.read_text().splitlines() if self._log.exists() else []
        return (
            ended.returncode,
            ended.stdout + ended.stderr,
            [call for call in calls if not call.startswith("id ")],
        )


def test_a_prepared_machine_only_runs_the_tests(tmp_path: Path) -> None:
    """Nothing is installed; what failed is run again, and the exit code is that of the second run."""
    code, said, calls = Machine(tmp_path, TOOLS).run()
    assert code == 7, said
    assert calls == STEPS
    assert "nothing to install" in said


def test_what_passes_is_followed_by_everything(tmp_path: Path) -> None:
    """One suite after the other, nothing twice."""
    code, said, calls = Machine(tmp_path, TOOLS, make_code=0).run()
    assert code == 0, said
    assert calls == ALL_STEPS


def test_published_vectors_are_fetched_where_they_are_missing(tmp_path: Path) -> None:
    """That they cannot be had is said, and left to the suite to judge; nothing is written without a
    place for it.
    """
    machine = Machine(tmp_path, TOOLS)
    machine.vectors.rmdir()
    code, said, calls = machine.run()
    assert code == 7, said
    assert calls == STEPS
    assert "no published vectors" in said
    assert not machine.vectors.exists()


def test_a_bare_machine_gets_everything(tmp_path: Path) -> None:
    """As root without sudo: one update, one install that names all that is missing."""
    code, said, calls = Machine(tmp_path, ()).run()
    assert code == 7, said
    assert calls[0] == "apt-get update --quiet"
    assert calls[1].startswith("apt-get install --quiet --yes ")
    installed = set(calls[1].split())
    assert {
        "make",
        "git",
        "prometheus",
        "nodejs",
        "chromium",
        "python3",
        "python3-venv",
    } <= installed
    assert {"libzookeeper-java", "default-jre-headless"} <= installed
    assert calls[2:] == STEPS


def test_sudo_is_used_by_other_users(tmp_path: Path) -> None:
    """Whoever is not root installs through sudo, never asking for a password."""
    code, said, calls = Machine(tmp_path, tuple({*TOOLS} - {"promtool"}), 1000, has_sudo=True).run()
    assert code == 7, said
    assert [call.split()[0] for call in calls] == [
        "sudo",
        "apt-get",
        "sudo",
        "apt-get",
        *("make" for _ in STEPS),
    ]
    assert "--non-interactive" in calls[0]
    assert calls[3].endswith(" prometheus")


def test_without_the_headless_shell_the_whole_browser_is_enough(tmp_path: Path) -> None:
    """It only takes less CPU: where it cannot be installed, that is said, and the tests run."""
    tools = tuple({*TOOLS} - {"chromium-headless-shell"})
    code, said, calls = Machine(tmp_path, tools, 1000).run()
    assert (code, calls) == (7, STEPS), said
    assert "no headless shell" in said


def test_without_rights_it_says_so(tmp_path: Path) -> None:
    """Neither root nor sudo, and something is missing: the first problem ends it."""
    code, said, calls = Machine(
        tmp_path, ("make", "git", "node", "chromium", "python3"), 1000
    ).run()
    assert code == 1
    assert "neither root nor sudo" in said
    assert calls == []


@pytest.mark.parametrize("name", ["promtool", "node", "chromium"])
def test_what_the_suite_requires_in_ci_is_installed(name: str) -> None:
    """Tests that skip without a tool fail in CI; the script knows each of these tools."""
    assert f"command -v {name} " in (ROOT / ".ci" / "run").read_text()
