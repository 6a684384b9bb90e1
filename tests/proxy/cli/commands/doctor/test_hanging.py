"""The doctor as a process, where something it looks at never answers: it ends by itself, and names
what hangs.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, customized


def asked(environ: dict[str, str], *arguments: object) -> dict[str, str]:
    """Ask the doctor, who ends with a failure and without a word on stderr: name → finding."""
    done = subprocess.run(
        [sys.executable, "-m", "proxy", "doctor", "--json", *map(str, arguments)],
        cwd="/",
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        timeout=PROGRAM_S,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    return {finding["name"]: finding["text"] for finding in json.loads(done.stdout)}


def test_a_database_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    """The command ends by itself and names the check; the driver alone would wait for longer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            **os.environ,
            "SIDELOG_STORAGE__URL": f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/db",
            "PYTHONPATH": str(ROOT),
        }
        texts = asked(environ, "--upstream", "http://127.0.0.1:1", "--data-dir", tmp_path)

    assert texts["storage"] == "no answer within 4 s"


def test_a_name_server_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    """In a container without a home, a volume and its resolver: the command ends, and names what
    hangs.
    """
    hanging = "import socket, time; socket.getaddrinfo = lambda *_, **__: time.sleep(3600)"
    environ = customized(tmp_path, hanging)
    texts = asked(environ, "--upstream", "http://app", "--data-dir", "/proc/no")
    assert (texts["ports"], texts["upstreams"]) == ("no answer within 4 s",) * 2
    assert {"settings", "data directory", "storage", "sqlite", "clock"} <= set(texts)
    # A check that is late is named after what it looks at.
    assert {"open files", "descriptors"} & set(texts)


def test_a_file_system_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    """Whether a sidelog runs there is asked of its lock, and only where no upstream is given."""
    hanging = "import fcntl, time; fcntl.flock = lambda *_: time.sleep(3600)"
    (tmp_path / "lock").touch()
    texts = asked(customized(tmp_path, hanging), "--data-dir", tmp_path)
    assert texts["settings"] == "no answer within 4 s"
