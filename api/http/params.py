"""Read query strings and JSON bodies strictly: shared values, and the native filters.

Numbers are plain ASCII decimals up to 2^63-1; an empty filter value is no filter; lists are
separated by commas or given by repeating the parameter. The five dialects ignore parameters they do
not know. The native API refuses them, because a misspelt filter that is ignored shows, or erases,
more than was meant.
"""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Final, TypeVar

import msgspec
from multidict import MultiMapping

from api.http.cursor import decode_cursor, read_cursor
from api.http.errors import BadParameter, BadSearch, Refused
from api.http.lift import lifted
from api.http.times import format_time
from storage.query import Filter, Kind, Order, RecordQuery
from storage.search.expression import Expression, both
from storage.search.language.errors import BadValue, SearchError
from storage.search.language.parameters import LISTS, PARAMETERS, SEARCH, read_parameter
from storage.search.language.parser import parse_search
from storage.search.language.words import SYNONYMS, word_of

MAX_INT64: Final = (1 << 63) - 1
"""Largest number a store can compare with."""
MAX_LIST_VALUES: Final = 100
"""Limit of alternatives in one filter. More should be several queries."""
NATIVE_LIMIT: Final = 100
MAX_NATIVE_LIMIT: Final = 1000

_TRUE: Final = frozenset(("true", "1", "yes"))
_FALSE: Final = frozenset(("false", "0", "no"))
_AMOUNT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)

Query = MultiMapping[str]
Choice = TypeVar("Choice", bound=str)


def read_int(
    query: Query, name: str, default: int, *, minimum: int = 0, maximum: int = MAX_INT64
) -> int:
    """Read an integer; the default if the parameter is absent.

    Raises:
        BadParameter: not a plain ASCII decimal, below `minimum` or above `maximum`.
    """
    text = query.get(name)
    if text is None:
        return default

    # 19 digits hold 2^63-1; longer text is refused before it is converted.
    is_readable = (
        text.isascii() and text.isdigit() and len(text.lstrip("0")) <= 19 and len(text) <= 64
    )
    number = int(text) if is_readable else -1
    if not minimum <= number <= maximum:
        raise BadParameter(name, text, f"a decimal number from {minimum} to {maximum}")

    return number


def read_page(query: Query, default: int, maximum: int) -> tuple[int, int | None]:
    """Read `limit` and `cursor` of a list that begins with the oldest and has no other parameters.

    Raises:
        BadParameter: as `read_int`, `read_cursor` and `refuse_unknown`.
    """
    refuse_unknown(query, frozenset(("limit", "cursor")))
    limit = read_int(query, "limit", default, minimum=1, maximum=maximum)
    return limit, read_cursor(query.get("cursor"), "asc")


def read_clamped(query: Query, name: str, default: int, maximum: int) -> int:
    """Read an integer, reduced to `maximum` if it is above.

    Raises:
        BadParameter: not a plain ASCII decimal, or above 2^63-1.
    """
    try:
        return min(read_int(query, name, default), maximum)
    except BadParameter as error:
        raise BadParameter(name, query[name], f"a decimal number from 0 to {maximum}") from error


def read_optional_int(query: Query, name: str) -> int | None:
    """Read an integer as `read_int` does; None if the parameter is absent."""
    if name in query:
        return read_int(query, name, 0)
    return None


def read_amount(query: Query, name: str) -> float:
    """Read an amount of money; 0 if the parameter is absent or empty.

    Raises:
        BadParameter: not a decimal with up to nine digits before and after the point.
    """
    text = query.get(name) or "0"
    if not _AMOUNT.fullmatch(text):
        raise BadParameter(name, text, "an amount such as 0.25")
    return float(text)


def read_bool(query: Query, name: str) -> bool:
    """Read `true 1 yes` or `false 0 no` in any case; False when absent or empty.

    Raises:
        BadParameter: any other value.
    """
    text = query.get(name, "")
    if text == "" or text.lower() in _FALSE:
        return False
    if text.lower() in _TRUE:
        return True
    raise BadParameter(name, text, "true or false")


def read_text(query: Query, name: str) -> str | None:
    """Read a single filter value; None if absent or empty."""
    return query.get(name) or None


def read_list(query: Query, name: str) -> tuple[str, ...]:
    """Read the alternatives of a filter, trimmed, without blanks and duplicates; empty without any.

    Raises:
        BadParameter: more than `MAX_LIST_VALUES`.
    """
    values = [part.strip() for text in query.getall(name, ()) for part in text.split(",")]
    if len(values) > MAX_LIST_VALUES:
        raise BadParameter(name, f"{len(values)} values", f"at most {MAX_LIST_VALUES} values")
    return tuple(dict.fromkeys(value for value in values if value))


def read_choice(query: Query, name: str, choices: tuple[Choice, ...], default: Choice) -> Choice:
    """Read one of a closed set; the default when absent or empty.

    Raises:
        BadParameter: any other value.
    """
    text = query.get(name) or default
    for choice in choices:
        if choice == text:
            return choice
    raise BadParameter(name, text, "one of " + ", ".join(choices))


