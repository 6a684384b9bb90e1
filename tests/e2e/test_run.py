"""`sidelog run`: a real command behind a real sidelog, and what is said of it in the end."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from proxy.process.data_dir import project_directory
from tests.support.here import run_here
from tests.support.long import long
from tests.support.programs import PROGRAM_S
from tests.support.providers.upstream import application
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running, service

KEY: Final = "sk-ant-api03-q8Zr2mW5xT7yB1nC4vK9pL6dF3hJ0sGaEuIoRtYwQzXcVbNmKjHgFdSaPoIuYtReWq-AA"
ASK: Final = """
import sys
from anthropic import Anthropic
from openai import OpenAI

text = sys.stdin.read()
messages = [{"role": "user", "content": text}]
answer = OpenAI(max_retries=0).chat.completions.create(model="gpt-4o-mini", messages=messages)
print(answer.choices[0].message.content)
claude = Anthropic(max_retries=0)
print(claude.messages.create(model="claude-sonnet-5", max_tokens=9, messages=messages).content[0].text)
try:
    claude.messages.create(model="claude-busy", max_tokens=9, messages=messages)
except Exception as error:
    print(type(error).__name__)
sys.exit(3)
"""
"""Asks two providers, by what the environment says, three times in all."""
ASK_ONCE: Final = """
import json, os, sys, urllib.request
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
asked = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    json.dumps(body).encode(),
    {"Content-Type": "application/json"},
)
urllib.request.urlopen(asked).read()
sys.exit(3)
"""
"""Asks one provider, without the clients that take a second each to be imported."""
WAITING: Final = """
import signal, sys, time, urllib.request, os
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("ready", flush=True)
ends = time.monotonic() + 120
while not seen and time.monotonic() < ends:
    time.sleep(0.05)
