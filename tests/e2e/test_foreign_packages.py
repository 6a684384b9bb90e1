"""sidelog started in the folder of a project that has its own `api/`, `storage/`, `proxy/` and
`secrets.py`.
"""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.long import long
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog

SCRIPT = "import sys\nfrom proxy.cli.app import main\nsys.exit(main())\n"
"""What an installer writes for `sidelog`."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder whose packages end every program that imports them."""
    folder = tmp_path / "project"
    for name in ("api", "storage"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(
            f"raise SystemExit('the foreign {name} was imported')\n"
        )

    (folder / "secrets.py").write_text("raise SystemExit('the foreign secrets was imported')\n")
    return folder


def command_of(kind: str, tmp_path: Path) -> list[str]:
    """Return the beginning of a command line, as an installed script or as a module."""
    if kind == "module":
        return [sys.executable, "-m", "proxy"]
    script = tmp_path / "bin" / "sidelog"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    return [sys.executable, str(script)]


@pytest.mark.parametrize(
    ("kind", "workers"), [long("script", "1"), ("module", "1"), long("module", "0")]
)
def test_records_are_stored(
    tmp_path: Path, project: Path, upstream: str, kind: str, workers: str
) -> None:
    """Every process imports sidelog's own packages: an exchange is forwarded, recorded and read."""
    sidelog = Sidelog(
        tmp_path / "data", upstream, "--workers", workers, environ={"PYTHONPATH": str(ROOT)}
    )
    command = command_of(kind, tmp_path)
    sidelog.start_in(project, command)

    with sidelog:
        with urllib.request.urlopen(f"{sidelog.url}/v1/users", timeout=60) as answer:
            answer.read()
            record_id = answer.headers["X-Sidelog-Id"]
        assert sidelog.record(record_id)["outcome"] == "ok"
        done = subprocess.run(
            [*command, "query", "--data-dir", str(sidelog.data_dir)],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_S,
        )
        assert (done.returncode, record_id in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("arguments", [["doctor"], ["serve", "--upstream", "http://127.0.0.1:1"]])
def test_a_foreign_package_on_the_path_is_refused(project: Path, arguments: list[str]) -> None:
    """Where the environment itself names the folder, one line says which package is meant, and
    nothing starts.
    """
    named = f"{project}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "proxy", *arguments],
        env={**os.environ, "PYTHONPATH": named},
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert f"'api' would be imported from {project}/api/__init__.py" in done.stderr
