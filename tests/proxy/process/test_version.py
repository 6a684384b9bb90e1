"""The build that is told is the one that runs."""

import subprocess
import sys
from pathlib import Path

from proxy.process.version import BUILD
from proxy.ring import ring


def test_the_build_is_told_by_where_the_ring_comes_from() -> None:
    """A compiled module is no source file."""
    assert (BUILD == "pure") == (Path(ring.__file__ or "").suffix == ".py")


def test_a_library_beside_the_source_is_what_runs(tmp_path: Path) -> None:
    """Telling loads nothing of it: a library that cannot be loaded is told, too."""
    version = tmp_path / "proxy/process/version.py"
    version.parent.mkdir(parents=True)
    version.write_text(Path("proxy/process/version.py").read_text())
    (tmp_path / "proxy/ring").mkdir()
    library = tmp_path / "proxy/ring/ring.abi3.so"
    told = []

    for content in (None, b"no library"):
        (tmp_path / "proxy/ring/ring.py").touch()
        if content is not None:
            library.write_bytes(content)
        command = [sys.executable, "-c", "from proxy.process.version import BUILD; print(BUILD)"]
        told.append(
            subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=True
            ).stdout.strip()
        )

    assert told == ["pure", "compiled"]
