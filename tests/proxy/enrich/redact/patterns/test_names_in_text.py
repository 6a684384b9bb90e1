"""Names of what people type in, given a value in a text; and in other languages."""

import json

import pytest

from proxy.enrich.redact.redactor import Redactor

REDACTOR = Redactor()


def redacted(text: str, kind: bytes = b"text/plain") -> str:
    return REDACTOR.redact_body(text.encode(), b"", kind, False)[0].decode()


@pytest.mark.parametrize(
    "text",
    [
        "the cvv=123 of it",
        "card pin: 4711",
        "userPin = 471100",
        "otp: 123456 is valid",
        "LDAP_BIND_PASSWORD: PmKdklMVZNwysxyM",
        "mnemonic: accuse about address absurd achieve adult across actor actual adapt addict "
        "admit",
        "login passwort: geh31m!x",
        "wachtwoord = geh31m!x",
        "mot_de_passe: s3cr3t-x",
        "clave_secreta=s3cr3t-x",
        "пароль: s3cr3t-x",
        "Пароль = s3cr3t-x",
        "パスワード: s3cr3t-x",
        "密码:s3cr3t-x",
    ],
)
def test_values_go(text: str) -> None:
    """Wherever in a text, also within JSON."""
    assert "[REDACTED]" in redacted(f"a line\n{text}\nlast")
    assert "[REDACTED]" in redacted(
        json.dumps({"content": f"a line\n{text}\nlast"}), b"application/json"
    )
    assert "[REDACTED]" in redacted(
        json.dumps({"content": text}, ensure_ascii=False), b"application/json"
    )


@pytest.mark.parametrize(
    "text",
    [
        "int pin = 13;",
        "spin: 4711",
        "mapping: 4711",
        "pin: led",
        "the otp is sent",
        '$m: ("pin": "\\f4ed");',
        "PIN=",
        "cvv: none",
    ],
)
def test_others_stay(text: str) -> None:
    """Connectors, words that end so, and what is no number."""
    assert redacted(f"a line\n{text}\nlast") == f"a line\n{text}\nlast"


@pytest.mark.parametrize(
    "name", ["пароль", "Пароль", "パスワード", "hasło", "contraseña", "비밀번호", "user_密码"]
)
def test_names_of_members_are_known_in_any_script(name: str) -> None:
    """As they are, and with escapes, also of JSON within JSON."""
    for is_escaped in (True, False):
        document = json.dumps({name: "s3cr3t"}, ensure_ascii=is_escaped)
        assert json.loads(redacted(document, b"application/json")) == {name: "[REDACTED]"}
        outer = json.dumps({"a": document}, ensure_ascii=is_escaped)
        assert "s3cr3t" not in redacted(outer, b"application/json")
