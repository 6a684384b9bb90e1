"""Query strings read strictly."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from api.http import params
from api.http.cursor import encode_cursor
from api.http.errors import BadParameter, BadSearch
from storage.query import RecordQuery
from tests.support.cases import each_of
from tests.support.filters import make_filter

NOW_US = 1_718_201_234_567_000


def query(*pairs: tuple[str, str], **values: str) -> MultiDict[str]:
    """Make a query string's values."""
    return MultiDict([*pairs, *values.items()])


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("007", 7), ("9223372036854775807", 2**63 - 1)]
)
def test_plain_decimals_are_numbers(text: str, number: int) -> None:
    """ASCII digits up to 2^63-1."""
    assert params.read_int(query(n=text), "n", 5) == number


@each_of(
    "text",
    [
        "",
        "+5",
        "-1",
        "1_000",
        "٣",
        "1.0",
        "1e3",
        " 5",
        "5 ",
        "0x10",
        "²",
        "9223372036854775808",
        "9" * 5000,
        "nan",
    ],
)
def test_other_numbers_are_refused_everywhere(text: str) -> None:
    """What is no plain decimal, or too large, is a bad parameter, clamped or not."""
    readers: list[Callable[[], object]] = [
        lambda: params.read_int(query(n=text), "n", 5),
        lambda: params.read_clamped(query(n=text), "n", 5, 100),
        lambda: params.read_optional_int(query(n=text), "n"),
    ]
    for read in readers:
        with pytest.raises(BadParameter, match=r"^n is") as caught:
            read()
        assert len(caught.value.detail) < 300


def test_clamping_is_silent_above_the_maximum() -> None:
    """A limit over the maximum is the maximum; an absent one is the default."""
    assert params.read_clamped(query(n="501"), "n", 50, 500) == 500
    assert params.read_clamped(query(), "n", 50, 500) == 50


@each_of(
    ("text", "value"), [("true", True), ("1", True), ("YES", True), ("0", False), ("no", False)]
)
def test_booleans(text: str, value: bool) -> None:
    """Three words for each, in any case; absent and empty are false."""
    assert params.read_bool(query(b=text), "b") is value
    assert params.read_bool(query(b=""), "b") is False
    assert params.read_bool(query(), "b") is False


@each_of("text", ["on", "2", "y", "ja", " "])
def test_other_booleans_are_refused(text: str) -> None:
    """No guessing."""
    with pytest.raises(BadParameter, match="true or false"):
        params.read_bool(query(b=text), "b")


def test_lists_are_trimmed_and_joined_over_repetitions() -> None:
    """Commas and repetition mean the same; blanks and doubles vanish."""
    assert params.read_list(query(("m", "a, b,,a"), ("m", " c ")), "m") == ("a", "b", "c")
    assert params.read_list(query(m=""), "m") == ()
    with pytest.raises(BadParameter, match="101 values"):
        params.read_list(query(m=",".join(map(str, range(101)))), "m")


@each_of(
    "text",
    ["0xx", "axx", "xx", "40", "4004", "404x", "-404", "4 4", "٤٠٤", "all", "6xx", "9XX", "600", "999"],
)  # fmt: skip
def test_other_statuses_are_refused(text: str) -> None:
    """The bad item is named, not the whole list."""
    with pytest.raises(
        BadParameter, match=f"status is '{text}', expected a status from 100 to 599"
    ):
        params.read_filter(query(status=f"200,{text}"), NOW_US)


@each_of(("text", "meant"), [("GTE", "GET"), ("get,pots", "POST"), ("PUTT", "PUT")])
def test_a_misspelt_method_is_refused(text: str, meant: str) -> None:
    """It would find nothing; methods of a service's own are unlike the usual ones."""
    with pytest.raises(BadParameter, match=f"expected {meant}, or query=method:"):
        params.read_filter(query(method=text), NOW_US)
    assert params.read_filter(query(method="PURGE,propfind,BREW"), NOW_US) == make_filter(
        methods=("PURGE", "PROPFIND", "propfind", "BREW")
    )


