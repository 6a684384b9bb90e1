"""Imports of reading commands: modules that open stores only if no sidelog runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import PROGRAM_S

_PROGRAM = """
import sys
from proxy.cli.app import main
main(["query", *sys.argv[1:]])
print("storage.sqlite.store" in sys.modules)
"""


@pytest.mark.parametrize(
    ("arguments", "is_imported"),
    [(("--url", "http://127.0.0.1:9"), False), (("--data-dir", "."), True)],
)
def test_a_running_sidelog_is_asked_without_what_opens_stores(
    tmp_path: Path, arguments: tuple[str, ...], is_imported: bool
) -> None:
    """These imports take a third of the time of a short answer."""
    environ = {"PYTHONPATH": str(Path(__file__).parents[4])}
    (tmp_path / "sidelog.db").touch()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM_S,
    )
    assert done.stdout.splitlines()[-1] == str(is_imported)
