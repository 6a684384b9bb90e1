"""Generated traffic of several kinds of services, each request with the endpoint that a person
would write for it.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

from storage.record import Record


class Asked(NamedTuple):
    record: Record
    operation: str | None
    endpoint: str


_RESOURCES = """
    users orders items invoices payments products carts sessions reports teams projects tasks
    comments files events webhooks tags roles audits plans coupons shipments returns stocks
    suppliers prices taxes regions devices alerts
""".split()
_ACTIONS = ("search", "export", "count")
_SYLLABLES = """
    ka lo mi ra te su no vi dan el po ri sha tu ber gan
""".split()
_OPERATIONS = [
    f"{verb}{what.title()}" for verb in ("Get", "List", "Save") for what in _RESOURCES[:12]
]
_DIRECTORIES = ("js", "css", "img", "fonts")
_KINDS = {"js": "js", "css": "css", "img": "png", "fonts": "woff2"}


def traffic(count: int, seed: int = 1) -> Iterator[Asked]:
    """Make so many requests; the same ones for the same seed."""
    draw = random.Random(seed)
    kinds: list[Callable[[random.Random], Asked]] = [
        _rest,
        _people,
        _pages,
        _graphql,
        _static,
        _dav,
        _scanner,
        _other,
    ]
    for _ in range(count):
        yield draw.choices(kinds, (40, 10, 10, 12, 12, 6, 8, 2))[0](draw)


def ask(
    path: str,
    endpoint: str,
    *,
    method: str = "GET",
    status: int = 200,
    operation: str | None = None,
) -> Asked:
    record = Record(
        0, b"", "i", "exchange", 0, 0, path=path, method=method, status=status, route_id="default"
    )
    return Asked(record, operation, endpoint)


def _rest(draw: random.Random) -> Asked:
    what = draw.choice(_RESOURCES)
    base = f"/api/v1/{what}"
    number = _RESOURCES.index(what)
    values = (
        ("{id}", str(draw.randrange(1, 10**6))),
        ("{uuid}", str(uuid.UUID(int=draw.getrandbits(128), version=4))),
        ("{hash}", f"{draw.getrandbits(96):024x}"),
    )
    name, value = values[number % 3]
    kind = draw.random()
    status = draw.choices((200, 404, 500), (90, 7, 3))[0]
    if kind < 0.25:
        return ask(base, base)
    if kind < 0.75:
        return ask(f"{base}/{value}", f"{base}/{name}", status=status)
    if kind < 0.85:
        action = draw.choice(_ACTIONS)
        return ask(f"{base}/{action}", f"{base}/{action}", method="POST")

    below = _RESOURCES[(number + draw.randrange(1, 4)) % len(_RESOURCES)]
    if kind < 0.93:
        return ask(f"{base}/{value}/{below}", f"{base}/{name}/{below}")

    return ask(f"{base}/{value}/{below}/{draw.randrange(1, 99)}", f"{base}/{name}/{below}/{{id}}")


def _word(draw: random.Random, syllables: int) -> str:
    return "".join(draw.choice(_SYLLABLES) for _ in range(syllables))


def _people(draw: random.Random) -> Asked:
    if draw.random() < 0.25:
        return ask("/people/me", "/people/me")
    name = _word(draw, draw.randrange(2, 5))
    below = draw.choice(("", "/followers", "/posts"))
    return ask(f"/people/{name}{below}", f"/people/{{name}}{below}")


def _pages(draw: random.Random) -> Asked:
    words = [_word(draw, 2) for _ in range(draw.randrange(3, 6))]
    if draw.random() < 0.2:
        page = draw.choice(("about", "imprint", "contact", "pricing", "health"))
        return ask(f"/{page}", f"/{page}")
    return ask(f"/blog/{'-'.join(words)}", "/blog/{slug}")


def _graphql(draw: random.Random) -> Asked:
    operation = draw.choice(_OPERATIONS)
    return ask("/graphql", f"/graphql#{operation}", method="POST", operation=operation)


def _static(draw: random.Random) -> Asked:
    directory = draw.choice(_DIRECTORIES)
    kind = _KINDS[directory]
    return ask(
        f"/static/{directory}/{_word(draw, 3)}.{draw.getrandbits(32):08x}.{kind}",
        f"/static/*.{kind}",
    )


def _dav(draw: random.Random) -> Asked:
    method = draw.choice(("PROPFIND", "GET", "PUT", "MKCOL", "LOCK"))
    folders = "/".join(_word(draw, 2) for _ in range(draw.randrange(1, 6)))
    path = f"/remote/dav/{folders}/{_word(draw, 3)}.txt"
    return ask(
        path, "/remote/dav/{path}", method=method, status=207 if method == "PROPFIND" else 201
    )


def _scanner(draw: random.Random) -> Asked:
    path = draw.choice(
        (
            "/wp-{}.php",
            "/{}/admin",
            "/.{}",
            "/api/v1/{}",
            "/cgi-bin/{}.cgi",
            "/{}/{}/{}.asp",
            "/{}.js",
        )
    )
    return ask(
        path.replace("{}", _word(draw, draw.randrange(2, 6))),
        "{unknown}",
        status=draw.choice((404, 403, 401, 302)),
    )


def _other(draw: random.Random) -> Asked:
    day = f"20{draw.randrange(10, 30)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
    return ask(f"/reports/{day}", "/reports/{date}")
