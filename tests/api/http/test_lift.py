"""What a search says is put into the fields that indexes know, and never loosens what was said
before.
"""

from hypothesis import given
from hypothesis import strategies as st

from api.http.lift import lifted
from storage.query import Filter, matches
from storage.record import LEVELS
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    Is,
    Not,
    Or,
    Substring,
    Text,
)
from storage.search.language.parser import parse_search
from storage.search.meaning import fulfils
from storage.search.phrase import Phrase
from storage.search.subject import Subject
from tests.storage.samples import START_US, make_record
from tests.support.cases import each_of
from tests.support.filters import make_filter

PARTS = (
    "status:404", "status:5xx,404", "status:>=400", "method:GET", "method:GET,POST", "-method:GET", "path:/Items",
    "path:caf\u00e9", "path:/items/*", "project:p", "project:q,p", "level:>=warn", "kind:event", "-kind:event",
    "level:>error", "(kind:event or status:404)", "duration:>300us", "duration:<=600us", "since:2026-09-21T14:13:20Z",
    "provider:*", "until:2026-09-21T14:13:20.002Z", "trace:abc", "model:gpt", "(project:p or project:q)", "kind:all",
)  # fmt: skip
RECORDS = [
    make_record(seq=seq, method=method, status=status, path=path, project=project, level=level, kind=kind,
                started_at_us=START_US + 1000 * (seq % 4), duration_us=100 * (seq % 9), model=("gpt", None)[seq % 2],
                provider=("openai", None)[seq % 3 > 0], trace_id=("abc", None)[seq % 2])
    for seq, (method, status, path, project, level, kind) in enumerate(
        [
            (method, status, path, project, LEVELS[status % 4], kind)
            for method in ("GET", "POST") for status in (200, 404, 503)
            for path in ("/items/1", "/caf%C3%A9") for project in ("p", "q", None) for kind in ("exchange", "event")
        ],
        start=1,
    )
]  # fmt: skip


@each_of(
    ("text", "expected"),
    [
        ("status:404,5xx", make_filter(statuses=(404,), status_classes=(5,))),
        ("method:get project:p,q", make_filter(methods=("GET",), projects=("p", "q"))),
        ("path:/a since:2026-09-21T14:13:20Z", make_filter(path_contains="/a", since_us=START_US)),
        ("duration:1ms..2ms", make_filter(min_duration_us=1000, max_duration_us=2000)),
        ("reset", Filter(kind="all", where=Text(Phrase(("reset",))))),
        ("*es*", Filter(kind="all", where=Substring("es"))),
        (
            "reset method:GET",
            Filter(kind="all", where=And((Text(Phrase(("reset",))), Is("method", ("GET",))))),
        ),
        ("-reset", Filter(where=Not(Text(Phrase(("reset",)))))),
        ("reset kind:exchange", Filter(where=Text(Phrase(("reset",))))),
        ("kind:event", Filter(kind="event")),
        ("kind:all", Filter(kind="all")),
        (
            "since:2026-09-21T14:13:20Z since:2026-09-21T14:13:21Z",
            Filter(since_us=START_US + 1_000_000),
        ),
        ("level:>=warn tool:t", make_filter(levels=("warn", "error"), tools=("t",))),
        ("provider:*", make_filter(is_llm=True)),
        (
            "conversation:01a205e0-eb3a-73df-9d6f-5dc1fad00004",
            make_filter(
                kind="all", conversations=(bytes.fromhex("01a205e0eb3a73df9d6f5dc1fad00004"),)
            ),
        ),
        (
            "model:gpt finish_reason:stop",
            make_filter(kind="all", models=("gpt",), finish_reasons=("stop",)),
        ),
        ("model:gpt", make_filter(models=("gpt",))),
        ("redacted:name:Password", make_filter(kind="all", redacted=("name:password",))),
        ("-redacted:*", Filter(where=Not(Has("redacted")))),
        ("cost:>0", Filter(kind="all", where=Between("cost_usd", 5e-324, None))),
        ("cost:* kind:exchange", Filter(where=Has("cost_usd"))),
        ("-cost:*", Filter(where=Not(Has("cost_usd")))),
        ("cost:* or status:404", Filter(where=Or((Has("cost_usd"), Between("status", 404, 404))))),
    ],
)
def test_what_is_lifted(text: str, expected: Filter) -> None:
    """Conditions that filters have fields for leave nothing to be searched."""
    assert lifted(parse_search(text, START_US)) == expected


def test_two_terms_of_a_field_must_both_hold() -> None:
    """The second kind stays a condition, which no record fulfils."""
    search = parse_search("kind:exchange method:GET method:POST kind:event", START_US)
    wanted = parse_search("method:GET method:POST kind:event", START_US)
    assert lifted(search) == Filter(where=wanted)


def test_what_nothing_is_stays_a_condition() -> None:
    """No level is above an error."""
    assert lifted(parse_search("level:>error", START_US)).where == Is("level", ())


def test_alternatives_stay_together() -> None:
    """What is one of two alternatives is no condition by itself."""
    found = lifted(parse_search("project:p or status:404", START_US))
    assert isinstance(found.where, Or)


def _joined(parts: list[str]) -> str:
    return " ".join(parts)


@given(text=st.lists(st.sampled_from(PARTS), max_size=4).map(_joined))
def test_nothing_is_loosened(text: str) -> None:
    """The filter matches what fulfils the search, and nothing else."""
    search: Expression | None = parse_search(text, START_US)
    found = lifted(search, "all")
    for record in RECORDS:
        expected = search is None or fulfils(Subject(record), search)
        assert matches(found, record) == expected, record
