"""What is said at the start leads to where everything is."""

import subprocess
from pathlib import Path

import pytest

from proxy.demo.welcome import url_of, welcome


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        (":80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("box.example:80", "http://box.example:80"),
    ],
)
def test_urls_lead_to_where_this_machine_can_reach_it(address: str, url: str) -> None:
    """A wildcard address is no destination, loopback is."""
    assert url_of(address) == url


def test_the_commands_to_try_survive_a_strange_directory(tmp_path: Path) -> None:
    """The token file's path is quoted for a shell."""
    directory = tmp_path / "it's here"
    directory.mkdir()
    (directory / "admin-token").write_text("t0ken")
    text = welcome("an app", "127.0.0.1:1", "127.0.0.1:2", directory, "t0ken")
    command = next(line for line in text.splitlines() if line.endswith("/api/ledger"))
    printed = subprocess.run(
        ["/bin/sh", "-c", command.replace("curl", "printf '%s\\n'")], capture_output=True, text=True, check=True
    )
    assert printed.stdout.splitlines()[1] == "Authorization: Bearer t0ken"


@pytest.mark.parametrize(
    ("listen", "said"),
    [("127.0.0.1:1", "LISTEN=0.0.0.0:PORT, lets others in"), ("0.0.0.0:1", "open to other machines at 0.0.0.0:1")],
)
def test_it_is_said_who_reaches_the_proxy(tmp_path: Path, listen: str, said: str) -> None:
    """And how to change that."""
    assert said in welcome("an app", listen, "127.0.0.1:2", tmp_path, "t0ken")
