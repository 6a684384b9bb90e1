"""`sidelog redact`: rules are listed."""

import json
from pathlib import Path

import pytest

from proxy.settings.redact_rules import CODE_RULES, built_in_rules
from tests.proxy.cli.conftest import Run

CONFIG = """\
[redact]
disable = ["iban", "github-token"]

[[redact.rules]]
id = "acme-key"
of = "Acme"
literals = ["acme_"]
regex = "acme_[a-z0-9]{8,}"
examples = ["key «acme_1a2b3c4d5e» is"]
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Settings without an upstream: these commands do not need one."""
    path = tmp_path / "sidelog.toml"
    path.write_text(CONFIG)
    return str(path)


def test_all_rules_are_listed(config: str, run: Run) -> None:
    """Own rules first, each on one line, with an example without its marks; below, the other ids in
    records.
    """
    lines = run(f"redact list --config {config}").out.splitlines()
    count = 1 + len(built_in_rules()) + len(CODE_RULES)
    assert lines[0].split() == "rule of example".split()
    assert lines[1].split(maxsplit=2) == ["acme-key", "Acme", "key acme_1a2b3c4d5e is"]
    assert lines[count].split()[0] == "netrc"
    assert lines[count + 1] == ""
    assert lines[count + 2].startswith("name:NAME is what stands under the name of a secret")
    assert "cannot be switched off" in lines[count + 3]
    assert len(lines) == count + 4
    assert "«" not in "".join(lines)
    (disabled,) = [line for line in lines if line.startswith("github-token ")]
    assert "GitHub (disabled)" in disabled


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Acme", "acme-key"),
        ("ghp_", "github-token"),
        ("gitHub-fine", "github-fine-grained-token"),
        ("bank", "iban"),
    ],
)
def test_rules_are_found_by_a_part(config: str, run: Run, text: str, first: str) -> None:
    """Of the id, the kind of secret, or a literal."""
    rows = json.loads(run(f"redact list {text} --config {config} --json").out)
    assert first in [row["id"] for row in rows]
    assert len(rows) < 5
    assert list(rows[0]) == ["id", "of", "example", "origin", "disabled"]


def test_json_says_which_are_own_and_which_are_disabled(config: str, run: Run) -> None:
    rows = {row["id"]: row for row in json.loads(run(f"redact list --config {config} --json").out)}
    assert [id_ for id_, row in rows.items() if row["origin"] == "own"] == ["acme-key"]
    assert [id_ for id_, row in rows.items() if row["disabled"]] == ["github-token", "iban"]
    assert rows["acme-key"]["example"] == "key acme_1a2b3c4d5e is"
    assert rows["iban"]["of"] == "Bank accounts"


def test_what_no_rule_has_is_said(config: str, run: Run) -> None:
    """It may be a name."""
    captured = run(f"redact list 'no such' --config {config}")
    assert captured.err == "no rules with 'no such'\n"
    assert captured.out.startswith("name:NAME is what")


def test_wrong_settings_are_named(tmp_path: Path, run: Run) -> None:
    """As by all commands that read them."""
    path = tmp_path / "sidelog.toml"
    path.write_text('[redact]\ndisable = ["ibann"]\n')
    captured = run(f"redact list --config {path}", code=2)
    assert captured.out == ""
    assert f"redact.disable: unknown rule 'ibann'; did you mean 'iban'? ({path}:2)" in captured.err
