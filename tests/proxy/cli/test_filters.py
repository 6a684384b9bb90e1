"""Flags that filter: five in help, and each field of the search; they become parameters and a
search.
"""

import click
import pytest

from proxy.cli.command import SHOWN_FILTERS
from proxy.cli.filters import filters_of, flags, with_filters
from storage.search.language.parameters import LISTS, PARAMETERS
from storage.search.language.parser import parse_search
from storage.search.language.words import WORDS
from tests.proxy.cli.conftest import Run
from tests.support.cases import each_of
from tests.support.commands import command_of

OWN = ("--limit", "--kind", "--filter")


def test_five_filters_are_shown(run: Run) -> None:
    """Help has these, and names the others; repeatable flags are the lists of the API."""
    assert [name for name, metavar, _ in SHOWN_FILTERS if ("…" in metavar) != (name in LISTS)] == []
    assert {name for name, _, _ in SHOWN_FILTERS} <= set(PARAMETERS)
    shown = run("query --help").out.partition("Filters (")[2]
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("  --")] == [
        "--since", "--until", "--status", "--path", "--model", "--FIELD",
    ]  # fmt: skip
    assert "docs/search.md" in shown


@each_of(
    ("arguments", "expected"),
    [
        (["--level", "warn"], ["--filter", "level", "warn"]),
        (["--client-ip=10.0.0.0/8"], ["--filter", "client_ip", "10.0.0.0/8"]),
        (["--duration", ">1s", "x"], ["--filter", "duration", ">1s", "x"]),
        (["--header.X-Tenant", "a"], ["--filter", "header.X-Tenant", "a"]),
        (["--request-header.x-a", "a"], ["--filter", "request_header.x-a", "a"]),
        (["--body.user.id", "42"], ["--filter", "body.user.id", "42"]),
        (["--query", "a or b"], ["--filter", "query", "a or b"]),
        (["--kind", "event", "--limit", "5"], ["--kind", "event", "--limit", "5"]),
        (["--", "--level", "warn"], ["--", "--level", "warn"]),
        (["--nonsense", "x", "-level", "level"], ["--nonsense", "x", "-level", "level"]),
    ],
)
def test_a_field_is_a_flag(arguments: list[str], expected: list[str]) -> None:
    """Unless the command has an option of that name, or options have ended."""
    assert with_filters(arguments, OWN) == expected


def test_every_parameter_and_every_word_is_one() -> None:
    for flag in flags():
        assert len(with_filters([flag, "x"], ())) == 3, flag
    assert len(flags()) == len({*PARAMETERS, *WORDS})


def test_a_field_needs_a_value() -> None:
    with pytest.raises(click.UsageError, match="Option '--level' requires an argument"):
        with_filters(["--level"], OWN)


@each_of(
    ("terms", "expected"),
    [
        ([("level", "warn"), ("level", "error")], {"level": ["warn", "error"]}),
        ([("min_latency_ms", "5"), ("min_latency_ms", "7")], {"min_latency_ms": "7"}),
        ([("level", ""), ("q", "")], {}),
        ([("duration", ">1s")], {"query": 'duration:">1s"'}),
        ([("ua", 'a"*')], {"query": r'ua:"a\"*"'}),
        ([("body.price", ">9"), ("query", "a or b")], {"query": "(body.price:>9) (a or b)"}),
    ],
)
def test_fields_are_parameters_or_terms(
    terms: list[tuple[str, str]], expected: dict[str, object]
) -> None:
    """A field without a parameter becomes a term of the search."""
    assert filters_of((), {"path": None, "status": ()}, terms) == expected


def test_a_search_and_flags_must_both_hold() -> None:
    filters = filters_of(("a", "or", "b"), {"status": ("404", "5xx")}, [("user", "ann")])
    assert filters == {"status": ["404", "5xx"], "query": '(a or b) (user:"ann")'}
    assert parse_search(str(filters["query"]), 0) is not None


def test_a_command_gets_them() -> None:
    """The hidden option collects fields, and shown ones come by themselves."""
    arguments = ["--level", "warn", "--path", "/a", "--stage=x"]
    values = command_of("query").make_context("query", arguments).params
    assert values | {"terms": (("level", "warn"), ("stage", "x")), "path": "/a"} == values
