"""Tokens, scopes and what lies in them."""

import hashlib
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.principal import ADMIN, Credential, Credentials, Principal, intersect, narrow
from api.http.errors import Refused
from storage.query import EVERYTHING, Filter, Scope, is_visible, matches
from tests.api.samples import make_record
from tests.support.filters import make_filter

READER = Principal("grafana", "reader", Scope(projects=("proj_a",)))
OTHERS = [Credential(hashlib.sha256(b"reader-token").digest(), READER)]


def test_a_token_stands_for_its_principal() -> None:
    """The data directory's token is the admin's, configured ones stand for what was configured,
    others for nobody.
    """
    credentials = Credentials(lambda: "t\udcff", OTHERS)
    found = credentials.find("t\udcff")
    assert found is not None
    assert found.principal == ADMIN
    found = credentials.find("reader-token")
    assert found is not None
    assert found.principal == READER
    for presented in ("", "reader-toke", "reader-tokenx", "t\udcfe"):
        assert credentials.find(presented) is None


def test_a_rotated_token_counts_at_once() -> None:
    """The admin token is asked for each time."""
    tokens = ["old"]
    credentials = Credentials(lambda: tokens[0])
    assert credentials.find("old") is not None
    tokens[0] = "new"
    assert credentials.find("old") is None
    assert credentials.find("new") is not None


def test_without_an_admin_token_anybody_is_admin() -> None:
    """Authentication is off."""
    credentials = Credentials()
    assert credentials.are_off
    found = credentials.find("whatever")
    assert found is not None
    assert found.principal == ADMIN


Value = TypeVar("Value")


def refusal_or(call: Callable[[], Value]) -> Value | None:
    """Call; None when it was refused, which must be with 403."""
    try:
        return call()
    except Refused as refused:
        if refused.status == 403:
            return None
        return pytest.fail(str(refused))


NAMES = st.sampled_from(["a", "b", "c"])
SCOPES = st.builds(
    Scope,
    projects=st.lists(NAMES, max_size=2, unique=True).map(tuple),
    containers=st.lists(NAMES, max_size=2, unique=True).map(tuple),
    clients=st.lists(NAMES, max_size=2, unique=True).map(tuple),
)
MAYBE = st.none() | NAMES


@given(one=SCOPES, other=SCOPES, project=MAYBE, container=MAYBE, client=MAYBE)
def test_an_intersection_shows_what_both_show(
    one: Scope, other: Scope, project: str | None, container: str | None, client: str | None
) -> None:
    """A record is in the intersection exactly when it is in both; without common ground there is a
    refusal.
    """
    record = make_record(1, project=project, container=container, client=client)
    in_both = is_visible(record, one) and is_visible(record, other)
    both = refusal_or(lambda: intersect(one, other))
    assert (both is not None and is_visible(record, both)) is in_both


@given(scope=SCOPES, wanted=st.lists(NAMES, max_size=2).map(tuple), project=MAYBE, container=MAYBE)
def test_a_narrowed_filter_never_shows_more(
    scope: Scope, wanted: tuple[str, ...], project: str | None, container: str | None
) -> None:
    """It matches what the filter matches within the scope, or is refused for naming what is
    outside.
    """
    filter = make_filter(projects=wanted)
    record = make_record(1, project=project, container=container, client=None)

    narrowed = refusal_or(lambda: narrow(filter, scope))
    if narrowed is None:
        assert scope.projects
        assert not set(wanted) <= set(scope.projects)
    else:
        assert matches(narrowed, record) is (matches(filter, record) and is_visible(record, scope))


@pytest.mark.parametrize(
    ("scope", "foreign", "mixed", "own"),
    [
        (
            Scope(projects=("mine",)),
            make_filter(projects=("x",)),
            make_filter(projects=("mine", "x")),
            make_filter(projects=("mine",)),
        ),
        (
            Scope(containers=("mine",)),
            make_filter(containers=("x",)),
            make_filter(containers=("mine", "x")),
            make_filter(containers=("mine",)),
        ),
        (
            Scope(clients=("mine",)),
            make_filter(clients=("x",)),
            make_filter(clients=("mine", "x")),
            make_filter(clients=("mine",)),
        ),
    ],
)
def test_naming_what_is_out_of_scope_is_refused(
    scope: Scope, foreign: Filter, mixed: Filter, own: Filter
) -> None:
    """Whether it exists or not, alone or beside what is in scope."""
    for filter in (foreign, mixed):
        with pytest.raises(Refused, match="not permitted"):
            narrow(filter, scope)
    assert narrow(own, scope).scope == scope
    assert narrow(Filter(), EVERYTHING) == Filter()
