"""The command line: exit codes, plain words for mistakes, settings handed on, help that matches the
declarations.
"""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from proxy.cli import app
from proxy.cli.commands import serve
from proxy.cli.commands.config import to_toml
from proxy.process.own_packages import module_environment
from proxy.process.version import BUILD, VERSION
from proxy.settings.flags import FLAGS
from proxy.settings.load import load
from proxy.settings.model import redacted, thaw
from proxy.settings.sources import leaves
from proxy.supervisor.host import held_back
from tests.proxy.cli.conftest import Run
from tests.support.cases import each_of
from tests.support.commands import command_of
from tests.support.programs import PROGRAM_S

ROOT = Path(__file__).parents[3]


pytestmark = pytest.mark.usefixtures("empty")


def test_version_is_that_of_the_project(run: Run) -> None:
    """`version --json` prints the version, and those of the libraries."""
    shown = json.loads(run("version --json").out)
    assert shown["version"] == VERSION
    assert shown["build"] == BUILD
    assert shown["libraries"]["python"] == sys.version.split()[0]
    assert f"sidelog {VERSION} ({BUILD})" in run("version").out


@each_of("command", ["nope", "serve --workers x", "get", "query --limit 0", ""])
def test_wrong_usage_ends_with_2(command: str, run: Run) -> None:
    """Unknown commands and options, bad values, missing arguments."""
    assert "Traceback" not in run(command, code=2).err


def test_flags_of_serve_are_those_of_the_declared_settings() -> None:
    """Each has the description and the default declared with its setting, but for the value that a
    flag alone sets.
    """
    options = command_of("serve").params
    helps = {
        option.opts[0]: option.help
        for option in options
        if isinstance(option, click.Option) and option.opts[0] not in ("--config", "--greet", "-h")
    }
    declared = dict(leaves())
    described = {name: declared[name].type.__metadata__[0].description for name in FLAGS}
    texts = {
        flag.option: described[name].removeprefix(f"{flag.value}: ") for name, flag in FLAGS.items()
    }
    defaults = {
        flag.option: f" Default: {flag.default}." if flag.default else "" for flag in FLAGS.values()
    }
    assert helps == {
        option: f"{text[0].upper()}{text[1:]}.{defaults[option]}" for option, text in texts.items()
    }
    told = {
        name: flag.default
        for name, flag in FLAGS.items()
        if name not in ("data_dir", "proxy.data_port")
    }
    assert told == {name: str(declared[name].default) for name in told}
    assert FLAGS["data_dir"].default.endswith(f"./{declared['data_dir'].default}")


@each_of("command", ["-h", "query -h", "db status -h"])
def test_h_is_help(command: str, run: Run) -> None:
    """The short form is one of every command."""
    assert "Usage: sidelog" in run(command).out


def test_an_option_that_there_is_not_is_answered_by_the_one_that_is_meant(
    run: Run,
) -> None:
    """The likeliest alone, or what to do in its place."""
    for words, hint in (
        ("query --stauts 500", "No such option '--stauts'. Did you mean --status?"),
        ("top --metod GET", "Did you mean --method?"),
        ("export har --limit 2", "All that match are exported: narrow them by --since, --until"),
        ("replay x --limit 2", "All that match are sent: narrow them by --since, --until"),
        ("tail --limit 2", "-n shows that many records before new ones."),
        ("query --zzz", "No such option '--zzz'."),
    ):
        said = run(words, code=2).err
        assert hint in said
        assert "--grpc-status" not in said


def test_version_is_an_option_too(run: Run) -> None:
    """`--version` is one line."""
    assert run("--version").out == f"sidelog {VERSION}\n"