time.sleep(0.5)
urllib.request.urlopen(os.environ["BOX_BASE_URL"] + "/status/200").read()
print("interrupted", len(seen), flush=True)
sys.exit(7)
"""
"""Waits for an interrupt, asks for something behind it, and says how many there were."""


class Place:
    """A home, a project in it, and providers."""

    def __init__(self, directory: Path, models: str) -> None:
        self.home = directory
        self.project = directory / "shop"
        (self.project / ".git").mkdir(parents=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environ = kept | {
            "HOME": str(directory),
            "PYTHONPATH": str(ROOT),
            "OPENAI_API_KEY": KEY,
            "ANTHROPIC_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{models}/v1",
            "ANTHROPIC_BASE_URL": models,
        }
        found = project_directory(
            self.project, self.environ | {"XDG_STATE_HOME": str(directory / "state")}
        )
        assert found is not None
        self.environ["XDG_STATE_HOME"] = str(directory / "state")
        self.data_dir = found

    def sidelog(
        self, *arguments: str, input: str = "", directory: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of sidelog to its end, in the project or in another directory."""
        return subprocess.run(
            [sys.executable, "-m", "proxy", *arguments],
            cwd=directory or self.project,
            env=self.environ | environ,
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_S,
        )

    def refused(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """Run a command that starts nothing, without a process of its own; its code and outputs."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.project)
            patch.setattr(os, "environ", self.environ | environ)
            return run_here(*arguments)

    def records(self, *options: str) -> list[dict[str, object]]:
        """What was recorded, newest first."""
        done = self.sidelog("query", "--json", "--fields", "path,status,service,model", *options)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def models() -> Iterator[str]:
    """Providers of models."""
    with running(application(0)) as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, models: str) -> Place:
    """A new home."""
    return Place(tmp_path, models)


class Ran(NamedTuple):
    """A run that has ended, where that was, and what it changed outside of its data directory."""

    place: Place
    done: subprocess.CompletedProcess[str]
    changed: set[Path]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, models: str) -> Ran:
    """A run that asks two providers, and whose page is written where it is asked for."""
    place = Place(tmp_path_factory.mktemp("home"), models)
    (place.project / "settings.json").write_text("{}")
    before = times_in(place.home)
    command = ("--", sys.executable, "-c", ASK)
    done = place.sidelog("run", "-o", "first.html", *command, input="Say hello.")
    after = times_in(place.home)
    own = place.data_dir.parents[1]
    changed = {path for path in after if after[path] != before.get(path)}
    return Ran(place, done, {path for path in changed if not path.is_relative_to(own)})


def times_in(directory: Path) -> dict[Path, int]:
    """When each file below a directory was changed."""
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


def test_what_a_command_calls_is_summed_up_at_its_end(ran: Ran) -> None:
    """Input, output and exit code are the command's; on stderr are three lines."""
    done = ran.done
    assert done.returncode == 3, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert len(done.stderr.splitlines()) == 3, done.stderr
    called, failed, where = done.stderr.splitlines()
    assert called == "sidelog: 3 calls: 1 × claude-busy, 1 × claude-sonnet-5, 1 × gpt-4o-mini"
    text = r"sidelog: failed: 1 × 529 overloaded_error; \d+ tokens in .*, \d+ out; \$0\.\d{4}"
    assert re.fullmatch(text, failed)
    page = ran.place.project / "first.html"
    assert where.startswith(f"sidelog: the run: {page.as_uri()} (the longest of 3 conversations)")
    assert where.endswith(f"query --data-dir {ran.place.data_dir}")
    assert "Say hello." in page.read_text()


def test_nothing_of_the_users_settings_is_changed(ran: Ran) -> None:
    """Outside of the data directory there is the file that was asked for, and no other."""
    assert ran.changed == {ran.place.project / "first.html"}


def test_the_last_run_is_shown_again(ran: Ran) -> None:
    """The same lines, on stdout, and the same page."""
    again = ran.place.sidelog("run", "--again", "-o", "second.html")
    assert again.returncode == 0, again.stderr
    assert again.stdout == ran.done.stderr.replace("first.html", "second.html")
    pages = [(ran.place.project / name).read_text() for name in ("first.html", "second.html")]
    assert pages[0] == pages[1]


def test_commands_find_the_records_of_a_project(ran: Ran) -> None:
    """Also from a folder below it, where no sidelog has a data directory of its own."""
    below = ran.place.project / "src"
    below.mkdir()
    done = ran.place.sidelog("query", "--json", "--fields", "service", directory=below)
    services = [json.loads(line)["service"] for line in done.stdout.splitlines()]
    assert services == [os.path.basename(sys.executable)] * 3, done.stderr


def test_keys_pass_and_are_not_stored(place: Place) -> None:
    """The service has the key of the user, the data directory has not; another proxy is gone
    around.
    """
    script = (
        "import os, urllib.request as r;"
        "asked = r.Request(os.environ['BOX_BASE_URL'] + '/x', headers={'x-api-key': "
        "os.environ['KEY']});"
        "print(r.urlopen(asked).read())"
    )
    with running(service()) as url:  # it answers with what it got
        done = place.sidelog(
            "run",
            "--route",
            f"box={url}",
            "--",
            sys.executable,
            "-c",
            script,
            KEY=KEY,
            http_proxy="http://127.0.0.1:9",
        )

    assert KEY in done.stdout
    assert re.match(r"sidelog: BOX_BASE_URL=http://127\.0\.0\.1:\d+/box\n", done.stderr)
    assert "sidelog: 1 request: 1 × box" in done.stderr
    assert [record["path"] for record in place.records()] == ["/box/x"]
    for path in place.data_dir.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def test_how_a_command_ends_is_how_we_end(place: Place) -> None:
    """As a shell would report it; what cannot be started is said in one line, and nothing else is
    started.
    """
    (place.project / "text").write_text("no program")
    (place.project / "script").write_text("#!/nowhere/interpreter\n")
    (place.project / "script").chmod(0o755)

    ended = {
        ("run", "sh", "-c", "exit 42"): 42,
        ("run", "--", "sh", "-c", "kill -TERM $$"): 143,
    }
    for arguments, code in ended.items():
        done = place.sidelog(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), (arguments, done.stderr)
        assert "no calls were recorded" in done.stderr

    refused = {
        ("run", "--", "no-such-program"): (127, "sidelog: no-such-program: command not found"),
        ("run", "--", "./text"): (
            126,
            "sidelog: ./text: the file cannot be executed; chmod +x makes it a program",
        ),
        ("run", "--", "./script"): (126, "the interpreter that its first line names was not found"),
        ("run",): (2, "there is no command to run"),
        ("run", "--route", "x", "--", "true"): (2, "expected NAME=URL"),
        ("run", "-o", "/nowhere/run.html", "--", "true"): (2, "there is no directory /nowhere"),
        ("run", "-o", "/", "--", "true"): (2, "-o /: cannot be written"),
        ("run", "--route", "x=ftp://a", "--", "true"): (2, "--route x='ftp://a'"),
        ("run", "--again", "--data-dir", "none"): (1, "no run has ended yet with none"),
    }
    for arguments, (code, text) in refused.items():
        returned, stdout, stderr = place.refused(*arguments)
        assert (returned, stdout) == (code, ""), (arguments, stderr)
        assert text in stderr, (arguments, stderr)
        assert "Traceback" not in stderr


def test_what_keeps_sidelog_from_starting_is_said_in_one_line(place: Place, tmp_path: Path) -> None:
    """The command is not started then."""
    (tmp_path / "file").write_text("")
    command = ("--", "sh", "-c", "echo started")
    code, stdout, stderr = place.refused(
        "run", *command, SIDELOG_CAPTURE__REQUEST_BODY_BYTES="many"
    )
    assert (code, stdout) == (2, "")
    assert "capture.request_body_bytes" in stderr
    code, stdout, stderr = place.refused("run", "--data-dir", str(tmp_path / "file"), *command)
    assert (code, stdout) == (1, "")
    assert "it is a file" in stderr
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "admin-token").write_bytes(b"\xff")
    done = place.sidelog("run", "--data-dir", str(tmp_path / "data"), *command)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert "did not start: data directory" in done.stderr
    assert "admin-token holds no text" in done.stderr


