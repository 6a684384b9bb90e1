"""What the pages of `docs` say to type and to write down, done as they say."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from proxy.cli import app
from proxy.http1.errors import STATUS_OF
from proxy.settings.load import NEEDS_RESTART, load_without_upstream
from storage.ledger import DROP_REASONS
from tests.e2e.test_documented_commands import World, execute
from tests.support.certificate import self_signed
from tests.support.long import long
from tests.support.programs import PROGRAM_S
from tests.support.providers.upstream import application
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running

_PAGES: Final = [
    page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != "install.md"
]
"""All but the one whose commands need a package index."""
_RUNBOOK: Final = ROOT / "docs/runbook.md"
SAMPLE: Final = ("web-app", "backup")
"""Pages whose commands `make test-all` executes; `make long` those of the others, whole, as one
command needs another.
"""
_NEW_DIRECTORY: Final = "/var/backups"
_WITH_TOKENS: Final = "query=model:*%20tokens:>0"


def blocks(language: str) -> dict[str, str]:
    """The blocks of a language, by page and number."""
    found: dict[str, str] = {}
    for page in _PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)
        found |= {f"{page.stem}-{number}": text for number, text in enumerate(texts)}
    return found


_INLINE: Final = re.findall(r"`(sidelog [a-z]+ [^`]*--[^`]*)`", _RUNBOOK.read_text())
SHELL: Final = blocks("sh") | {"runbook-inline": "\n".join(dict.fromkeys(_INLINE))}
TOML: Final = blocks("toml")
PYTHON: Final = blocks("python")
YAML: Final = blocks("yaml")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[World]:
    """What the pages assume: sidelog runs, and has seen traffic, also of an API."""
    directory = tmp_path_factory.mktemp("guides")
    with Sidelog(directory / "data", upstream) as sidelog:
        world = World(sidelog, upstream, directory)
        world.fetch("/api/users/7")
        assert eventually(lambda: sidelog.records("path=/api/users"))
        yield world


@pytest.fixture(scope="module")
def before_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidelog]:
    """A sidelog in front of what answers as providers of models do."""
    with (
        running(application(0)) as models,
        Sidelog(tmp_path_factory.mktemp("models") / "data", models) as sidelog,
    ):
        yield sidelog


@pytest.mark.parametrize(
    "name", [name if name.startswith(SAMPLE) else long(name) for name in SHELL]
)
def test_commands_of_a_page_work(world: World, name: str) -> None:
    """Each line ends with 0, or prints what it is for until it is interrupted."""
    for written in SHELL[name].splitlines():
        line = re.sub(r"\s+# .*", "", written).replace(_NEW_DIRECTORY, str(world.directory))
        assert "Traceback" not in execute(world, line), line


@pytest.mark.parametrize("name", TOML)
def test_a_configuration_of_a_page_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As `sidelog config check` says; files and variables that it names are there."""
    text = TOML[name]
    for variable in re.findall(r'"env:(\w+)"', text):
        monkeypatch.setenv(variable, "given-in-the-environment")
    if "tls_cert_file" in text:
        cert, key = self_signed(tmp_path)
        text = text.replace("/etc/sidelog/cert.pem", str(cert)).replace(
            "/etc/sidelog/key.pem", str(key)
        )

    (tmp_path / "sidelog.toml").write_text(text)
    assert app.main(["config", "check", "--config", str(tmp_path / "sidelog.toml")]) == 0, (
        capsys.readouterr()
    )


@pytest.mark.parametrize("name", [name for name in YAML if "SIDELOG_" in YAML[name]])
def test_the_variables_of_a_page_are_settings(name: str) -> None:
    """A container that has them starts."""
    yaml.safe_load(YAML[name])
    pairs = re.findall(r"(SIDELOG_\w+)(?:: |, value: )(?:'([^']+)'|\"?([\w.:/-]+)\"?)", YAML[name])
    assert pairs
    load_without_upstream(
        {}, {variable: quoted or plain for variable, quoted, plain in pairs}, None
    )


@pytest.mark.parametrize("name", PYTHON)
def test_a_program_of_a_page_is_recorded(before_models: Sidelog, name: str) -> None:
    """It runs as it is written, and its call has a model and tokens."""
    before = len(before_models.records(_WITH_TOKENS))
    program = PYTHON[name].replace(":8080", f":{before_models.port}")
    environ = {
        "OPENAI_API_KEY": "sk-none",
        "ANTHROPIC_API_KEY": "sk-ant-none",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert eventually(lambda: len(before_models.records(_WITH_TOKENS)) > before)


def test_settings_that_need_a_restart_are_listed() -> None:
    """All of them, and no other."""
    text = (ROOT / "docs/configuration.md").read_text()
    [lines] = re.findall(r"change only with a restart:\n\n(.*?)\n\n", text, re.S)
    listed = set()
    for line in lines.splitlines():
        section = "".join(re.findall(r"\[(\w+)\]", line))
        for name in re.findall(r"`(?:\[\w+\] )?(\w+)`", line):
            listed.add(f"{section}.{name}".lstrip("."))

    assert listed == set(NEEDS_RESTART)


def test_every_error_and_every_loss_is_explained() -> None:
    """Troubleshooting names all codes with their status, and all reasons of drops, as the runbook
    does.
    """
    text = (ROOT / "docs/operations/troubleshooting.md").read_text()
    rows = dict(re.findall(r"^\| (`[a-z0-9_`, ]+`) \| (\d+) \|", text, re.M))
    explained = {
        code: int(status)
        for codes, status in rows.items()
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert explained == STATUS_OF
    assert [reason for reason in DROP_REASONS if f"`{reason}`" not in text] == []
    runbook = _RUNBOOK.read_text()
    assert [reason for reason in DROP_REASONS if f"\n| `{reason}` |" not in runbook] == []
