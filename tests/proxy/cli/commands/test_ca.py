"""`sidelog ca`: the authority is made, shown and replaced; a shell trusts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.egress.authority import open_authority
from proxy.egress.trust import TRUST
from proxy.process.data_dir import EGRESS_URL_NAME, update_state
from tests.proxy.cli.conftest import Run

ROOT = Path(__file__).parents[4]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that commands find; a sidelog with the port ran there."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("SIDELOG_DATA_DIR", str(path))
    for name in ("NO_PROXY", "no_proxy", *(each.name for each in TRUST)):
        monkeypatch.delenv(name, raising=False)
    update_state(path, **{EGRESS_URL_NAME: "http://127.0.0.1:8888"})
    return path


def shown(run: Run) -> dict[str, str]:
    found: dict[str, str] = json.loads(run("ca --json").out)
    return found


def test_it_is_made_and_shown(data_dir: Path, run: Run) -> None:
    """With its file, fingerprint and end, and who reads which variable."""
    text = run("ca").out
    found = shown(run)
    assert found["certificate"] == str(data_dir / "ca" / "ca.pem")
    for value in (found["certificate"], found["sha256"], found["expires"], "Node, Bun"):
        assert value in text
    [node] = [line for line in text.splitlines() if line.startswith("NODE_USE_ENV_PROXY")]
    assert node.endswith("Node 22.21, 24 and newer")
    assert found["proxy"] == "http://127.0.0.1:8888"


def test_a_new_one_takes_its_place(data_dir: Path, run: Run) -> None:
    """Also where a part of the old one is lost."""
    old = shown(run)["sha256"]
    (data_dir / "ca" / "ca.key").unlink()
    assert "make a new authority with sidelog ca rotate" in run("ca", code=1).err
    assert old not in run("ca rotate").out
    assert shown(run)["sha256"] != old


def test_a_shell_evaluates_the_lines(data_dir: Path, tmp_path: Path) -> None:
    """However often; authorities that it trusts so far are kept, and hosts that it reaches
    directly.
    """
    corp = open_authority(tmp_path / "it's corp")
    lines = f'eval "$({sys.executable} -m proxy ca env)"'
    script = f'{lines}; {lines}; echo "$https_proxy $NO_PROXY"; cat "$SSL_CERT_FILE"'
    environ = {**os.environ, "SSL_CERT_FILE": str(corp.path), "NO_PROXY": ".corp"}
    said = subprocess.run(
        ["sh", "-ec", script], env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    ours = (data_dir / "ca" / "ca.pem").read_text()
    assert said.stdout == (
        f"http://127.0.0.1:8888 .corp,localhost,127.0.0.1,::1\n{corp.pem.decode()}{ours}"
    )


def test_without_a_port_there_is_nothing_to_evaluate(data_dir: Path, run: Run) -> None:
    """Unless one is named, as of a container."""
    update_state(data_dir, **{EGRESS_URL_NAME: ""})
    captured = run("ca env", code=1)
    assert (captured.out, "pass --proxy" in captured.err) == ("", True)
    assert (
        "export HTTPS_PROXY=http://sidelog:8888\n" in run("ca env --proxy http://sidelog:8888").out
    )


def test_a_file_that_holds_no_authority_is_named(
    data_dir: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs would not start with it either."""
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    assert f"{__file__} holds no certificate (PEM)" in run("ca env", code=1).err
