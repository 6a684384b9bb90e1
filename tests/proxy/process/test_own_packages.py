"""Our packages are found wherever sidelog is started, and never mixed with others of the same
names.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.process.own_packages import (
    ROOT,
    foreign_package,
    leave_current_directory,
    module_command,
    module_environment,
)
from tests.support.programs import PROGRAM_S


def test_a_child_does_not_import_from_the_current_directory(tmp_path: Path) -> None:
    """A module of ours runs although packages of its names, and a `secrets.py`, lie where it is
    started.
    """
    for name in ("api", "storage", "proxy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('foreign')\n")
    (tmp_path / "secrets.py").write_text("raise SystemExit('foreign')\n")
    command = module_command("proxy", "version")
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=module_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    assert (done.returncode, done.stdout[:8]) == (0, "sidelog "), done.stderr


@pytest.mark.parametrize(
    ("path", "named", "expected"),
    [
        ([ROOT], "", ROOT),  # only because it is where this process was started
        ([ROOT], "/more", f"{ROOT}{os.pathsep}/more"),
        (["/bin", ROOT], "", None),
        (["/bin"], f"/more{os.pathsep}{ROOT}", f"/more{os.pathsep}{ROOT}"),
    ],
)
def test_the_root_is_named_only_where_the_child_would_not_find_it(
    monkeypatch: pytest.MonkeyPatch, path: list[str], named: str, expected: str | None
) -> None:
    """An installed sidelog is found by itself; a checkout is put before what the environment names."""
    monkeypatch.setattr(sys, "path", path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if named:
        monkeypatch.setenv("PYTHONPATH", named)
    assert module_environment().get("PYTHONPATH") == expected


def test_one_thread_is_enough_for_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process on a large machine would have one for each core; who says otherwise has it so."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert module_environment()["OPENBLAS_NUM_THREADS"] == "1"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    assert module_environment()["OPENBLAS_NUM_THREADS"] == "4"


def test_the_current_directory_is_left_unless_it_is_ours(tmp_path: Path) -> None:
    """`python -m` puts it first; a checkout keeps its own."""
    foreign = [str(tmp_path), "/lib"]
    own = [ROOT, "/lib"]
    leave_current_directory(foreign)
    leave_current_directory(own)
    assert (foreign, own) == (["/lib"], [ROOT, "/lib"])


def test_a_package_from_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message says which package, where it was found, and what to do; ours are no problem."""
    assert foreign_package() is None
    (tmp_path / "api.py").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == "api"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    problem = foreign_package()
    assert problem is not None
    assert f"'api' would be imported from {tmp_path}/api.py" in problem
    assert "PYTHONPATH" in problem
