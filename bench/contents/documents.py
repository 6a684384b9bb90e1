"""JSON as services speak it: an API's objects with ids, dates and mails, identifiers, numbers,
tokens, schemas.
"""

import base64
import json
import re
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any, Final

import msgspec

from bench.contents import files
from bench.contents.words import Language, name, prose

PLACE: Final = "#" * 32
"""Stands in each JSON of an API where a load may put digits of its own, so that no two requests are
equal.
"""
_CURRENCIES: Final = ("EUR", "USD", "CHF", "GBP")
_STATES: Final = ("new", "paid", "packed", "shipped", "returned")
_MAILS: Final = ("example.com", "example.org", "mail.example.net")
_EMBEDDING: Final = 1536
"""Dimensions of the usual model of embeddings."""
_LARGEST_SCHEMA: Final = 4000
"""Bytes."""
_CUT_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-f]{0,3})?\Z")


def encoded(document: object) -> str:
    """Return JSON without spaces."""
    return msgspec.json.encode(document).decode()


def uuid(draw: Random) -> str:
    """Return a UUID of version 4 (RFC 9562 §5.4)."""
    digits = f"{draw.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def moment(draw: Random) -> str:
    """Return a time of a year's, as APIs write it (RFC 3339)."""
    chance = int(draw.random() * 336 * 86_400_000)
    day, millisecond = divmod(chance, 86_400_000)
    second, fraction = divmod(millisecond, 1000)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{fraction:03}Z"
    return f"2026-{1 + day // 28:02}-{1 + day % 28:02}T{clock}"


def order(draw: Random, language: Language) -> dict[str, Any]:
    """Return an object of a shop's API: 600 bytes with ids, dates, a mail, money and a text."""
    first = name(draw)
    last = name(draw)
    customer = {
        "id": uuid(draw),
        "name": f"{first} {last}",
        "email": f"{first}.{last}@{draw.choice(_MAILS)}".lower(),
        "since": moment(draw)[:10],
    }
    items = [
        {
            "sku": f"{name(draw)[:3].upper()}-{draw.randrange(10**6):06}",
            "quantity": draw.randint(1, 9),
            "price": price,
        }
        for price in (round(draw.uniform(1, 500), 2), round(draw.uniform(1, 500), 2))
    ]
    return {
        "id": uuid(draw),
        "number": draw.randrange(10**8),
        "status": draw.choice(_STATES),
        "created_at": moment(draw),
        "updated_at": moment(draw),
        "customer": customer,
        "currency": draw.choice(_CURRENCIES),
        "total": round(draw.uniform(1, 5000), 2),
        "items": items,
        "is_paid": draw.random() < 0.5,
        "discount": None,
        "note": prose(draw, 60, language),
    }


def filled(
    head: str, size: int, make: Callable[[], str], tail: Callable[[int], str], shortest_tail: int
) -> bytes:
    """Return items of JSON between a head and a tail that takes what is left: exactly `size` bytes
    in all.

    Args:
        head: What stands before the first item.
        size: Bytes of the whole.
        make: Makes an item, a text.
        tail: Makes the end from the number of bytes that it is to have.
        shortest_tail: Below so many bytes `tail` can make none.
    """
    parts = [head]
    left = size - len(head.encode())
    while True:
        text = ("," if len(parts) > 1 else "") + make()
        length = len(text.encode())
        if left - length < shortest_tail:
            break
        parts.append(text)
        left -= length

    return "".join(parts).encode() + tail(left).encode()


def api(draw: Random, size: int, language: Language = "English") -> bytes:
    """Return a page of orders; the text at its end fills it up."""
    head = f'{{"request":"{PLACE}","page":{draw.randint(1, 400)},"data":['
    end = '],"text":""}'

    def tail(length: int) -> str:
        return f"{end[:-2]}{prose(draw, length - len(end), language)}{end[-2:]}"

    return filled(head, size, lambda: encoded(order(draw, language)), tail, len(end))


def german(draw: Random, size: int) -> bytes:
    return api(draw, size, "German")


def russian(draw: Random, size: int) -> bytes:
    return api(draw, size, "Russian")


