"""The JSON body of a request, read into a struct that says which members there are."""

from typing import TypeVar

import msgspec

from api.http.errors import Refused

T = TypeVar("T")


def read_json_body(decoder: msgspec.json.Decoder[T], raw: bytes, what: str) -> T:
    """Decode a body.

    Args:
        decoder: Of a struct that forbids unknown members.
        raw: The body.
        what: It is, for the message.

    Raises:
        Refused: 400, it is no JSON, or no object of these members.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Refused(400, f"{what} cannot be read: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from error
