"""Examples of own rules: what they must find, and what they must leave."""

import re
import tomllib

import msgspec

from proxy.enrich.redact.examples import problems_of, problems_of_disabled, read_example
from proxy.enrich.redact.rule import Rule, built_in_rules
from proxy.enrich.redact.scanner import Scanner
from proxy.settings.model import RedactSettings
from tests.proxy.enrich.redact.test_rule_files import KEYS, RULES
from tests.support.cases import each_of
from tests.support.sidelog import ROOT

FOUND = "'acme_12345678'"
NO_MATCH = "the regex does not match, or only within a word"


def rule(
    examples: tuple[str, ...] = (),
    no_examples: tuple[str, ...] = (),
    regex: str = "acme_[a-z0-9]{8}",
) -> Rule:
    """Make an own rule."""
    return Rule(
        id="acme-key",
        of="x",
        literals=("acme_",),
        regex=regex,
        examples=examples,
        no_examples=no_examples,
    )


def test_an_example_is_a_secret_or_has_one() -> None:
    """Between marks, of which there is one of each."""
    assert read_example("abc") == ("abc", 0, 3)
    assert read_example("a «bc» d") == ("a bc d", 2, 4)
    assert read_example("a «bc» d").secret == "bc"
    assert read_example("a «bc d") == ("a «bc d", 0, 7)


@each_of(
    ("examples", "no_examples", "expected"),
    [
        (("acme_12345678", "é «acme_12345678» ü"), ("acme_1", "x"), ""),
        (
            ("acne",),
            (),
            "examples: expected a text with a match, but it contains none of the literals, got 'acne'",
        ),
        (
            ("acme_1",),
            (),
            f"examples: expected a text with a match, but {NO_MATCH}, got 'acme_1'",
        ),
        (
            ("x acme_12345678",),
            (),
            f"examples: expected 'x acme_12345678' as the only match, but {FOUND} matched, got "
            "'x acme_12345678'",
        ),
        (
            ("acme_12345678 «acme_12345678»",),
            (),
            f"examples: expected {FOUND} as the only match, but {FOUND}, {FOUND} matched, got "
            "'acme_12345678 «acme_12345678»'",
        ),
        (
            (),
            ("a", "to acme_12345678"),
            f"no-examples: expected a text without a match, but {FOUND} matched, got 'to "
            "acme_12345678'",
        ),
        (
            (),
            ("acme_12345678 " * 9,),
            f"no-examples: expected a text without a match, but {FOUND}, {FOUND}, {FOUND} … matched, got "
            "'acme_12345678 acme_12345678 acme_12345678 acme_12345678 acme_12345678 acme_1...",
        ),
    ],
)
def test_examples_are_tried(
    examples: tuple[str, ...], no_examples: tuple[str, ...], expected: str
) -> None:
    """Each says what was found instead."""
    found = [f"{name}: {text}" for name, text in problems_of((rule(), rule(examples, no_examples)))]
    assert found == ([f"redact.rules[1].{expected}"] if expected else [])


def test_examples_are_tried_as_bodies_are_read() -> None:
    """The middle of a long run is masked, so an expression that needs it does not match."""
    secret = "acme_" + "aB3dE5fG7hI9jK1l" * 40
    assert [*problems_of((rule((secret,), (), "acme_[A-Za-z0-9]{40,}"),))] == []
    (problem,) = problems_of((rule((secret,), (), "acme_[A-Za-z0-9]{640}"),))
    assert "does not match" in problem[1]


@each_of(
    ("disable", "expected"),
    [
        ("name:session", None), ("name:db_password", None), ("name:x-acme", None), ("name:p", None), ("iban", None),
        ("name:sid", None), ("name:user[password]", None), ("name:" + "x" * 64, None),
        ("name:sezzion", "'sezzion' is not the name of a secret; did you mean 'name:session'?"),
        ("name:x-acne", "'x-acne' is not the name of a secret; did you mean 'name:x-acme'?"),
        ("name:qqq", "'qqq' is not the name of a secret"),
    ],
)  # fmt: skip
def test_a_name_that_is_none_of_a_secret_is_not_switched_off(
    disable: str, expected: str | None
) -> None:
    """It would have no effect."""
    redact = RedactSettings(disable=(disable,), headers=("x-acme",))
    found = [*problems_of_disabled(redact)]
    assert found == ([] if expected is None else [("redact.disable", expected)])


def test_built_in_rules_would_pass() -> None:
    """What is said of own rules is so of ours."""
    assert [*problems_of(built_in_rules())] == []


def test_the_rule_that_contributors_are_shown_works() -> None:
    """It is written as those of the files are, and none of them finds its near miss."""
    diffs = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    (diff,) = (each for each in diffs if "enrich/redact/rules" in each)
    lines = [
        line[1:]
        for line in diff.splitlines()
        if line.startswith("+") and not line.startswith("+++")
    ]
    (table,) = tomllib.loads("\n".join(lines))["rules"]
    assert list(table) == [key for key in KEYS if key in table]
    shown = msgspec.convert(table, Rule)
    assert shown.id not in RULES
    assert [*problems_of((shown,))] == []
    assert Scanner((*built_in_rules(), shown)).forms(shown.no_examples[0].encode()) == []
