"""[[tokens]] and [[admin_hosts]]: secrets become digests, contradictions are told, nothing is ever
shown.
"""

import hashlib
from pathlib import Path

import pytest

from proxy.settings.load import load
from proxy.settings.model import SettingsError, freeze, redacted
from tests.support.cases import each_of

SECRET = "a-secret-of-some-length"
EXAMPLE = Path(__file__).parents[3] / "deploy" / "example.toml"


def loaded(tmp_path: Path, text: str, **environ: str) -> object:
    """Load a file with an upstream and more text."""
    path = tmp_path / "sidelog.toml"
    path.write_text('[proxy]\nupstream = "http://app:1"\n' + text)
    return load({}, environ, path)


@pytest.mark.parametrize("how", ["token", "env", "file", "sha256"])
def test_a_token_becomes_a_digest(tmp_path: Path, how: str) -> None:
    """However it is given, only its digest is left, and that is not shown either."""
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET + "\n")
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    line = {
        "token": f'token = "{SECRET}"',
        "env": 'token = "env:GRAFANA"',
        "file": f'token = "file:{secret_file}"',
        "sha256": f'token = "sha256:{digest.upper()}"',
    }[how]
    path = tmp_path / "sidelog.toml"
    path.write_text(
        '[proxy]\nupstream = "http://app:1"\n[[tokens]]\nname = "grafana"\nprojects = '
        f'["proj_a"]\n{line}\n'
        '[[admin_hosts]]\nname = "a.logs.example"\nprojects = ["proj_a"]\n'
    )
    settings = load({}, {"GRAFANA": SECRET}, path)
    (token,) = settings.tokens
    assert (token.name, token.token, token.role) == ("grafana", f"sha256:{digest}", "reader")
    assert token.projects == ("proj_a",)
    assert SECRET.encode() not in freeze(settings)
    assert digest not in repr(redacted(settings))
    assert settings.admin_hosts[0].projects == ("proj_a",)


@each_of(
    ("text", "problem"),
    [
        (
            '[[tokens]]\nname = "a"',
            "tokens[0].token: is missing: expected the secret, or env:NAME, file:PATH or sha256: "
            "and its SHA-256 (",
        ),
        ('[[tokens]]\nname = "a"\ntoken = "env:MISSING"', "the environment has no MISSING"),
        (
            '[[tokens]]\nname = "a"\ntoken = 12345678901234567890',
            "tokens[0].token: expected text in quotes (",
        ),
        ('[[tokens]]\nname = "a"\ntoken = "short"', "at least 16 characters"),
        (
            '[[tokens]]\nname = "a"\ntoken = "sha256:zz"',
            "expected 64 hexadecimal digits behind sha256:",
        ),
        ('[[tokens]]\nname = "a"\ntoken = "file:/nowhere/at/all"', "cannot be read"),
        (f'[[tokens]]\nname = "admin"\ntoken = "{SECRET}"', "and not `admin`"),
        (f'[[tokens]]\nname = "a b"\ntoken = "{SECRET}"', "tokens[0].name"),
        (
            f'[[tokens]]\nname = "a"\nrole = "admin"\nprojects = ["p"]\ntoken = "{SECRET}"',
            "an admin sees everything",
        ),
        (
            f'[[tokens]]\nname = "a"\nrole = "boss"\ntoken = "{SECRET}"',
            "tokens[0].role: expected one of reader, operate, admin, got 'boss' (",
        ),
        (
            f'[[tokens]]\nname = "a"\ncolour = "red"\ntoken = "{SECRET}"',
            "tokens[0].colour: unknown setting (",
        ),
        (f'[[tokens]]\ntoken = "{SECRET}"', "tokens[0].name: is missing ("),
        (
            f'[[tokens]]\nname = "a"\ntoken = "{SECRET}"\n[[tokens]]\nname = "b"\nrole = '
            f'"admin"\ntoken = "{SECRET}"',
            "tokens[1]: has the secret of tokens[0], which is found first",
        ),
        ('[[admin_hosts]]\nname = "a.example"', "restricts nothing"),
        (
            '[[admin_hosts]]\nname = "A.example:1"\nprojects = ["p"]',
            "expected a host name in lower case",
        ),
        (
            '[[admin_hosts]]\nname = "a"\nprojects = ["p"]\n[[admin_hosts]]\nname = "a"\nprojects '
            '= ["p"]',
            "admin_hosts[1].name: is given twice",
        ),
    ],
)
def test_problems_are_told_without_the_secret(tmp_path: Path, text: str, problem: str) -> None:
    """What is wrong, and where, with the line; never the token."""
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    assert any(problem in line for line in caught.value.problems), caught.value.problems
    assert all("sidelog.toml:" in line for line in caught.value.problems)
    assert SECRET not in str(caught.value)


def test_the_example_of_tokens_loads(tmp_path: Path) -> None:
    """The commented tables of the example file are valid when the comment marks are taken off."""
    lines = EXAMPLE.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("# [[tokens]]"))
    last = next(
        number for number, line in enumerate(lines) if number > first and not line.startswith("#")
    )
    secret = tmp_path / "grafana"
    secret.write_text(SECRET)
    text = "\n".join(line.removeprefix("#").strip() for line in lines[first:last])
    settings = loaded(tmp_path, text.replace("/run/secrets/grafana", str(secret)))
    assert "grafana" in repr(settings)
