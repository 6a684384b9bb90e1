"""`sidelog run`: what a command asks of hosts by their own names."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.test_reload import reload
from tests.support.internet import Internet, internet
from tests.support.ports import free_port
from tests.support.programs import PROGRAM_S
from tests.support.providers.upstream import application
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running

KEY: Final = "sk-proj-q8Zr2mW5xT7yB1nC4vK9pL6dF3hJ0sGaEuIoRtYwQzXcVbNmKjHgFdSa"
CLIENTS: Final[dict[str, list[str] | str]] = {
    "curl": ["curl", "-sS", "--fail", "-H", f"Authorization: Bearer {KEY}", "URL"],
    "urllib": "import urllib.request as u; u.urlopen('URL').read()",
    "requests": "import requests; requests.get('URL').raise_for_status()",
    "httpx": "import httpx; httpx.get('URL').raise_for_status()",
    "aiohttp": "import aiohttp, asyncio\n"
    "async def ask():\n"
    "    async with aiohttp.ClientSession(trust_env=True) as session:\n"
    "        async with session.get('URL') as answer:\n"
    "            answer.raise_for_status()\n"
    "asyncio.run(ask())",
}
"""Programs that ask for a URL which no variable changes; text is one of Python."""
ASK_BOTH: Final = """
from anthropic import Anthropic
from openai import OpenAI
messages = [{"role": "user", "content": "Say hello."}]
OpenAI(max_retries=0, base_url="https://api.openai.com/v1").chat.completions.create(
    model="gpt-4o-mini", messages=messages)
