"""Rules that are switched off, and rules that users add."""

import json

from msgspec.structs import replace

from proxy.enrich.records import redactor_of
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.rule import Rule
from proxy.settings.model import RedactSettings, Settings
from tests.proxy.enrich.redact.corpus import Row, rows_of
from tests.proxy.enrich.redact.secrets import make_secrets
from tests.support.cases import each_of

GITHUB, GITLAB = make_secrets()["github"], make_secrets()["gitlab"]
CARD, IBAN = "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"
OWN = Rule(id="acme-key", of="Acme", literals=("ac_",), regex="ac_[a-z0-9]{5,}")


def body(redactor: Redactor, text: str, content_type: str = "text/plain") -> str:
    """Redact a body."""
    return b"".join(redactor.redact_body(text.encode(), b"", content_type.encode(), False)).decode()


@each_of(
    ("id", "stays", "goes"),
    [
        ("github-token", GITHUB, GITLAB),
        ("card-number", CARD, IBAN),
        ("iban", IBAN, CARD),
        ("netrc", "machine h login u password p9x9q2w7", CARD),
        ("url-password", "see https://bob:hunter22@example.com/", CARD),
    ],
)
def test_what_a_disabled_rule_finds_stays(id: str, stays: str, goes: str) -> None:
    """All else goes, also beside it."""
    assert stays not in body(Redactor(), stays)
    redactor = Redactor(disabled=(id,))
    text = f"{stays} and {goes} "
    assert body(redactor, text) == f"{stays} and [REDACTED] "
    assert not Redactor(disabled=(id,)).may_hold_secret(stays.encode()) or "%" in stays
    redactor.take_hits()
    assert body(redactor, json.dumps({"a": text}), "application/json") == json.dumps(
        {"a": f"{stays} and [REDACTED] "}
    )
    assert sum((redactor.take_hits() or {}).values()) == 1


def test_what_stays_does_not_count() -> None:
    """Behind many numbers that stay, others go, and nothing else does."""
    text = f"{IBAN} " * 600
    assert body(Redactor(disabled=("iban",)), f"{text}{CARD} x") == f"{text}[REDACTED] x"
    text = "DB_PASSWORD=hunter22x\n" * 600
    assert (
        body(Redactor(disabled=("name:db_password",)), f"{text}X_TOKEN=hunter22x\n")
        == f"{text}X_TOKEN=[REDACTED]\n"
    )


@each_of("row", rows_of("disabled"))
def test_a_disabled_name_is_none_of_a_secret(row: Row) -> None:
    """In any syntax and spelling, as `except` has it."""
    assert body(Redactor(disabled=("name:db_password",)), row.text, row.kind) == row.text
    assert body(Redactor(excepted=("DbPassword",)), row.text, row.kind) == row.text
    assert body(Redactor(disabled=("name:password",)), row.text, row.kind) == row.expected


@each_of(
    ("content_type", "text"),
    [
        ("application/x-www-form-urlencoded", "user[password]=hunter22x&a=1"),
        ("application/x-www-form-urlencoded", "user%5Bpassword%5D=hunter22x&a=1"),
        ("application/json", '{"db.admin.password": "hunter22x"}'),
        ("application/json", '{"body.password": "hunter22x"}'),
        ("text/plain", "db.admin.password=hunter22x"),
    ],
)
def test_a_name_is_disabled_as_records_show_it(content_type: str, text: str) -> None:
    """With what stands around the word that makes a secret of it."""
    redactor = Redactor()
    assert "hunter22x" not in body(redactor, text, content_type)
    hits = redactor.take_hits()
    assert hits is not None
    assert body(Redactor(disabled=hits), text, content_type) == text
    assert "hunter22x" not in body(
        Redactor(disabled=hits), '{"password": "hunter22x"}', "application/json"
    )


@each_of(
    ("content_type", "text", "expected"),
    [
        ("text/plain", "ac_12345", "[REDACTED]"),
        ("text/plain", "a ac_12345, xac_12345", "a [REDACTED], xac_12345"),
        ("application/json", '{"a": "x\\nac_12345"}', '{"a": "x\\n[REDACTED]"}'),
        (
            "application/json",
            '{"a": "{\\"b\\": \\"\\\\u0061c_12345\\"}"}',
            '{"a": "{\\"b\\": \\"[REDACTED]\\"}"}',
        ),
        ("application/x-www-form-urlencoded", "a=b%26ac_12345", "a=b%26[REDACTED]"),
    ],
)
def test_an_own_rule_finds_what_a_built_in_one_would(
    content_type: str, text: str, expected: str
) -> None:
    """In what a text says, however short it is."""
    redactor = Redactor(rules=(OWN,))
    assert redactor.may_hold_secret(text.encode())
    assert not redactor.are_clean([text.encode()])
    assert body(redactor, text, content_type) == expected
    assert redactor.take_hits() == {"acme-key": 1}
    assert body(redactor, expected, content_type) == expected
    assert body(Redactor(rules=(OWN,), disabled=("acme-key",)), text, content_type) == text
    assert redactor.redact_path(b"/a/ac_12345") == b"/a/[REDACTED]"
    assert redactor.redact_text("ac_12345") == "[REDACTED]"


def test_half_a_secret_of_an_own_rule_goes_at_an_edge() -> None:
    """Of a window, and of what the frames of a stream say."""
    redactor = Redactor(rules=(replace(OWN, regex="ac_[a-z0-9]{700,}"),))
    head, _ = redactor.redact_body(b"see ac_" + b"a1" * 300, b"", b"text/plain", True)
    assert head == b"see "
    frames = b"".join(
        b'data: {"delta": {"content": "%b"}}\n\n' % piece for piece in (b"see ac", b"_12")
    )
    head, _ = redactor.redact_body(frames, b"", b"text/event-stream", True)
    assert b"_12" not in head


def test_settings_say_both() -> None:
    """As the collector takes them."""
    settings = Settings(redact=RedactSettings(disable=("iban", "name:session"), rules=(OWN,)))
    text = f"ac_12345 {IBAN} {CARD}"
    assert body(redactor_of(settings), text) == f"[REDACTED] {IBAN} [REDACTED]"
    assert (
        body(redactor_of(settings), '{"session": "x1"}', "application/json") == '{"session": "x1"}'
    )
