"""What `[redact]` may be: every refusal names its setting and value."""

import json

import pytest

from proxy.settings.check_redact import MAX_EXAMPLES, MAX_LITERALS, MAX_OWN_RULES
from proxy.settings.load import load
from proxy.settings.model import Settings, SettingsError
from proxy.settings.redact_rules import CODE_RULES, FIXED_RULES, Rule
from tests.proxy.settings.test_check import refusal
from tests.support.cases import each_of

RULE = {"id": "acme-key", "of": "Acme", "literals": ["acme_"], "regex": "acme_([a-z0-9]{8,})"}


@each_of(
    ("variable", "value", "expected"),
    [
        (
            "REDACT__PATTERNS",
            '["(a)\\\\1"]',
            "redact.patterns: expected a regular expression of RE2: invalid escape",
        ),
        (
            "REDACT__PATTERNS",
            '["x", "a*"]',
            "expected a regular expression that does not match an empty text, got 'a*'",
        ),
        (
            "REDACT__PATTERNS",
            '["E"]',
            "does not match [REDACTED], which stands for what it finds, got 'E'",
        ),
        (
            "REDACT__PATTERNS",
            '["%s"]' % ("a" * 1001),
            "expected a regular expression of at most 1000 characters, got",
        ),
        ("REDACT__PATTERNS", '["((a|\\\\pL){300}){3}"]', "expected a regular expression of RE2: "),
        ("REDACT__PATTERNS", json.dumps(["x"] * 17), "at most 16 patterns, got 17"),
        ("REDACT__HEADERS", '["a b"]', "redact.headers: expected header names"),
        (
            "REDACT__JSON_KEYS",
            '[""]',
            "redact.json_keys: expected a name of more than - and _, got ''",
        ),
        (
            "REDACT__EXCEPT",
            '["token", ""]',
            "redact.except: expected a name of more than - and _, got ''",
        ),
        (
            "REDACT__EXCEPT",
            '["body..a"]',
            "redact.except: expected a place such as body.properties.*, got 'body..a'",
        ),
        (
            "REDACT__QUERY",
            '["a", "_"]',
            "redact.query: expected a name of more than - and _, got '_'",
        ),
        ("REDACT__QUERY", '[" -"]', "redact.query: expected a name of more than - and _, got ' -'"),
    ],
)
def test_bad_value_is_refused_with_its_reason(variable: str, value: str, expected: str) -> None:
    """Each value outside its syntax is named with what was expected."""
    report = refusal({f"SIDELOG_{variable}": value})
    assert expected in report
    assert f"SIDELOG_{variable}" in report


@each_of(
    ("ids", "expected"),
    [
        (
            ["gitub-token"],
            "redact.disable: unknown rule 'gitub-token'; did you mean 'github-token'?",
        ),
        (["ibann"], "redact.disable: unknown rule 'ibann'; did you mean 'iban'?"),
        (["acme-kei"], "redact.disable: unknown rule 'acme-kei'; did you mean 'acme-key'?"),
        (["qqqqqqqq"], "redact.disable: unknown rule 'qqqqqqqq'; `sidelog redact list` shows all"),
        (
            ["iban", "window-edge"],
            "redact.disable: 'window-edge' cannot be switched off: it redacts what may be half",
        ),
        (
            ["rest-of-many"],
            "redact.disable: 'rest-of-many' cannot be switched off: it redacts what follows "
            "more parts",
        ),
        (
            ["oauth-code"],
            "redact.disable: 'oauth-code' cannot be switched off: a code beside grant_type is what",
        ),
        (["pattern-1"], "redact.disable: 'pattern-1' is one of redact.patterns: take it out there"),
        (["name:"], "redact.disable: expected name: and a name of more than - and _, got 'name:'"),
        (
            ["name:*"],
            "redact.disable: expected name: and a name of more than - and _, got 'name:*'",
        ),
    ],
)
def test_a_rule_that_cannot_be_disabled_is_refused(ids: list[str], expected: str) -> None:
    """A setting without effect is a mistake; what may be meant is said."""
    assert expected in refusal(
        {"SIDELOG_REDACT__RULES": json.dumps([RULE]), "SIDELOG_REDACT__DISABLE": json.dumps(ids)}
    )


def test_rules_without_patterns_have_no_effect() -> None:
    """Names still count, and can be disabled."""
    without = {"SIDELOG_REDACT__PATTERNS": "false"}
    report = refusal(without | {"SIDELOG_REDACT__RULES": json.dumps([RULE])})
    assert "redact.rules: has no effect while redact.patterns is false" in report
    report = refusal(without | {"SIDELOG_REDACT__DISABLE": '["iban"]'})
    assert "redact.disable: has no effect while redact.patterns is false, got 'iban'" in report
    environ = without | {"SIDELOG_REDACT__DISABLE": '["name:session"]'}
    assert load({"proxy.upstream": "http://a"}, environ, None).redact.disable == ("name:session",)


