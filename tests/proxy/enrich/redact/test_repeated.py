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


def test_windows_of_a_large_body_are_cut_as_the_first_time() -> None:
    """Also where half a secret may stand at the edge, and where one window is that of another
    body.
    """
    tails = [
        b"x = 1\n" * 900,
        b"x = 1\n" * 899 + b"y = 1\n",
        SECRET[20:] + b"\n" + b"x = 1\n" * 900,
    ]
    for head in (SCRIPT, SCRIPT + SECRET[:20]):
        for tail in tails:
            wanted = Redactor().redact_body(head, tail, b"text/javascript", True)
            redactor = Redactor()
            found = [
                redactor.redact_body(head, other, b"text/javascript", True)
                for other in (*tails, tail, tail)
            ]
            assert found[-2:] == [wanted, wanted]
            whole = redactor.redact_body(head, tail, b"text/javascript", False)
            assert whole == Redactor().redact_body(head + tail, b"", b"text/javascript", False)


def test_a_clean_head_says_nothing_of_its_tail() -> None:
    """Two windows may be a whole body, of which only the first was looked at."""
    body = b'{"name": "Ada", "password": "hunter2-Zq7Xv9Kw"}'
    redacted, _ = Redactor().redact_body(
        body[:15], body[15:], b"application/json", False, is_clean=True
    )
    assert redacted == b'{"name": "Ada", "password": "[REDACTED]"}'
