"""Resolves the beginning of a record id, or a client's request id, that means one record.

The beginning of an id is a span of time (`api.http.id_beginnings`).
"""

from typing import Final

from api.http.id_beginnings import ID_DIGITS, MIN_DIGITS, digits_of, ids_beginning, listing_of
from proxy.cli.commands.client import Client
from proxy.cli.commands.output import CommandError

_VERSION_DIGIT: Final = 12


def find_id(client: Client, text: str) -> str:
    """Return the id that begins with `text`, or the id of the record with this request id, or else
    `text` itself.

    Raises:
        CommandError: it is the beginning of an id without a record, or several records match.
    """
    digits = digits_of(text)
    count = ID_DIGITS if digits is None else len(digits)
    is_whole = digits is not None and count == ID_DIGITS and digits[_VERSION_DIGIT] == "7"
    if text.startswith("req_") or (is_whole and client.get(f"/api/records/{text}").status != 404):
        return text

    ids: list[str] = []
    listing = listing_of(text)
    if listing is not None:
        ids = ids_beginning(text, client.get_json("/api/records", listing)["records"])
    found = ids[0] if len(ids) == 1 else _by_request_id(client, text)
    if found is not None or count >= ID_DIGITS:
        return found or text

    if count < MIN_DIGITS:
        why = f"{text!r} is too short: at least {MIN_DIGITS} digits of an id are needed"
    elif ids:
        some = f"{ids[-1]} and {ids[0]} among them"
        why = f"several ids begin with {text!r}, {some}; give more of it"
    else:
        why = f"no record's id begins with {text!r}, and none has it as request id"
    raise CommandError(why)


def _by_request_id(client: Client, text: str) -> str | None:
    found = client.get_json("/api/records", {"request_id": text, "limit": "2"})["records"]
    if len(found) > 1:
        some = " and ".join(str(record["id"]) for record in reversed(found))
        raise CommandError(f"several records have the request id {text!r}, {some} among them")
    if found:
        return str(found[0]["id"])
    return None