@each_of(
    ("more", "expected"),
    [
        (
            {"id": "Acme Key"},
            "rules[0].id: expected at most 64 small letters and digits, with hyphens between "
            "them, got",
        ),
        (
            {"id": "github-token"},
            "rules[0].id: is the id of a built-in rule: take another one, or disable that, got 'g",
        ),
        ({"id": "iban"}, "rules[0].id: is the id of a built-in rule"),
        ({"id": "window-edge"}, "rules[0].id: is the id of a built-in rule"),
        ({"id": "pattern-1"}, "rules[0].id: is the id of a built-in rule"),
        (
            {"literals": []},
            "rules[0].literals: expected 1 to 64 texts, of which each match has one, got 0",
        ),
        (
            {"literals": ["xx"] * 65},
            "rules[0].literals: expected 1 to 64 texts, of which each match has one, got 65",
        ),
        (
            {"literals": ["acme_", "a"]},
            "literals: expected 2 to 64 characters of ASCII, without quotes, backslashes and ends "
            "of lines, got 'a'",
        ),
        (
            {"regex": "acme_("},
            "rules[0].regex: expected an expression of RE2: missing ): acme_(, got 'acme_('",
        ),
        (
            {"regex": r"(?<=a)acme_"},
            "rules[0].regex: expected an expression of RE2: invalid perl operator",
        ),
        (
            {"regex": "x" * 1001},
            "rules[0].regex: expected an expression of at most 1000 characters, got 'xxx",
        ),
        ({"regex": "acme_((a|\\pL){300}){3}"}, "rules[0].regex: expected an expression of RE2: "),
        (
            {"regex": "(acme_|RED)[A-Z]+", "group": 1},
            "an expression that does not match [REDACTED], which stands for",
        ),
        (
            {"group": 2},
            "rules[0].group: expected at most 1, as many groups as the expression has, got 2",
        ),
        ({"before": 257}, "rules[0].before: expected a whole number from 0 to 256, got 257"),
        (
            {"check": "luhn"},
            "rules[0].check: expected one of base58, base64-login, jwt, long-or-digit, mixed, "
            "not-words,",
        ),
        ({"examples": ["x"] * 33}, "rules[0].examples: expected at most 32 texts, got 33"),
        (
            {"no-examples": [""]},
            "rules[0].no-examples: expected a text of 1 to 4000 characters, got 0",
        ),
        (
            {"examples": ["x" * 4001]},
            "rules[0].examples: expected a text of 1 to 4000 characters, got 4001",
        ),
        (
            {"no_examples": ["x"]},
            "rules[0].no_examples: unknown setting; did you mean no-examples?",
        ),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(more: dict[str, object], expected: str) -> None:
    """Key by key, with the value and the limit."""
    report = refusal({"SIDELOG_REDACT__RULES": json.dumps([RULE | more])})
    assert f"redact.{expected}" in report or expected in report
    assert "SIDELOG_REDACT__RULES" in report


def test_what_a_rule_needs_is_asked_for_once() -> None:
    """What stands in for it is not judged."""
    report = refusal({"SIDELOG_REDACT__RULES": "[{}]"}).splitlines()
    keys = ("id", "of", "literals", "regex")
    assert report == [f"redact.rules[0].{key}: is missing (SIDELOG_REDACT__RULES)" for key in keys]


def test_rules_are_as_many_as_allowed_each_with_an_id_of_its_own() -> None:
    """Their limits are those of the messages."""
    rules = [RULE | {"id": f"acme-{number}"} for number in range(MAX_OWN_RULES)]
    full = RULE | {"literals": ["xx"] * MAX_LITERALS, "examples": ["x"] * MAX_EXAMPLES}
    environ = {"SIDELOG_REDACT__RULES": json.dumps([full, *rules[1:]])}
    assert len(load({"proxy.upstream": "http://a"}, environ, None).redact.rules) == MAX_OWN_RULES
    report = refusal({"SIDELOG_REDACT__RULES": json.dumps([*rules, RULE, RULE])})
    assert "redact.rules: expected at most 64 rules, got 66" in report
    assert "redact.rules[65].id: is the id of redact.rules[64] too, got 'acme-key'" in report


def test_rules_and_ids_are_read_as_they_are_written() -> None:
    """All ids that code has are known, and what is written with hyphens in TOML."""
    rule = RULE | {
        "before": 3,
        "group": 1,
        "check": "mixed",
        "examples": ["acme_«a»"],
        "no-examples": ["acme_b"],
    }
    disabled = [*CODE_RULES, "github-token", "acme-key", "name:user[password]"]
    environ = {
        "SIDELOG_REDACT__RULES": json.dumps([rule]),
        "SIDELOG_REDACT__DISABLE": json.dumps(disabled),
    }
    redact = load({"proxy.upstream": "http://a"}, environ, None).redact
    assert redact.disable == tuple(disabled)
    (read,) = redact.rules
    assert read == Rule(
        id="acme-key", of="Acme", literals=("acme_",), regex="acme_([a-z0-9]{8,})", before=3, group=1, check="mixed",
        examples=("acme_«a»",), no_examples=("acme_b",),
    )  # fmt: skip
    assert not CODE_RULES.keys() & FIXED_RULES.keys()


def test_a_trial_is_asked_where_nothing_else_is_wrong() -> None:
    """What it says comes with where the setting stood."""

    def trial(settings: Settings) -> list[tuple[str, str]]:
        return [(f"redact.rules[{len(settings.redact.rules) - 1}].examples", "too few")]

    environ = {"SIDELOG_REDACT__RULES": json.dumps([RULE])}
    with pytest.raises(SettingsError) as caught:
        load({"proxy.upstream": "http://a"}, environ, None, trial)
    assert caught.value.problems == ["redact.rules[0].examples: too few (SIDELOG_REDACT__RULES)"]
    with pytest.raises(SettingsError) as caught:
        load({}, environ, None, trial)
    assert "too few" not in str(caught.value)