@each_of(
    "asked",
    [
        {"since": "1h", "until": "2h"},
        {"since": "2024-06-12T14:00:00Z", "until": "2024-06-12T14:00:00Z"},
        {"since": "1h", "query": "until:2h"},
        {"query": "since:1h until:2h"},
    ],
)
def test_a_period_that_ends_before_it_begins_is_refused(asked: dict[str, str]) -> None:
    """Nothing can be in it, which reads as if there were nothing."""
    with pytest.raises(BadParameter, match=r"since is '20.*Z', expected a time before until, 20"):
        params.read_filter(query(**asked), NOW_US)


def test_nothing_given_is_the_newest_hundred() -> None:
    """Empty values are no filter."""
    assert params.read_record_query(query(), NOW_US) == RecordQuery()
    empty = dict.fromkeys(sorted(params.FILTER_PARAMETERS), "")
    assert params.read_record_query(query(**empty), NOW_US) == RecordQuery()


@each_of(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("order", "up"),
        ("kind", "request"),
        ("since", "tomorrow"),
        ("until", "2024-13-01"),
        ("min_latency_ms", "-1"),
        ("max_latency_ms", "9223372036854775807"),
        ("cursor", "abc"),
        ("stat", "500"),
        ("offset", "5"),
    ],
)
def test_bad_and_unknown_native_parameters_are_named(name: str, value: str) -> None:
    """A misspelt filter must not silently show everything."""
    with pytest.raises(BadParameter) as caught:
        params.read_record_query(query(**{name: value}), NOW_US)
    assert caught.value.members["parameter"] == name
    assert caught.value.members["value"] == value


@pytest.mark.parametrize(
    ("name", "meant"),
    [("user", "query=user:… instead"), ("group_by", "one of"), ("lvel", "level,")],
)
def test_what_may_be_meant_by_an_unknown_parameter_comes_first(name: str, meant: str) -> None:
    """A word of the search, or the closest parameter."""
    with pytest.raises(BadParameter) as caught:
        params.read_record_query(query(**{name: "x"}), NOW_US)
    assert str(caught.value.members["limit"]).startswith(meant)


def test_single_parameters_are_given_once() -> None:
    """Two times for one bound are an error, two levels are a list."""
    with pytest.raises(BadParameter, match="single value"):
        params.read_record_query(query(("since", "1h"), ("since", "2h")), NOW_US)
    read = params.read_record_query(query(("level", "warn"), ("level", "error")), NOW_US)
    assert read.filter == make_filter(levels=("warn", "error"))


def test_a_cursor_brings_its_order() -> None:
    """The order of the first page holds; another one beside the cursor is refused."""
    cursor = encode_cursor("asc", 41)
    read = params.read_record_query(query(cursor=cursor), NOW_US)
    assert (read.order, read.after) == ("asc", 41)
    with pytest.raises(BadParameter, match=r"^order is"):
        params.read_record_query(query(cursor=cursor, order="desc"), NOW_US)


@given(
    st.dictionaries(
        st.sampled_from(sorted(params.FILTER_PARAMETERS.union(params.PAGE_PARAMETERS))),
        st.text(max_size=40),
    )
)
def test_any_text_is_a_query_or_a_bad_parameter(values: dict[str, str]) -> None:
    """Nothing else is raised, and a query's numbers fit a store."""
    try:
        read = params.read_record_query(query(**values), NOW_US)
    except (BadParameter, BadSearch):
        return
    assert 1 <= read.limit <= 1000
    assert (read.after or 0) < 2**63


def test_a_search_decides_the_kind_unless_a_parameter_does() -> None:
    """`kind` is exchange by default; a search that speaks of kinds is about all of them."""
    assert params.read_filter(query(query="-kind:event"), NOW_US).kind == "all"
    assert params.read_filter(query(query="kind:event"), NOW_US).kind == "event"
    assert params.read_filter(query(query="kind:event", kind="exchange"), NOW_US).kind == "exchange"