def read_choices(query: Query, name: str, choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """Read the alternatives of a filter over a closed set; empty without any.

    Raises:
        BadParameter: a value that is not in the set, or too many.
    """
    wanted = [SYNONYMS.get(value, value) for value in read_list(query, name)]
    for value in wanted:
        if value not in choices:
            raise BadParameter(name, value, "one of " + ", ".join(choices))
    return tuple(choice for choice in choices if choice in wanted)


def read_filter(query: Query, now_us: int, *others: str, kind: Kind = "exchange") -> Filter:
    """Read the native filters, and refuse every parameter that is neither one nor among `others`.

    `kind` is the kind of records if no filter names one.

    Raises:
        BadParameter: an unknown parameter, or a value that cannot be read.
        BadSearch: a search that cannot be read.
    """
    refuse_unknown(query, FILTER_PARAMETERS.union(others))
    terms = [_read_term(query, name, now_us) for name in PARAMETERS if name in query]
    filter = lifted(both(*terms, read_search(query.get(SEARCH, ""), now_us)), kind)
    refuse_backward(filter.since_us, filter.until_us)
    return filter


def _read_term(query: Query, name: str, now_us: int) -> Expression | None:
    """Read a filter as a term of the search; None if it is empty."""
    if name in LISTS:
        texts = read_list(query, name)
    else:
        texts = (query[name],)
    if not any(texts):
        return None
    try:
        return read_parameter(name, texts, now_us)
    except BadValue as error:
        raise BadParameter(name, error.text, error.limit) from error


def refuse_backward(since_us: int | None, until_us: int | None) -> None:
    """Refuse an empty period.

    Raises:
        BadParameter: it ends before it begins.
    """
    if since_us is not None and until_us is not None and until_us <= since_us:
        raise BadParameter(
            "since", format_time(since_us), f"a time before until, {format_time(until_us)}"
        )


def read_search(text: str, now_us: int) -> Expression | None:
    """Read a search; None if it has no condition.

    Raises:
        BadSearch: it cannot be read.
    """
    try:
        return parse_search(text, now_us)
    except SearchError as error:
        raise BadSearch(error) from error


FILTER_PARAMETERS: Final = frozenset((SEARCH, *PARAMETERS))
"""Parameters of `read_filter`."""
PAGE_PARAMETERS: Final = ("limit", "order", "cursor", "in_flight", "fields")
"""Parameters of the list in addition to its filters."""


def _instead_of(name: str, known: frozenset[str]) -> str:
    """Return a suggestion for an unknown parameter: a word of the search, or the closest parameter."""
    parameters = "one of the parameters " + ", ".join(sorted(known))
    word = word_of(name)
    if word is not None and "query" in known:
        return f"query={name}:… instead, or {parameters}"
    near = get_close_matches(name, known, n=1)
    if near:
        return f"{near[0]}, or {parameters}"
    return parameters


def refuse_unknown(query: Query, known: frozenset[str], lists: Collection[str] = LISTS) -> None:
    """Refuse unknown parameters of the native API, and repeated ones that are not in `lists`.

    Raises:
        BadParameter: names the first of them.
    """
    for name in query:
        if name not in known:
            raise BadParameter(name, query[name], _instead_of(name, known))
        if name not in lists and len(query.getall(name)) > 1:
            raise BadParameter(name, ",".join(query.getall(name)), "a single value")


def read_record_query(query: Query, now_us: int) -> RecordQuery:
    """Read a page request of the native list: filters, order, limit and cursor.

    Raises:
        BadParameter: an unknown parameter, a bad value, or a cursor of the other order.
    """
    filter = read_filter(query, now_us, *PAGE_PARAMETERS)
    limit = read_int(query, "limit", NATIVE_LIMIT, minimum=1, maximum=MAX_NATIVE_LIMIT)
    order, after = read_place(query, "desc")
    return RecordQuery(filter=filter, order=order, limit=limit, after=after)


def read_place(query: Query, usual: Order) -> tuple[Order, int | None]:
    """Read the order, and the row to continue after, from the cursor if there is one.

    Raises:
        BadParameter: a cursor that was not made here, or one of the other order.
    """
    order: Order = read_choice(query, "order", ("desc", "asc"), usual)
    cursor = query.get("cursor")
    if not cursor:
        return order, None

    cursor_order, after = decode_cursor(cursor)
    if query.get("order") and cursor_order != order:
        raise BadParameter("order", order, f"{cursor_order}, as in the cursor")

    return cursor_order, after


T = TypeVar("T")


def read_json_body(decoder: msgspec.json.Decoder[T], raw: bytes, what: str) -> T:
    """Decode a body with the decoder of a struct that forbids unknown members.

    `what` names the body in the message.

    Raises:
        Refused: 400, not JSON, or not an object with these members.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Refused(400, f"{what} cannot be read: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Refused(400, "the body is nested too deep") from error
