"""The beginning of a record id in place of the whole one, or the request id of its client, where it means one record.

Strategy: ids are UUIDs of version 7 (RFC 9562 §5.7): their first twelve digits are the milliseconds of their start.
The beginning of an id is therefore a span of time, which the API finds by its index. Within those digits the span alone
decides, so two records in it make the beginning ambiguous; beyond them the rest is compared.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from proxy.cli.commands.client import Client
from proxy.cli.commands.output import CommandError

MIN_DIGITS: Final = 6
"""Spans of half a year; shorter ones are typing errors."""
_DIGITS: Final = 32
_TIME_DIGITS: Final = 12
_MAX_CANDIDATES: Final = 1000
"""Of one millisecond; the API's largest page."""
_VERSION_DIGIT: Final = 12
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def find_id(client: Client, text: str) -> str:
    """Return the id that begins with `text`, or of the record that has it as request id, else `text` as it is.

    Raises:
        CommandError: it is the beginning of no record's id; or several records are meant.
    """
    digits = text.strip().lower().replace("-", "")
    is_hexadecimal = set(digits) <= set("0123456789abcdef")
    if is_hexadecimal and MIN_DIGITS <= len(digits) < _DIGITS:
        ids = _beginning_so(client, digits)
        return ids[0] if len(ids) == 1 else _by_request_id(client, text) or _fail(text, ids)
    is_whole = is_hexadecimal and len(digits) == _DIGITS and digits[_VERSION_DIGIT] == "7"
    if text.startswith("req_") or (is_whole and client.get(f"/api/records/{text}").status != 404):
        return text
    return _by_request_id(client, text) or text


def _fail(text: str, ids: list[str]) -> NoReturn:
    if not ids:
        raise CommandError(f"no record's id begins with {text!r}, and none has it as request id")
    raise CommandError(f"several ids begin with {text!r}, {ids[-1]} and {ids[0]} among them; give more of it")


def _by_request_id(client: Client, text: str) -> str | None:
    found = client.get_json("/api/records", {"request_id": text, "limit": "2"})["records"]
    if len(found) > 1:
        some = " and ".join(str(record["id"]) for record in reversed(found))
        raise CommandError(f"several records have the request id {text!r}, {some} among them")
    return str(found[0]["id"]) if found else None


def _beginning_so(client: Client, digits: str) -> list[str]:
    """Return the newest ids that begin so; of the beginning of a time, two at most."""
    span = _span(digits[:_TIME_DIGITS])
    if span is None:
        return []
    since, until = span
    limit = 2 if len(digits) <= _TIME_DIGITS else _MAX_CANDIDATES
    parameters = {"since": since, "until": until, "kind": "all", "limit": str(limit)}
    found = client.get_json("/api/records", parameters)["records"]
    ids = [str(record["id"]) for record in found]
    return [each for each in ids if each.replace("-", "").startswith(digits)]


def _span(digits: str) -> tuple[str, str] | None:
    """Return the first moment of the ids that begin with these digits, and the first after them; None: of no ids."""
    missing = 4 * (_TIME_DIGITS - len(digits))
    first = int(digits, 16)
    try:
        since, until = (_EPOCH + timedelta(milliseconds=number << missing) for number in (first, first + 1))
    except OverflowError:
        return None
    return since.isoformat(), until.isoformat()