def test_who_is_greeted_sees_where_everything_is(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    """The greeting has addresses, a login link and commands; the supervisor prints it once it
    listens. A service prints none.
    """
    handed_over: list[bytes] = []

    def keep(document: bytes, name: str) -> int:
        handed_over.append(document)
        return 3

    monkeypatch.setattr(serve, "hand_over", keep)
    monkeypatch.setattr(os, "execve", lambda *_: None)
    flags = "--upstream http://app:3000 --listen 127.0.0.1:0 --admin-listen 127.0.0.1:1"
    with held_back():
        printed = [
            run(f"serve {greet} {flags} --data-dir {tmp_path}/d") for greet in ("--greet", "")
        ]
    greeted, settings, silent, _ = map(json.loads, handed_over)
    shown = greeted["greeting"]
    token = (tmp_path / "d" / "admin-token").read_text().strip()
    assert f"http://127.0.0.1:1/login#token={token}" in shown
    assert "in front of http://app:3000" in shown
    assert "sidelog query" in shown
    assert "greeting" not in silent
    assert "greeting" not in settings
    assert [each.out for each in printed] == ["", ""], "the ports are not bound yet"


def test_settings_mistakes_end_with_2_in_plain_words(run: Run) -> None:
    """`serve` names setting, value and flag on stderr, all mistakes at once, and starts nothing."""
    problems = run("serve --listen nowhere --workers 99", code=2).err
    assert "proxy.listen" in problems
    assert "(--workers)" in problems
    assert "--upstream URL" in problems


def test_serve_becomes_the_supervisor_with_the_settings(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """The process replaces itself; the supervisor finds the frozen settings in the descriptor it is
    told.
    """
    seen: dict[str, Any] = {}

    def execve(program: str, arguments: list[str], environ: dict[str, str]) -> None:
        descriptor = int(arguments[-1])
        seen.update(program=program, arguments=arguments, document=os.read(descriptor, 1 << 20))
        os.close(descriptor)

    monkeypatch.setattr(os, "execve", execve)
    ports = "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"
    flags = "--upstream http://app:3000 --workers 2 --storage memory: --data-dir d"
    with held_back():  # as they are for the supervisor, but not for the tests behind this one
        run(f"serve {ports} {flags} --log-level debug")
    settings = thaw(seen["document"])
    assert seen["program"] == sys.executable
    assert seen["arguments"][1:5] == ["-P", "-m", "proxy.supervisor", "--source-fd"]
    source_fd = int(seen["arguments"][5])
    source = json.loads(os.pread(source_fd, 1 << 20, 0))
    os.close(source_fd)
    assert (source["config"], source["overrides"]["proxy.workers"]) == (None, "2")
    assert settings.proxy.listen == settings.admin.listen == "127.0.0.1:0"
    assert (settings.proxy.workers, settings.log.level) == (2, "debug")
    assert (settings.storage.url, settings.data_dir) == ("memory:", str(Path("d").absolute()))


def test_config_check_and_show(run: Run, tmp_path: Path) -> None:
    """A valid file is accepted, as text and JSON; the output has no secret; a bad file is reported
    with its lines.
    """
    path = tmp_path / "c.toml"
    path.write_text(
        '[proxy]\nlisten = "0.0.0.0:8080"\n'
        '[[routes]]\nid = "a"\nupstream = "http://a"\nheaders.set_request = { authorization = '
        '"s3cret" }\n'
    )
    found = run(f"config check --config {path}")
    assert found.out.startswith("valid: 1 route")
    assert (
        "warning: routes[0].auth: is 'off': every client of 0.0.0.0:8080 uses the authorization"
        in found.err
    )
    shown = run(f"config show --config {path}").out
    assert "s3cret" not in shown
    assert tomllib.loads(shown)["routes"][0]["headers"]["set_request"] == {
        "authorization": "[REDACTED]"
    }
    assert json.loads(run(f"config show --json --config {path}").out)["routes"][0]["id"] == "a"
    path.write_text("[proxy]\nnope = 1\n")
    problems = json.loads(run(f"config check --json --config {path}", code=2).out)["problems"]
    assert f"proxy.nope: unknown setting ({path}:2)" in problems
    assert "proxy.nope" in run(f"config check --config {path}", code=2).err


@each_of("command", ["config check", "serve"])
def test_examples_of_own_rules_are_tried(command: str, run: Run, tmp_path: Path) -> None:
    """Where nothing else is wrong: a rule that does not find what it is for would leave it in the
    log.
    """
    path = tmp_path / "c.toml"
    rule = (
        '[[redact.rules]]\nid = "acme-key"\nof = "Acme"\nliterals = ["acme_"]\nregex = '
        '"acme_[0-9]{4}"\n'
    )
    path.write_text(
        f'[proxy]\nupstream = "http://a"\n{rule}examples = ["acme_12"]\nno-examples = '
        '["acme_1234"]\n'
    )
    lines = (
        run(f"{command} --config {path}", code=2)
        .err.removeprefix("sidelog: ")
        .replace("\nsidelog: ", "\n")
        .splitlines()
    )
    assert [line.partition(": expected")[0] for line in lines] == [
        "redact.rules[0].examples", "redact.rules[0].no-examples",
    ]  # fmt: skip
    assert lines[0].endswith(f"got 'acme_12' ({path}:8)")
    path.write_text(f'[proxy]\nupstream = "http://a"\n{rule}examples = ["acme_1234"]\n')
    run(f"config check --config {path}")


def test_shown_toml_means_the_same_settings() -> None:
    """The TOML of `config show` reads back as the values it was made from. Values, and names of
    tools and headers, may have characters that TOML must quote.
    """
    names = ["plain_1-a", "search.web", "a b", "", 'q"\\', "\u00fc", "\U0001f600", "\x7f\n\u009b"]
    route = {
        "id": "a",
        "upstream": "http://a",
        "tool_cost_usd": dict.fromkeys(names, 0.5),
        "headers": {"set_request": {"x.y": "1", "x!": "1"}},
    }
    environ = {
        "SIDELOG_PROXY__STAGE": 'ü"\\\x7f\tx',
        "SIDELOG_ROUTES": json.dumps([route]),
        "SIDELOG_OTEL__ENDPOINT": "http://b",
        "SIDELOG_OTEL__HEADERS": '{"x.y": "1"}',
        "SIDELOG_ALERTS": '[{"name": "a", "url": "http://h/x", "above": 1}]',
    }
    shown = redacted(load({}, environ, None))
    assert set(shown["routes"][0]["tool_cost_usd"]) == set(names)
    assert tomllib.loads(to_toml(shown)) == json.loads(json.dumps(shown))
    assert "\nplain_1-a = 0.5\n" in to_toml(shown)


def test_module_runs_as_a_program(tmp_path: Path) -> None:
    """`python -m proxy` is the command line; nothing of the data plane is imported for `version`."""
    code = (
        "import sys; from proxy.cli.app import main; code = main(['version']);"
        "assert not {'httptools', 'uvloop', 'aiohttp', 'proxy.settings.model'} & "
        "set(sys.modules); sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "proxy", "token", "show"]
    run = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr


def test_what_a_reader_left_of_the_output_is_not_taken_for_read() -> None:
    """Also with PYTHONUNBUFFERED, where a short write raises nothing."""
    command = [sys.executable, "-m", "proxy", "redact", "list"]
    environ = os.environ | {"PYTHONUNBUFFERED": "1"}
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)

    with subprocess.Popen(command, cwd=ROOT, stdout=write_end, env=environ) as process:
        os.close(write_end)
        assert os.read(read_end, 1)
        os.close(read_end)
        assert process.wait(PROGRAM_S) == 141


def run_with(redirection: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does that sends its output elsewhere."""
    command = ["sh", "-c", f'exec "$0" -m proxy "$@" {redirection}', sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [["version"], ["config", "show", "--upstream", "http://a"]])
def test_a_full_disk_is_said_in_one_line(arguments: list[str]) -> None:
    """Of the file that takes the output, be that written at once or at the end."""
    run = run_with("> /dev/full", *arguments)
    assert (run.returncode, run.stderr) == (1, "sidelog: No space left on device\n")


@pytest.mark.parametrize(
    ("redirection", "arguments", "code"),
    [
        (">&-", ["version"], 0),
        (">&- 2>&-", ["version"], 0),
        ("2>&-", ["query", "--status", "x", "--data-dir", "x"], 1),
    ],
)
def test_without_an_output_the_exit_code_says_it(
    redirection: str, arguments: list[str], code: int
) -> None:
    """As a script that wants no more than the code calls it."""
    run = run_with(redirection, *arguments)
    assert (run.returncode, run.stdout, run.stderr) == (code, "", "")


def test_an_output_of_few_characters_shows_the_others_escaped() -> None:
    """A terminal or a file in Latin-1 has no dash that long."""
    run = run_with(
        "",
        "config",
        "show",
        "--upstream",
        "http://a",
        PYTHONIOENCODING="latin-1",
        SIDELOG_PROXY__STAGE="–",
    )
    assert 'stage = "\\u2013"' in run.stdout
    assert run.stderr == ""


def test_what_may_not_be_read_is_no_traceback(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """The data directory is private: its reader is told which file, and why not."""

    def refused(**_: object) -> int:
        raise PermissionError(
            errno.EACCES, os.strerror(errno.EACCES), "/var/lib/sidelog/state.json"
        )

    monkeypatch.setattr("proxy.cli.commands.about.version.callback", refused)
    monkeypatch.setattr("proxy.cli.commands.output.leave_stdout", lambda: None)
    assert run("version", code=1).err == "sidelog: /var/lib/sidelog/state.json: Permission denied\n"


def test_what_is_nested_too_deep_is_no_traceback(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """An answer may hold JSON that Python does not read."""
    monkeypatch.setattr(
        "proxy.cli.commands.about.version.callback", lambda **_: json.loads("[" * 5000)
    )
    assert run("version", code=1).err == "sidelog: JSON is nested too deep to be read here\n"


@pytest.mark.parametrize(
    "place", ["proxy.cli.program.program.main", "proxy.cli.commands.about.version.callback"]
)
def test_interruption_ends_with_130(monkeypatch: pytest.MonkeyPatch, place: str, run: Run) -> None:
    """Ctrl-C is 130, as shells expect; also while the commands are still being read."""

    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    run("version", code=130)


EARLY = """
import os, signal, sys
from proxy.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background

class Interrupting:
    def find_spec(self, name, *_):
        if name == "proxy.cli.app":
            os.kill(os.getpid(), getattr(signal, sys.argv.pop()))

sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [("SIGINT", -signal.SIGINT, ""), ("serve SIGHUP", 2, "no upstream")],
)
def test_a_signal_while_the_commands_are_loaded(arguments: str, code: int, said: str) -> None:
    """Ctrl-C ends it without a traceback; a shell reports 130. A reload does not end it: the
    supervisor hears of it later; here the settings end it first.
    """
    done = subprocess.run(
        [sys.executable, "-c", EARLY, *arguments.split()],
        env=module_environment(),
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert (done.returncode, done.stdout, bool(done.stderr)) == (code, "", bool(said))
    assert said in done.stderr


def test_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only mistakes of the user are put in plain words."""

    def broken(**_: object) -> int:
        raise RuntimeError("bug: broken")

    monkeypatch.setattr("proxy.cli.commands.about.version.callback", broken)
    with pytest.raises(RuntimeError, match="bug: broken"):
        app.main(["version"])


@each_of(
    ("command", "said"),
    [
        ("keys revoke k", "`keys disable` can be undone"),
        ("completion foo", "'foo' is not one of 'bash'"),
    ],
)
def test_a_mistake_is_answered_in_our_words(command: str, said: str, run: Run) -> None:
    """With a hint, and without words of the libraries."""
    message = " ".join(run(command, code=2).err.replace("│", " ").split())
    assert said in message
    assert "Value error" not in message