Anthropic(max_retries=0).messages.create(model="claude-sonnet-5", max_tokens=9, messages=messages)
"""
"""One client has its address in code, the other from its variable."""


class Place:
    """A project in a home, on a machine that reaches hosts through a proxy."""

    def __init__(self, directory: Path, there: Internet) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.there = there
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "PYTHONPATH": str(ROOT),
            "OPENAI_API_KEY": KEY,
            "ANTHROPIC_API_KEY": KEY,
            **there.environ,
        }

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command through sidelog to its end."""
        option = ("--data-dir", str(self.data_dir))
        return subprocess.run(
            [sys.executable, "-m", "proxy", "run", *option, *arguments],
            cwd=self.directory,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_S,
        )

    def serving(self, hosts: str) -> Sidelog:
        """A sidelog that stays, and reads these hosts; not started."""
        config = self.directory / "sidelog.toml"
        config.write_text(f'[egress]\nlisten = "127.0.0.1:{free_port()}"\nhosts = {hosts}\n')
        option = ("--config", str(config))
        return Sidelog(self.data_dir, "http://127.0.0.1:9", *option, environ=self.there.environ)

    def records(self) -> list[dict[str, Any]]:
        """What was recorded, oldest first."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "proxy", "query", "--data-dir", str(self.data_dir)),
                *("--order", "asc", "--limit", "100", "--json", "kind:exchange"),
            ],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


def program(client: list[str] | str, url: str) -> list[str]:
    command = [sys.executable, "-c", client] if isinstance(client, str) else client
    return [part.replace("URL", url) for part in command]


def summary(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("direction", "method", "host", "path", "status"))


@pytest.fixture(scope="module")
def models() -> Iterator[str]:
    """Providers of models."""
    with running(application(0)) as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, models: str) -> Iterator[Place]:
    with internet(tmp_path / "theirs", models) as there:
        yield Place(tmp_path, there)


def test_clients_of_all_kinds_are_recorded(place: Place) -> None:
    """By their URL, once each, through the proxy of the user; a host that is not known as one of
    models is tunnelled.
    """
    script = place.directory / "all.sh"
    lines = [
        " ".join(map(_quoted, program(client, f"https://{host}/v1/models?by={name}")))
        for name, client in CLIENTS.items()
        for host in ("api.openai.com", "files.example.com")
    ]
    script.write_text("\n".join(lines))
    done = place.run("--", "sh", "-e", str(script))
    assert done.returncode == 0, done.stderr
    assert f"{2 * len(CLIENTS)} requests: " in done.stderr
    assert f"{len(CLIENTS)} × api.openai.com" in done.stderr
    records = place.records()
    read = [record for record in records if record["method"] == "GET"]
    assert [record["query"] for record in read] == [f"by={name}" for name in CLIENTS]
    assert {summary(record) for record in read} == {
        ("out", "GET", "api.openai.com", "/v1/models", 200)
    }
    assert {record["endpoint"] for record in read} == {"api.openai.com/v1/models"}
    tunnels = [record for record in records if record["method"] == "CONNECT"]
    assert len(tunnels) == len(CLIENTS)
    assert {record["endpoint"] for record in tunnels} == {"files.example.com:443"}
    assert place.there.asked.count("files.example.com:443") == len(CLIENTS)
    for path in place.data_dir.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_nothing_is_recorded_twice(place: Place) -> None:
    """A client that takes its address from a variable comes to a route, any other one to the proxy."""
    done = place.run("--", sys.executable, "-c", ASK_BOTH)
    assert done.returncode == 0, done.stderr
    assert "2 calls: " in done.stderr
    openai, anthropic = place.records()
    assert summary(openai) == (
        "out", "POST", "api.openai.com", "/v1/chat/completions", 200
    )  # fmt: skip
    assert (openai["provider"], openai["usage_state"]) == ("openai", "exact")
    assert (anthropic["direction"], anthropic["route_id"]) == ("in", "anthropic")
    assert place.there.asked == ["api.openai.com:443", "api.anthropic.com:443"]


def test_more_hosts_are_read_where_they_are_asked_for(place: Place) -> None:
    """And none with `--no-egress`, which leaves the environment of the command as it is."""
    command = program(CLIENTS["curl"], "https://files.example.com/v1/models")
    assert place.run("--hosts", "*.example.com", "--", *command).returncode == 0
    command = program(
        CLIENTS["curl"], "http://plain.test/v1/models"
    )  # which is read without asking
    assert place.run("--", *command).returncode == 0
    record, plain = place.records()
    assert summary(record) == ("out", "GET", "files.example.com", "/v1/models", 200)
    assert summary(plain) == ("out", "GET", "plain.test", "/v1/models", 200)
    done = place.run("--no-egress", "--", "sh", "-c", 'echo "$HTTPS_PROXY $SSL_CERT_FILE"')
    assert done.stdout.split() == [place.there.url, str(place.there.authority.path)]
    assert "no calls were recorded" in done.stderr


def test_a_program_that_does_not_trust_it_is_told_how(place: Place) -> None:
    """In the summary of the run."""
    command = [
        "curl",
        "-sS",
        "--cacert",
        str(place.there.authority.path),
        "https://api.openai.com/",
    ]
    done = place.run("--", *command)
    assert done.returncode == 60
    assert "certificate_rejected" in done.stderr
    assert "--no-egress decrypts nothing" in done.stderr


def test_a_proxy_that_cannot_stand_behind_ours_is_kept(place: Place) -> None:
    """It is said that its calls are not seen; who asks for hosts is refused."""
    command = ("--", "sh", "-c", 'echo "$HTTPS_PROXY $ALL_PROXY"')
    socks = {"HTTPS_PROXY": "", "ALL_PROXY": "socks5://127.0.0.1:9"}
    done = place.run(*command, **socks)
    assert done.stdout == " socks5://127.0.0.1:9\n"
    assert "are recorded: calls pass the proxy socks5://127.0.0.1:9" in done.stderr
    done = place.run("--hosts", "*", *command, **socks)
    assert (done.returncode, done.stdout) == (2, "")
    done = place.run("--hosts", "https://a.test", *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'https://a.test' is not a host" in done.stderr


def test_the_port_of_a_sidelog_that_runs_is_used(place: Place) -> None:
    """With the hosts that it reads."""
    command = program(CLIENTS["curl"], "https://files.example.com/v1/models")
    with place.serving('["files.example.com"]') as one:
        done = place.run("--proxy", one.url, "--", *command)
        assert done.returncode == 0, done.stderr
        [record] = eventually(one.records)
        assert summary(record) == ("out", "GET", "files.example.com", "/v1/models", 200)
        done = place.run("--proxy", one.url, "--hosts", "a.test", "--", *command)
        assert (done.returncode, "set [egress] hosts of that sidelog" in done.stderr) == (2, True)


def doctors_word(one: Sidelog, *arguments: str) -> list[tuple[str, str]]:
    """What the doctor says of outgoing calls: state and text."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "proxy", "doctor", "--json"),
            *("--data-dir", str(one.data_dir), *arguments),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    return [(each["state"], each["text"]) for each in found if each["name"] == "outgoing calls"]


def test_the_doctor_asks_as_a_program_that_trusts_it(place: Place) -> None:
    """It finds out that the port signs with an older authority, until sidelog is reloaded."""
    one = place.serving('["files.example.com"]')
    with one:
        config = ("--config", str(place.directory / "sidelog.toml"))
        [authority, asked] = doctors_word(one, *config)
        assert authority[0] == "ok"
        assert asked[0] == "ok", asked
        assert "files.example.com answers a program that trusts" in asked[1]
        [record] = eventually(one.records)
        assert (record["user_agent"], record["host"]) == ("sidelog-doctor", "files.example.com")

        rotate = [sys.executable, "-m", "proxy", "ca", "rotate", "--data-dir", str(one.data_dir)]
        subprocess.run(rotate, cwd=ROOT, capture_output=True, check=True)
        [_, asked] = doctors_word(one, *config)
        assert (asked[0], "does not trust files.example.com" in asked[1]) == ("fail", True)
        reload(one)
        [_, asked] = doctors_word(one, *config)
        assert asked[0] == "ok", asked
