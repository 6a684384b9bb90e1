"""Rules of our files, and those of users."""

from typing import get_args

import msgspec

from proxy.enrich.redact.checks import CHECKS
from proxy.enrich.redact.patterns.numbers import secrets_in
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.rule import Rule, built_in_rules, is_built_in
from proxy.settings.redact_rules import CODE_RULES, Check, rules_by_id


def test_only_rules_of_files_are_built_in() -> None:
    """A copy was not tested with them."""
    rule = built_in_rules()[0]
    assert is_built_in(rule)
    assert not is_built_in(msgspec.structs.replace(rule, of="x"))
    assert not is_built_in(Rule(id="own", of="x", literals=("xx",), regex="xx"))
    assert rules_by_id()[rule.id] is rule


def test_all_checks_can_be_asked_for() -> None:
    """Settings name each of them, and no other."""
    assert set(get_args(Check)) == {"", *CHECKS}


def test_rules_of_code_find_their_examples() -> None:
    """As those of files do; each can be switched off."""
    assert [
        edit.rule for edit in secrets_in(b"4111 1111 1111 1111, DE89 3704 0044 0532 0130 00")
    ] == ["card-number", "iban"]
    for id_, rule in CODE_RULES.items():
        redactor = Redactor()
        redactor.redact_value(rule.example.encode())
        assert redactor.take_hits() == {id_: 1}
        assert (
            Redactor(disabled=(id_,)).redact_value(rule.example.encode()) == rule.example.encode()
        )
