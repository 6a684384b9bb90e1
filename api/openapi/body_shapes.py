"""The shapes of request bodies, declared for the API's own description. Handlers read them more strictly by hand.

As in `schemas.py`, tests hold both together. Text is trimmed before it counts, so it needs one character that is no
space; control characters are refused.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.native.keys import MAX_LIST_VALUES, MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
_DATES: Final[dict[str, Any]] = {"anyOf": [{"format": "date-time"}, {"format": "date"}]}

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=_PRINTABLE)]
Names = Annotated[list[Name], Meta(max_length=MAX_LIST_VALUES)]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=_PRINTABLE)]
Time = Annotated[str, Meta(extra_json_schema=_DATES)]


class KeyChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a key may be changed to; null is a value: all scopes, all agents, no expiry."""

    name: Name | UnsetType = UNSET
    scopes: Names | UnsetType | None = UNSET
    agents: Names | Literal["all"] | UnsetType | None = UNSET
    expires_at: Time | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    project: Text | UnsetType | None = UNSET
    user_id: Text | UnsetType | None = UNSET


class KeyCreation(KeyChange, kw_only=True):
    """A new key; only its name is needed."""

    name: Name


class Login(Struct):
    """The token, to be exchanged for a session."""

    token: Annotated[str, Meta(pattern=r"\S")]