def chinese(draw: Random, size: int) -> bytes:
    return api(draw, size, "Chinese")


def escaped(draw: Random, size: int) -> bytes:
    r"""Return the same with every sign beyond ASCII as `\uXXXX`, as many libraries write JSON."""
    languages: tuple[Language, ...] = ("German", "Russian", "Chinese")
    end = '],"text":""}'

    def tail(length: int) -> str:
        room = length - len(end)
        whole = _CUT_ESCAPE.sub("", json.dumps(prose(draw, room, "Russian"))[1:-1][:room])
        return f"{end[:-2]}{whole.ljust(room, '.')}{end[-2:]}"

    def make() -> str:
        return json.dumps(order(draw, draw.choice(languages)), separators=(",", ":"))

    return filled('{"data":[', size, make, tail, len(end))


def identifiers(draw: Random, size: int) -> bytes:
    """Return rows of nothing but ids: UUIDs, hashes, numbers of 16 digits, floats."""

    def make() -> str:
        return encoded(
            [
                uuid(draw),
                f"{draw.getrandbits(160):040x}",
                draw.randrange(10**15, 10**16),
                draw.random(),
            ]
        )

    return filled('{"rows":[', size, make, lambda length: "]}".ljust(length), 2)


def embedding(draw: Random, size: int) -> bytes:
    """Return a vector of floats, as a model answers it; spaces behind it fill it up."""
    numbers = encoded([round(draw.gauss(0, 0.03), 18) for _ in range(_EMBEDDING)])
    head = '{"object":"list","data":[{"object":"embedding","index":0,"embedding":'
    end = '}],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}'
    room = size - len(head) - len(end)
    if len(numbers) > room:
        numbers = numbers[: numbers.rindex(",", 0, room)] + "]"
    return (head + numbers + end).encode().ljust(size)


def token(draw: Random, size: int) -> bytes:
    """Return the answer of a login: a signed token (RFC 7519), which is a secret."""

    def part(content: object) -> str:
        return base64.urlsafe_b64encode(encoded(content).encode()).decode().rstrip("=")

    claims = {
        "sub": uuid(draw),
        "iss": "https://login.example.com",
        "exp": 1_800_000_000 + draw.randrange(10**6),
    }
    signature = base64.urlsafe_b64encode(draw.randbytes(256)).decode().rstrip("=")
    signed = f"{part({'alg': 'RS256', 'typ': 'JWT', 'kid': uuid(draw)})}.{part(claims)}.{signature}"
    head = (
        encoded({"access_token": signed, "token_type": "Bearer", "expires_in": 3600})[:-1]
        + ',"scope":"'
    )
    return (head + prose(draw, size - len(head) - 2) + '"}').encode()


def schemas(draw: Random, size: int) -> bytes:
    """Return an OpenAPI description: real schemas, taken at random, and a text that fills it up."""
    known = _schemas()
    head = '{"openapi":"3.1.0","info":{"title":"bench","version":"1"},"paths":{},"components":{"schemas":{'
    end = '}},"x-text":""}'

    def make() -> str:
        title, schema = draw.choice(known)
        return f'"{title}.{draw.getrandbits(32):08x}":{schema}'

    def tail(length: int) -> str:
        return f"{end[:-2]}{prose(draw, length - len(end))}{end[-2:]}"

    return filled(head, size, make, tail, len(end))


@cache
def _schemas() -> list[tuple[str, str]]:
    """Return schemas with their names, of Kubernetes where they are installed."""
    paths = files.found("schemas")
    if not paths:
        draw = Random("schemas")
        return [(name(draw), encoded(_schema(draw))) for _ in range(300)]

    known = json.loads(paths[-1].read_bytes())
    return [
        (title, encoded(schema))
        for title, schema in known.items()
        if len(encoded(schema)) < _LARGEST_SCHEMA
    ]


def _schema(draw: Random) -> dict[str, Any]:
    fields = {
        name(draw).lower(): {
            "type": draw.choice(("string", "integer", "boolean")),
            "description": prose(draw, 90),
        }
        for _ in range(draw.randint(2, 8))
    }
    return {"type": "object", "description": prose(draw, 60), "properties": fields}
