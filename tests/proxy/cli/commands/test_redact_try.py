"""`sidelog redact try`: a text as it would be stored."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proxy.cli.commands.test_redact import CONFIG
from tests.proxy.cli.conftest import Run
from tests.support.programs import PROGRAM_S

GITHUB = "ghp_dzTh_dxrVhH_XIu_1MPfan01xpTgOE"
TEXT = f'{{"password": "x",\n "é": "{GITHUB} acme_1a2b3c4d"}}\n'
LEFT = TEXT.replace('"x"', '"[REDACTED]"').replace(GITHUB, "[REDACTED]")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "response.json"
    path.write_text(TEXT)
    return path


def test_what_is_left_is_printed_and_the_rules_are_reported(file: Path, run: Run) -> None:
    captured = run(f"redact try {file}", code=1)
    assert captured.out == LEFT
    assert sorted(captured.err.splitlines()) == [
        "github-token (GitHub): 1 redacted",
        "name:password (what stands under this name): 1 redacted",
    ]


def test_json_says_the_same(file: Path, run: Run) -> None:
    shown = json.loads(run(f"redact try {file} --json", code=1).out)
    assert shown["redacted"] == LEFT
    assert sorted(shown["found"], key=lambda each: str(each["rule"])) == [
        {"rule": "github-token", "of": "GitHub", "count": 1},
        {"rule": "name:password", "of": "what stands under this name", "count": 1},
    ]


def test_settings_count(file: Path, tmp_path: Path, run: Run) -> None:
    """Rules that are disabled, own ones, names and patterns."""
    config = tmp_path / "sidelog.toml"
    more = (
        'disable = ["iban", "github-token"]\nexcept = ["password"]\npatterns = [\'"\\w"\', '
        '"ghp.{3}"]'
    )
    config.write_text(CONFIG.replace('disable = ["iban", "github-token"]', more))
    found = json.loads(run(f"redact try {file} --config {config} --json", code=1).out)["found"]
    assert {each["rule"]: each["of"] for each in found} == {
        "pattern-1": '"\\w"',
        "pattern-2": "ghp.{3}",
        "acme-key": "Acme",
    }


def test_a_text_without_secrets_ends_with_0(tmp_path: Path, run: Run) -> None:
    """Pictures are stored unchanged as well."""
    path = tmp_path / "a.txt"
    path.write_text("words\n")
    assert run(f"redact try {path}") == ("words\n", "nothing is redacted\n")
    assert json.loads(run(f"redact try {path} --json").out) == {"found": [], "redacted": "words\n"}
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4 + GITHUB.encode())
    run(f"redact try {path} --json")


def test_what_cannot_be_read_ends_with_2(tmp_path: Path, run: Run) -> None:
    """As 1 says that something was found."""
    for path, reason in (
        (tmp_path / "no", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        assert run(f"redact try {path}", code=2) == ("", f"sidelog: {path}: {reason}\n")


@pytest.mark.parametrize(
    ("name", "options", "text", "count"),
    [
        ("a.yaml", "", "password: hunter\n", 1),
        ("a.txt", "", "password: hunter\n", 0),
        ("a.txt", "--content-type application/yaml", "password: hunter\n", 1),
        ("a.yaml", "--content-type ''", "password: hunter\n", 0),
        ("a.csv", "", "a,password\n1,hunter\n", 1),
        ("a.http", "--content-type message/http", "GET / HTTP/1.1\nAuthorization: x\n\n", 1),
        (".env", "--content-type text/env", "secret=hunter\n", 1),
    ],
)
def test_a_text_is_read_by_its_type(
    tmp_path: Path,
    run: Run,
    name: str,
    options: str,
    text: str,
    count: int,
) -> None:
    """By default, the suffix of the file decides."""
    (tmp_path / name).write_text(text)
    printed = run(f"redact try {tmp_path / name} {options} --json", code=count)
    assert len(json.loads(printed.out)["found"]) == count


def test_heads_are_tried(tmp_path: Path, run: Run) -> None:
    """Headers and a target, in the place of a file; own names count."""
    config = tmp_path / "sidelog.toml"
    config.write_text(CONFIG.replace("[redact]", '[redact]\nheaders = ["X-Acme-Ticket"]', 1))
    head = "--header 'X-Acme-Ticket: S3CRET' --header 'Accept: a' --target '/a?token=x&b=1'"
    captured = run(f"redact try {head} --config {config}", code=1)
    assert captured.out == (
        "GET /a?token=[REDACTED]&b=1 HTTP/1.1\nX-Acme-Ticket: [REDACTED]\nAccept: a\n"
    )
    assert [line.split()[0] for line in captured.err.splitlines()] == [
        "name:token",
        "name:x-acme-ticket",
    ]
    run("redact try --header 'X-Other: S3CRET'")
    for wrong in ("", f"a.txt {head}", "--header 'no colon'"):
        assert "expected" in run(f"redact try {wrong}", code=2).err


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Where a hyphen stands for the file."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"see {GITHUB}".encode())))
    assert run("redact try -", code=1).out == "see [REDACTED]"


def test_it_can_stand_in_a_pipe(file: Path) -> None:
    """Bytes that are not text pass unchanged."""
    command = [sys.executable, "-m", "proxy", "redact", "try", "-"]
    data = b"a \xff\xfe b " * 20_000
    done = subprocess.run(command, input=data, capture_output=True, timeout=PROGRAM_S, check=False)
    assert (done.returncode, done.stdout) == (0, data)
