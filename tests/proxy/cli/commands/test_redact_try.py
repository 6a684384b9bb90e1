"""`sidelog redact try`: what would be taken out of a text."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli import app
from tests.proxy.cli.commands.test_redact import CONFIG
from tests.support.programs import PROGRAM_S

GITHUB = "ghp_dzTh_dxrVhH_XIu_1MPfan01xpTgOE"
TEXT = f'{{"password": "x",\n "é": "{GITHUB} acme_1a2b3c4d"}}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "response.json"
    path.write_text(TEXT)
    return path


def test_places_and_rules_are_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One a line; the secrets themselves are not."""
    assert app.main(["redact", "try", str(file)]) == 1
    captured = capsys.readouterr()
    assert [line.split(maxsplit=3) for line in captured.out.splitlines()] == [
        ["place", "length", "rule", "of"],
        ["1:15", "1", "name:password", "what stands under this name"],
        ["2:8", "34", "github-token", "GitHub"],
    ]
    assert captured.err == ""


def test_the_text_is_shown_as_it_would_be_stored(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind an empty line."""
    assert app.main(["redact", "try", str(file), "--show"]) == 1
    shown = capsys.readouterr().out.partition("\n\n")[2]
    assert shown == TEXT.replace('"x"', '"[REDACTED]"').replace(GITHUB, "[REDACTED]")


def test_json_says_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the text where it is asked for."""
    assert app.main(["redact", "try", str(file), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "found": [
            {
                "line": 1,
                "column": 15,
                "length": 1,
                "rule": "name:password",
                "of": "what stands under this name",
            },
            {"line": 2, "column": 8, "length": 34, "rule": "github-token", "of": "GitHub"},
        ]
    }
    assert app.main(["redact", "try", str(file), "--json", "--show"]) == 1
    assert json.loads(json.loads(capsys.readouterr().out)["redacted"])["password"] == "[REDACTED]"


def test_settings_count(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules that are disabled, own ones, names and patterns."""
    config = tmp_path / "sidelog.toml"
    more = (
        'disable = ["iban", "github-token"]\nexcept = ["password"]\npatterns = [\'"\\w"\', '
        '"ghp.{3}"]'
    )
    config.write_text(CONFIG.replace('disable = ["iban", "github-token"]', more))
    assert app.main(["redact", "try", str(file), "--config", str(config), "--json"]) == 1
    found = [
        (each["column"], each["rule"], each["of"])
        for each in json.loads(capsys.readouterr().out)["found"]
    ]
    assert found == [
        (15, "pattern-1", '"\\w"'),
        (8, "pattern-2", "ghp.{3}"),
        (43, "acme-key", "Acme"),
    ]


def test_nothing_is_said_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And ends with 0; also of what is no text."""
    path = tmp_path / "a.txt"
    path.write_text("words\n")
    assert app.main(["redact", "try", str(path), "--show"]) == 0
    assert capsys.readouterr() == ("words\n", "nothing is taken out\n")
    assert app.main(["redact", "try", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"found": []}
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    assert app.main(["redact", "try", str(path)]) == 0
    assert capsys.readouterr().err.startswith(
        "nothing is taken out: it is stored as it is, as pictures"
    )


def test_what_cannot_be_read_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As 1 says that something was found."""
    for path, reason in (
        (tmp_path / "no", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        assert app.main(["redact", "try", str(path)]) == 2
        assert capsys.readouterr() == ("", f"sidelog: {path}: {reason}\n")


@pytest.mark.parametrize(
    ("name", "options", "text", "count"),
    [
        ("a.yaml", [], "password: hunter\n", 1),
        ("a.txt", [], "password: hunter\n", 0),
        ("a.txt", ["--content-type", "application/yaml"], "password: hunter\n", 1),
        ("a.yaml", ["--content-type", ""], "password: hunter\n", 0),
        ("a.csv", [], "a,password\n1,hunter\n", 1),
        (".env", ["--content-type", "text/env"], "secret=hunter\n", 1),
    ],
)
def test_a_text_is_read_by_its_type(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    text: str,
    count: int,
) -> None:
    """Which the ending of the file says where no other is given."""
    (tmp_path / name).write_text(text)
    assert app.main(["redact", "try", str(tmp_path / name), *options, "--json"]) == count
    assert len(json.loads(capsys.readouterr().out)["found"]) == count


def test_heads_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Headers and a target, in the place of a file; own names count."""
    config = tmp_path / "sidelog.toml"
    config.write_text(CONFIG.replace("[redact]", '[redact]\nheaders = ["X-Acme-Ticket"]', 1))
    head = [
        "--header",
        "X-Acme-Ticket: S3CRET",
        "--header",
        "Accept: a",
        "--target",
        "/a?token=x&b=1",
    ]
    assert app.main(["redact", "try", *head, "--show", "--config", str(config)]) == 1
    rows, _, shown = capsys.readouterr().out.partition("\n\n")
    assert [line.split()[:3] for line in rows.splitlines()[1:]] == [
        ["1:14", "1", "name:token"], ["2:16", "6", "name:x-acme-ticket"],
    ]  # fmt: skip
    assert shown == ("GET /a?token=[REDACTED]&b=1 HTTP/1.1\nX-Acme-Ticket: [REDACTED]\nAccept: a\n")
    assert app.main(["redact", "try", "--header", "X-Other: S3CRET"]) == 0
    for wrong in ([], ["a.txt", *head], ["--header", "no colon"]):
        assert app.main(["redact", "try", *wrong]) == 2
        assert "expected" in capsys.readouterr().err


def test_standard_input_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a hyphen stands for the file."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"see {GITHUB}".encode())))
    assert app.main(["redact", "try", "-"]) == 1
    assert "1:5" in capsys.readouterr().out


def test_it_can_stand_in_a_pipe(file: Path) -> None:
    """Bytes that are no text come out as they went in; a reader that leaves ends it quietly."""
    command = [sys.executable, "-m", "proxy", "redact", "try", "-", "--show"]
    data = b"a \xff\xfe b " * 20_000
    done = subprocess.run(command, input=data, capture_output=True, timeout=PROGRAM_S, check=False)
    assert (done.returncode, done.stdout) == (0, data)
    read_end, write_end = os.pipe()
    os.close(read_end)

    with os.fdopen(write_end, "wb") as gone:
        done = subprocess.run(
            command, input=data, stdout=gone, stderr=subprocess.PIPE, timeout=PROGRAM_S, check=False
        )

    assert b"Traceback" not in done.stderr
