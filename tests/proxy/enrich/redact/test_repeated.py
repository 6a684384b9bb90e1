"""Bodies that occur again and again: they cost less, and are redacted as the first time."""

from typing import Final

from proxy.enrich.redact.redactor import Redactor

SECRET: Final = b"ghp_" + b"x7Kq9ZmW2vRtYb4NcL8sHdF3gJp6QaEu0oVi"
SCRIPT: Final = b"function f(a){return a+1}\n" * 400


def bodies(redactor: Redactor, body: bytes, content_type: bytes = b"text/javascript") -> set[bytes]:
    """Redact a body five times; return the different results."""
    return {redactor.redact_body(body, b"", content_type, False)[0] for _ in range(5)}


def test_a_clean_body_stays_as_it_is() -> None:
    """Whichever time it is."""
    redactor = Redactor()
    assert bodies(redactor, SCRIPT) == {SCRIPT}
    assert redactor.take_hits() is None


def test_a_secret_goes_each_time_and_is_counted() -> None:
    """Only bodies without secrets are remembered."""
    redactor = Redactor()
    [redacted] = bodies(redactor, SCRIPT + SECRET)
    assert SECRET not in redacted
    assert redactor.take_hits() == {"github-token": 5}


def test_a_secret_in_a_known_body_goes() -> None:
    """Also where length, ends and middle are those of a body that has none."""
    redactor = Redactor()
    clean = b"%s%s%s" % (SCRIPT, b" " * len(SECRET), SCRIPT * 3)
    assert bodies(redactor, clean) == {clean}
    [redacted] = bodies(redactor, b"%s%s%s" % (SCRIPT, SECRET, SCRIPT * 3))
    assert SECRET not in redacted


def test_a_known_body_of_another_type_is_read_anew() -> None:
    """What is no secret in a script may be one in a table."""
    redactor = Redactor()
    table = b"name,password\n" + b"ada,hunter2-Zq7Xv9Kw\n" * 400
    as_script = bodies(redactor, table)
    [as_table] = bodies(redactor, table, b"text/csv")
    assert b"hunter2" not in as_table
    assert as_script == bodies(Redactor(), table)
