"""What is counted by rule, and noted step by step."""

from proxy.enrich.redact.edits import MARK, Edit, Hits, Step, Steps, edited, forget, marked, note
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\nhunter22\r\n'
FORM = "application/x-www-form-urlencoded"


def test_steps_are_noted_where_they_are_wanted() -> None:
    """Others cost nothing: what would be noted is not asked for."""
    steps = Steps()
    edit = Edit(0, 1, MARK, "a")
    assert edited(b"xy", [edit], steps) == b"[REDACTED]y"
    assert steps == {"a": 1}
    assert steps.made == [Step(b"xy", (edit,), b"[REDACTED]y")]
    mark = marked(steps)
    note(steps, b"a", b"b", iter([Edit(0, 1, b"b")]))
    assert len(steps.made) == 2
    forget(steps, mark)
    assert len(steps.made) == 1
    for hits in (None, Hits()):
        note(hits, b"a", b"b", (never() for _ in range(1)))
        forget(hits, marked(hits))


def never() -> Edit:
    raise AssertionError


@each_of(
    ("content_type", "text", "expected"),
    [
        (
            "multipart/form-data; boundary=x",
            PART.format("password") + PART.format("a") + "--x--",
            {"name:password": 1},
        ),
        ("multipart/form-data; boundary=x", PART.format("a") * 1002 + "--x--", {"rest-of-many": 1}),
        (FORM, "x;token=abc;y=2&https://x/?token=a", {"name:token": 2}),
        (FORM, "a=1;token=abc;y=2", {"name:token": 1}),
        ("message/http", "GET /a;token=x/b HTTP/1.1\r\n\r\n", {"name:token": 1}),
        ("text/plain", "query { a }", None),
    ],
)
def test_what_is_taken_out_is_counted(
    content_type: str, text: str, expected: dict[str, int] | None
) -> None:
    """Also of parts and of paths, by the name as such; what stood before it is none of it."""
    redactor = Redactor()
    redacted, _ = redactor.redact_body(text.encode(), b"", content_type.encode(), False)
    assert redactor.take_hits() == expected
    assert redactor.redact_body(redacted, b"", content_type.encode(), False)[0] == redacted
    assert redactor.take_hits() is None