def interrupted(place: Place, upstream: str, *, is_group: bool) -> tuple[int, str, str]:
    """Interrupt a run, or the group of processes it is in; return its exit code and outputs."""
    command = [
        sys.executable,
        "-m",
        "proxy",
        "run",
        "--route",
        f"box={upstream}",
        "--",
        sys.executable,
        "-c",
        WAITING,
    ]
    with subprocess.Popen(
        command,
        cwd=place.project,
        env=place.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            (os.killpg if is_group else os.kill)(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=PROGRAM_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    return process.returncode, stdout, stderr


@pytest.mark.parametrize("is_group", [False, long(True)])
def test_an_interrupt_reaches_the_command_once(place: Place, upstream: str, is_group: bool) -> None:
    """Whether it was sent to us or to all; what the command asked for behind it is stored."""
    code, stdout, stderr = interrupted(place, upstream, is_group=is_group)
    assert (code, stdout) == (7, "interrupted 1\n"), stderr
    assert "sidelog: 1 request: 1 × box" in stderr
    assert [record["path"] for record in place.records()] == ["/box/status/200"]


def started_in_terminal(place: Place, *arguments: str) -> tuple[int, int]:
    """Start a run in a terminal of its own; return its process id, and the other end of the
    terminal.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place.project)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.execve(sys.executable, [sys.executable, "-m", "proxy", "run", *arguments], place.environ)
    return pid, terminal


def test_in_a_terminal_the_command_has_the_terminal(place: Place, upstream: str) -> None:
    """Ctrl-C reaches it once; where it is live is shown, with a link that logs in."""
    script = f"import sys\nprint('terminal', sys.stdin.isatty(), sys.stderr.isatty())\n{WAITING}"
    pid, terminal = started_in_terminal(
        place, "--route", f"box={upstream}", "--", sys.executable, "-c", script
    )
    try:
        shown = read_until(terminal, "ready")
        os.write(terminal, b"\x03")
        shown += read_until(terminal, "each request")
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 7, shown
    assert "terminal True True" in shown
    assert "interrupted 1" in shown
    assert "sidelog: live at http://127.0.0.1:" in shown
    assert "#token=" in shown


@pytest.mark.long
def test_a_command_that_stops_itself_gives_the_terminal_back(place: Place) -> None:
    """As agents do at Ctrl-Z: the shell sees that we stopped, and continues both."""
    pid, terminal = started_in_terminal(
        place, "--", "sh", "-c", "kill -STOP $$; echo continued; exit 5"
    )
    try:
        _, status = os.waitpid(pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        os.killpg(pid, signal.SIGCONT)
        read_until(terminal, "continued")
        read_until(terminal, "no calls were recorded")
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 5


def read_until(terminal: int, words: str) -> str:
    """Read what a terminal shows until it shows some words."""
    shown = b""
    ends_s = time.monotonic() + PROGRAM_S
    while words.encode() not in shown:
        assert time.monotonic() < ends_s, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)

    return shown.decode()


def test_two_runs_of_a_project_at_once_have_a_directory_each(place: Place) -> None:
    """Neither waits for the other, and the last that ended is shown again."""
    waits = "import sys; sys.stdin.read()"
    command = [sys.executable, "-m", "proxy", "run", "--", sys.executable, "-c", waits]
    with subprocess.Popen(
        command, cwd=place.project, env=place.environ, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as first:
        eventually(lambda: (place.data_dir / "state.json").exists())
        second = place.sidelog("run", "--", sys.executable, "-c", ASK_ONCE)
        taken, _, complaint = place.refused("run", "--data-dir", str(place.data_dir), "--", "true")
        first.communicate(timeout=PROGRAM_S)

    assert f"--data-dir {place.data_dir}-2" in second.stderr
    assert (taken, "is in use" in complaint) == (1, True)
    assert first.returncode == 0


def test_a_sidelog_that_runs_is_used(place: Place, models: str, tmp_path: Path) -> None:
    """Its routes lead where the variables of the user lead; its page of the conversation is named."""
    with Sidelog(tmp_path / "data", models) as running_one:
        option = ("--data-dir", str(running_one.data_dir))
        command = ("--", sys.executable, "-c", ASK_ONCE)
        done = place.sidelog("run", "--proxy", running_one.url, *option, *command)
        assert done.returncode == 3, done.stderr
        assert "sidelog: 1 call: " in done.stderr
        assert f"sidelog: the run: {running_one.admin_url}/conversations/" in done.stderr
        assert f"sidelog query --data-dir {running_one.data_dir}\n" in done.stderr
        assert len(running_one.records()) == 1
        nowhere = "http://127.0.0.1:9"
        using = ("run", "--proxy", running_one.url, *option)
        code, _, stderr = place.refused(
            *using, "--", "true", OPENAI_BASE_URL=nowhere, ANTHROPIC_BASE_URL=nowhere
        )
        assert code == 1
        assert f"its routes lead to {models}" in stderr
        code, _, stderr = place.refused(*using, "--route", f"search={nowhere}", "--", "true")
        assert code == 1
        assert f"has no route to {nowhere}, as --route search asks" in stderr


GUIDE: Final = (ROOT / "docs/guides/run.md").read_text()


def steps_of(transcript: str) -> list[tuple[str, str]]:
    """The commands of a transcript, each with what it shows."""
    parts = re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def test_the_transcript_of_the_guide_is_true(place: Place) -> None:
    """Each command shows what is written below it; only the place of the home is another."""
    [transcript] = re.findall(r"^```console\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    (_, program), *steps = steps_of(transcript)
    (place.project / "agent.py").write_text(program)
    bin = place.home / "bin"
    bin.mkdir()

    for name, code in (
        ("sidelog", f'exec {sys.executable} -m proxy "$@"'),
        ("python", f'exec {sys.executable} "$@"'),
    ):
        (bin / name).write_text(f"#!/bin/sh\n{code}\n")
        (bin / name).chmod(0o755)

    # Most have no XDG_STATE_HOME.
    environ = place.environ | {
        "PATH": f"{bin}{os.pathsep}{place.environ['PATH']}",
        "XDG_STATE_HOME": "",
    }
    home = str(place.home)
    for command, expected in steps:
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&1"],
            cwd=place.project,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_S,
        )
        shown = done.stdout.replace(home, "/home/me").replace(place.data_dir.name, "shop-5bf00d1e")
        assert re.sub(r"\S*/sidelog query", "sidelog query", shown) == expected, command
