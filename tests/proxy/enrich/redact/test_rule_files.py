"""The rule files of secrets: their form, and that each rule finds its examples and leaves near
misses alone.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import re2

import proxy.enrich.redact
from proxy.enrich.redact.checks import CHECKS
from proxy.enrich.redact.patterns.numbers import secrets_in
from proxy.enrich.redact.rule import built_in_rules
from proxy.enrich.redact.scanner import Scanner
from tests.support.cases import each_of
from tests.support.patterns.judge import judge

FILES = sorted((Path(proxy.enrich.redact.__file__).parent / "rules").glob("*.toml"))
TABLES: list[dict[str, Any]] = [
    table for file in FILES for table in tomllib.loads(file.read_text())["rules"]
]
SECRETS = [
    json.loads(line) for line in Path(__file__).with_name("secrets.jsonl").read_text().splitlines()
]
KEYS = ["id", "of", "literals", "before", "regex", "group", "check", "examples", "no-examples"]
REQUIRED = {"id", "of", "literals", "regex", "examples", "no-examples"}
SHORT_LITERALS = {
    *(
        "bitcoin-private-key",
        "nats-seed",
        "pagerduty-key",
        "pushbullet-token",
        "sanity-token",
        "stellar-seed",
    ),
    *("twilio-key", "vault-token-old", "yandex-static-key"),
}
"""Rules with a literal of two bytes, as no longer one is in each of their secrets."""

RULES = {rule.id: rule for rule in built_in_rules()}
ALL = Scanner(built_in_rules())


def _spans(scanner: Scanner, text: bytes) -> list[tuple[int, int]]:
    return [(edit.start, edit.stop) for edit in scanner.forms(text)]


def _marked(example: str) -> tuple[bytes, tuple[int, int]]:
    """Return an example without its marks, and where its secret stands."""
    if "«" not in example:
        return example.encode(), (0, len(example.encode()))
    before, rest = example.split("«")
    secret, after = rest.split("»")
    begin = len(before.encode())
    return (before + secret + after).encode(), (begin, begin + len(secret.encode()))


@each_of("file", FILES)
def test_a_file_says_what_it_holds(file: Path) -> None:
    """In its first line, in one sentence."""
    first = file.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")
    assert list(tomllib.loads(file.read_text())) == ["rules"]


@each_of("table", TABLES)
def test_a_rule_is_written_as_all_are(table: dict[str, Any]) -> None:
    """Its keys are in order, its literals ASCII and no longer than needed, its examples enough."""
    assert list(table) == [key for key in KEYS if key in table]
    assert table.keys() >= REQUIRED
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", table["id"])
    assert table["of"].strip()
    assert table["literals"]
    assert all(literal.isascii() for literal in table["literals"])
    assert min(map(len, table["literals"])) >= (2 if table["id"] in SHORT_LITERALS else 3)
    assert table.get("check", "random") in CHECKS
    assert len(table["examples"]) >= 2
    assert table["no-examples"]


def test_ids_are_unique() -> None:
    """Users write them in settings and searches."""
    assert len(RULES) == len(TABLES)
    assert [id for id in SHORT_LITERALS if min(map(len, RULES[id].literals)) > 2] == []


@each_of("id", RULES)
def test_expressions_are_shared_and_linear(id: str) -> None:
    """Both engines read them; `re` takes linear time where a literal was found; borders are the
    scanner's.
    """
    rule = RULES[id]
    pattern = re.compile(rule.regex.encode())
    assert re2.compile(pattern.pattern).groups == pattern.groups
    assert pattern.groups == rule.group
    assert not pattern.pattern.startswith(rb"\b")
    assert judge(pattern, "match")[0] == "linear"


@each_of("id", RULES)
def test_examples_are_found(id: str) -> None:
    """Exactly what is marked."""
    scanner = Scanner((RULES[id],))
    for example in RULES[id].examples:
        text, span = _marked(example)
        assert _spans(scanner, text) == [span], example


@each_of("id", RULES)
def test_near_misses_stay(id: str) -> None:
    """No rule finds anything in what is none of one rule."""
    found = [
        (text, edit.rule) for text in RULES[id].no_examples for edit in ALL.forms(text.encode())
    ]
    assert found == []


@each_of("secret", SECRETS)
def test_secrets_without_a_name_are_found(secret: dict[str, str]) -> None:
    """By the way that they are written alone, whatever stands around them."""
    text = f'x = "{secret["secret"]}";'.encode()
    words = len("Authorization: Negotiate ") if secret["id"] == "negotiate-text" else 0
    found = [*_spans(ALL, text), *(edit[:2] for edit in secrets_in(text))]
    assert (5 + words, len(text) - 2) in found, secret["id"]
