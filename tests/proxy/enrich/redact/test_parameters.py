"""Parameters of queries and forms, by name."""

import pytest

from proxy.enrich.redact.names import BUILT_IN, SecretNames, parameter_parts
from proxy.enrich.redact.parameters import redact_parameters
from proxy.enrich.redact.redactor import Redactor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a=1&token=x&b=2", b"a=1&token=[REDACTED]&b=2"),
        (b"a=1;token=x;b=2&c=3", b"a=1;token=[REDACTED]&c=3"),
        (b"db=x&u=admin&p=hunter2", b"db=x&u=admin&p=[REDACTED]"),
        (b"p=hunter2&u=admin", b"p=[REDACTED]&u=admin"),
        (b"u=bob&p=12", b"u=bob&p=12"),
        (b"q=hats&p=hunter2", b"q=hats&p=hunter2"),
        (b"nothing", b"nothing"),
    ],
)
def test_by_name(text: bytes, expected: bytes) -> None:
    """A password is one by its name, or beside the user it belongs to."""
    names = SecretNames(BUILT_IN, parts_of=parameter_parts)
    assert redact_parameters(text, names) == expected
    assert Redactor().redact_query_names(text) == expected
    assert Redactor().redact_query(text) == expected


def test_pass_is_a_password_but_in_json() -> None:
    """There it counts what did not fail."""
    redactor = Redactor()
    assert redactor.redact_query(b"user=a&pass=b") == b"user=a&pass=[REDACTED]"
    form = b"application/x-www-form-urlencoded"
    assert redactor.redact_body(b"user=a&pass=b", b"", form, is_truncated=False)[0] == b"user=a&pass=[REDACTED]"
    assert redactor.redact_body(b'{"pass": 3}', b"", b"application/json", is_truncated=False)[0] == b'{"pass": 3}'


@pytest.mark.parametrize("has_user", [False, True])
def test_many_short_names_are_linear(has_user: bool) -> None:
    """A target of 8 KiB took 0.15 s, a form of 256 KiB minutes: each `p` looked through all parts for its user."""
    text = b"a=1&" + b"p=hunter2&" * 100_000 + b"u=a" * has_user
    redacted = redact_parameters(text, SecretNames(BUILT_IN, parts_of=parameter_parts))
    assert redacted.count(b"hunter2") == (0 if has_user else 100_000)
