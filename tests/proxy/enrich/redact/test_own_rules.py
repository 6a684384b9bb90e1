"""Rules that are not of our files: their expressions are matched by another engine, and bounded."""

import re

import pytest

from proxy.enrich.redact.forms import Form
from proxy.enrich.redact.rule import Rule, built_in_rules
from proxy.enrich.redact.scanner import Scanner


def own(regex: str, literal: str = "key=", **more: object) -> Rule:
    """Make a rule that is in none of our files."""
    return Rule(id="own", of="x", literals=(literal,), regex=regex, **more)  # type: ignore[arg-type]


def test_own_expressions_are_of_re2() -> None:
    """Whatever an own rule says, it takes linear time; those of our files are matched by `re`,
    which is faster.
    """
    form = Form(own("key=(a|a)*b"))
    assert form.match(b"key=" + b"a" * 20 + b"b", 0, is_octets=False) == (0, 25, True)
    assert not isinstance(form._pattern, re.Pattern)
    rule = next(rule for rule in built_in_rules() if rule.id == "github-token")
    text = rule.examples[0].encode()
    form = Form(rule)
    assert form.match(text, 0, is_octets=False) == (0, len(text), True)
    assert isinstance(form._pattern, re.Pattern)
    form = Form(Rule(id=rule.id, of="x", literals=rule.literals, regex=rule.regex))
    assert form.match(text, 0, is_octets=False) == (0, len(text), True)
    assert not isinstance(form._pattern, re.Pattern), "a rule of that id, but of no file of ours"


@pytest.mark.parametrize("regex", ["key=[^;]*", "key=[^;]*;", "key=(?:[^;]*x)?[^;]*", "key=[^;]*$"])
def test_an_own_expression_reads_a_text_a_few_times(
    monkeypatch: pytest.MonkeyPatch, regex: str
) -> None:
    """Beside a window for each literal in it, also where what it begins with does not end as it
    wants.
    """
    read = [0]
    around = Form._around

    def counted(self: Form, text: bytes, at: int, stop: int) -> re.Match[bytes] | None:
        read[0] += min(stop, len(text)) - at
        return around(self, text, at, stop)

    monkeypatch.setattr(Form, "_around", counted)
    count = 10_000
    text = b"key=ab " * count + b";;"
    Scanner((own(regex),)).forms(text)
    assert read[0] <= 1024 * count + 2 * len(text)


def test_an_own_expression_that_is_long_is_found_whole() -> None:
    """Also where it is longer than one step."""
    for size in (1020, 1021, 5000, 100_000):
        text = b"x key=" + b"a" * size + b"; b"
        (edit,) = Scanner((own("key=[a-z]+"),)).forms(text)
        assert (edit.start, edit.stop) == (2, 6 + size)


def test_a_group_that_is_not_there_is_no_secret() -> None:
    """Where the expression matches another way, or the group is empty."""
    scanner = Scanner((own("key=(?:([0-9]+)|[a-z]+)", group=1),))
    assert scanner.forms(b"key=abc") == []
    assert [(edit.start, edit.stop) for edit in scanner.forms(b"key=12")] == [(4, 6)]
    assert Scanner((own("key=([0-9]*)", group=1),)).forms(b"key=abc") == []


def test_what_stands_before_the_literal_belongs_to_a_match() -> None:
    """As far as the rule says."""
    scanner = Scanner((own("[a-f0-9]{4,}-us[0-9]+", "-us", before=8),))
    assert [(edit.start, edit.stop) for edit in scanner.forms(b"x: 01234567-us12, 01-us1")] == [
        (3, 16)
    ]
    assert scanner.forms(b"x: 0123456789-us12") == [], "a word that begins before it is another one"
