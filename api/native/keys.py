"""API keys of the proxied service: list, create, change, delete. For the admin only.

The secret is in the response to its creation and nowhere else. What is left out of a PATCH stays as
it is, and null is a value: no expiry, all scopes. Unknown members are refused, because a
restriction that is misspelt and ignored opens more than was meant.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from api.http.errors import BadParameter, Refused
from api.http.params import read_json_body
from api.http.responses import ApiObject, filled, json_response
from api.http.times import format_time, format_time_or_none, read_time_us
from api.services import Services, services_of
from storage.keys import MAX_KEYS, ApiKey, KeyChanges, new_secret, secret_digest
from storage.record import format_id, new_id

MAX_NAME_CHARACTERS: Final = 128
MAX_LIST_VALUES: Final = 100
MAX_TEXT_CHARACTERS: Final = 256
"""Of a project or user, as much as the configuration allows a route."""

_ALL: Final = "all"
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""Text is trimmed before it counts, so it needs one character that is no space."""
_DATES: Final[dict[str, Any]] = {"anyOf": [{"format": "date-time"}, {"format": "date"}]}


def described(**schema: Any) -> Meta:
    """Return a constraint for the API's description only: it is checked by hand, with messages of
    our own.
    """
    return Meta(extra_json_schema=schema)


Name = Annotated[str, described(minLength=1, maxLength=MAX_NAME_CHARACTERS, pattern=PRINTABLE)]
Names = Annotated[list[Name], described(maxItems=MAX_LIST_VALUES)]
Text = Annotated[str, described(minLength=1, maxLength=MAX_TEXT_CHARACTERS, pattern=PRINTABLE)]
Time = Annotated[str, described(**_DATES)]


class KeyChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a key may be changed to; null is a value: all scopes, all agents, no expiry."""

    name: Name | UnsetType = UNSET
    scopes: Names | UnsetType | None = UNSET
    agents: Names | Annotated[str, described(enum=["all"])] | UnsetType | None = UNSET
    expires_at: Time | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    project: Text | UnsetType | None = UNSET
    user_id: Text | UnsetType | None = UNSET


class KeyCreation(KeyChange, kw_only=True):
    """A new key; only its name is needed."""

    name: Name


class ApiKeyShown(ApiObject):
    """An API key of the proxied service."""

    id: str
    name: str
    last4: str
    scopes: Sequence[str] | None
    agents: Sequence[str] | str
    expires_at: str | None
    disabled: bool
    project: str | None
    user_id: str | None
    created_at: str
    last_used_at: str | None
    secret: str | UnsetType = UNSET


class ApiKeyList(ApiObject):
    keys: list[ApiKeyShown]


_decoder: Final = msgspec.json.Decoder(KeyChange)


async def list_keys(request: web.Request) -> web.Response:
    """List the keys that are not deleted, oldest first."""
    keys = await services_of(request).storage.keys()
    return json_response(ApiKeyList([show_key(key) for key in keys if key.deleted_at_us is None]))


async def create_key(request: web.Request) -> web.Response:
    """Create a key; its secret is only returned here."""
    services = services_of(request)
    changes = read_changes(await request.read())
    if changes.name is UNSET:
        raise BadParameter("name", "", f"a text of 1 to {MAX_NAME_CHARACTERS} characters")

    living = sum(key.deleted_at_us is None for key in await services.storage.keys())
    if living >= MAX_KEYS:
        raise Refused(409, f"there are {living} keys, the limit is {MAX_KEYS}")

    secret = new_secret()
    key = _new_key(services, changes, secret)
    await services.storage.create_key(key)
    await services.on_key_changed("created", key)
    return json_response(show_key(key, secret), status=201, headers={"Location": f"keys/{key.id}"})


async def change_key(request: web.Request) -> web.Response:
    """Change the given members of a key."""
    services = services_of(request)
    key_id = request.match_info["id"]
    update = await services.storage.update_key(key_id, read_changes(await request.read()))
    if update is None:
        raise _unknown(key_id)

    if update.after != update.before:
        await services.on_key_changed("updated", update.after)
    return json_response(show_key(update.after))


async def delete_key(request: web.Request) -> web.Response:
    """Delete a key for good; records keep its name."""
    services = services_of(request)
    key_id = request.match_info["id"]
    update = await services.storage.delete_key(key_id, services.now_us())
    if update is None:
        raise _unknown(key_id)

    await services.on_key_changed("deleted", update.after)
    return web.Response(status=204)


def show_key(key: ApiKey, secret: str | UnsetType = UNSET) -> ApiKeyShown:
    """Return an API key in the form of the API, without its hash; `secret` is set only when the key
    was just created.
    """
    return filled(
        ApiKeyShown,
        key,
        agents=_ALL if key.agents is None else key.agents,
        expires_at=format_time_or_none(key.expires_at_us),
        created_at=format_time(key.created_at_us),
        last_used_at=format_time_or_none(key.last_used_at_us),
        secret=secret,
    )


def read_changes(raw: bytes) -> KeyChanges:
    """Read the JSON body of a request.

    Raises:
        BadParameter: a member has a value it cannot have.
        Refused: 400, it is no object of these members.
    """
    body = read_json_body(_decoder, raw, "the key")
    given: dict[str, Any] = {}
    for name, (column, read) in _MEMBERS.items():
        if (value := getattr(body, name)) is not UNSET:
            given[column] = None if value is None else read(name, value)
    return KeyChanges(**given)


def _new_key(services: Services, changes: KeyChanges, secret: str) -> ApiKey:
    now_us = services.now_us()
    given = {
        name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET
    }
    return ApiKey(
        id=format_id(new_id(now_us * 1000, secrets.randbits(42), secrets.randbits(20))),
        last4=secret[-4:],
        secret_sha256=secret_digest(secret.encode()),
        created_at_us=now_us,
        **given,
    )


def _agents(name: str, value: list[str] | str) -> tuple[str, ...] | None:
    if value == _ALL:
        return None
    if isinstance(value, str):
        raise BadParameter(name, value, 'a list of agents, or "all"')
    return _texts(name, value)


def _texts(name: str, values: list[str]) -> tuple[str, ...]:
    if len(values) > MAX_LIST_VALUES:
        raise BadParameter(name, f"{len(values)} values", f"at most {MAX_LIST_VALUES} values")
    return tuple(dict.fromkeys(_text(name, value, MAX_NAME_CHARACTERS) for value in values))


def _text(name: str, value: str, maximum: int = MAX_TEXT_CHARACTERS) -> str:
    value = value.strip()
    if not value or len(value) > maximum or CONTROL.search(value):
        raise BadParameter(
            name, value, f"a text of 1 to {maximum} characters without control characters"
        )
    return value


_MEMBERS: Final[dict[str, tuple[str, Callable[[str, Any], object]]]] = {
    "name": ("name", partial(_text, maximum=MAX_NAME_CHARACTERS)),
    "scopes": ("scopes", _texts),
    "agents": ("agents", _agents),
    "expires_at": ("expires_at_us", read_time_us),
    "disabled": ("disabled", lambda name, value: value),
    "project": ("project", _text),
    "user_id": ("user_id", _text),
}
"""Members of a change → what of the key they change, and how they are read."""


def _unknown(key_id: str) -> Refused:
    return Refused(404, f"there is no key {key_id[:100]!r}")
