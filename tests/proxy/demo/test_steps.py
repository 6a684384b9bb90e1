"""What the demo's service makes of a request, and what a visit draws."""

import random

from proxy.demo.steps import Answers, Step, draw_for
from proxy.demo.visits import ANSWERS, VISITS
from tests.support.cases import each_of

KNOWN = Step(request="GET /users/<1-25>", answer="user <1-25>")
ANY = Step(request="POST /hook", status="204")
ONE_OF = Step(request="POST /say", body='"<yes|no>, <yes|no>"', answer="<yes|no>")


@each_of(
    ("request_line", "body", "answer"),
    [
        ("GET /users/7", "", "user 7"),
        ("GET /users/26", "", None),
        ("GET /users/7/x", "", None),
        ("POST /say", '"no, no"', "no"),
        ("POST /say", '"no, yes"', None),
        ("POST /hook", "whatever", ""),
    ],
)
def test_a_request_is_known_by_its_form(request_line: str, body: str, answer: str | None) -> None:
    """What it says in the place of a placeholder is in the answer, the same each time and within
    the range.
    """
    found = Answers([KNOWN, ANY, ONE_OF]).find(request_line, body)
    assert (None if found is None else found.answer) == answer


def test_each_word_is_a_frame() -> None:
    """Where a frame names it; others come once."""
    step = Step(request="GET /", frames=("begin", "say <word>", "end"), words="a b")
    assert list(step.spoken_frames) == ["begin", "say a", "say b", "end"]


def test_the_service_knows_every_request_of_a_visit() -> None:
    """Whatever is drawn, and it answers with a status that the protocol has."""
    for seed in range(20):
        for visit in VISITS:
            drawn = draw_for(visit.steps, random.Random(seed))
            for step in (each.filled(drawn) for each in visit.steps):
                assert "<" not in step.request + step.body, step
                found = ANSWERS.find(step.request, step.body)
                assert found is not None, step.request
                assert "<" not in found.answer + "".join(found.frames).replace("<word>", "")


def test_the_alert_of_the_demo_is_taken() -> None:
    """Whatever its message says."""
    found = ANSWERS.find("POST /hook", '{"type": "alert.firing"}')
    assert found is not None
    assert found.status == "204"
