"""Requests of a web application and their answers, as people send them: JSON with ids, mails, times
and sentences in several languages, pages, pictures. Pure.

What a record costs depends on its contents. One phrase, repeated, costs a tenth of real JSON: a
rate that is measured with it is ten times too high.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgspec

PLACE: Final = b"#" * 32
"""Stands in each body where digits are put that no other request has."""
VARIANTS: Final = 16
"""Different bodies of each kind."""
_KIB: Final = 1024
_STATES: Final = ("new", "paid", "packed", "shipped", "returned")
_PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_SYLLABLES: Final = (
    "an be co de er for gra hi in ja ke lo ment nor op pre qui re sta ter un ver wa ex ly",
    "schl äu ung heit keit über grün ß ten zwi sch ein aus ö stra bü cher",
    "ан бе во го де жи за ил ко ли мо ни об пре ра ст тор ую хо цен ча",
)
"""Of English, German and Russian: most sentences are of the first."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A request and its answer."""

    head: bytes
    """All lines but the first."""
    body: bytes
    answer: bytes
    """The whole response."""
    answer_bytes: int
    """Length of the body of the response."""

    def request(self, number: int, index: int) -> bytes:
        """Write a request that is like no other; `index` tells its upstream what to answer."""
        method = b"POST" if self.body else b"GET"
        line = b"%b /%d/items/%d?page=%d HTTP/1.1\r\n" % (method, index, number % 5000, number)
        return line + _filled(self.head + self.body, number)

    def response(self, number: int) -> bytes:
        """Write its answer, with digits that no other has."""
        return _filled(self.answer, number)


def web_traffic() -> Sequence[Sample]:
    """Return requests in the shares that a web application has, always the same ones.

    Of a hundred, 45 ask for JSON of 1 KB, 15 send and get such JSON, 15 ask for JSON of 16 KB, 15
    for a page of 16 KB, and 10 for a picture of 60 KB.
    """
    draw = Random(1)  # noqa: S311 -- contents, no secrets
    kinds: list[tuple[int, Callable[[], Sample]]] = [
        (9, lambda: _asking("application/json", _orders(draw, _KIB))),
        (3, lambda: _sending(_orders(draw, _KIB), _orders(draw, _KIB))),
        (3, lambda: _asking("application/json", _orders(draw, 16 * _KIB))),
        (3, lambda: _asking("text/html; charset=utf-8", _page(draw, 16 * _KIB))),
        (2, lambda: _asking("image/png", _picture(draw, 60 * _KIB))),
    ]
    samples = [make() for _ in range(VARIANTS) for share, make in kinds for _ in range(share)]
    draw.shuffle(samples)
    return samples


def _asking(content_type: str, answer: bytes) -> Sample:
    head = b"Host: doctor\r\nAccept: */*\r\nUser-Agent: sidelog-doctor\r\nX-Request-Id: "
    return Sample(head + PLACE + b"\r\n\r\n", b"", _response(content_type, answer), len(answer))


def _sending(body: bytes, answer: bytes) -> Sample:
    asking = _asking("application/json", answer)
    lines = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return Sample(lines + asking.head, body, asking.answer, asking.answer_bytes)


def _response(content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _filled(text: bytes, number: int) -> bytes:
    return text.replace(PLACE, b"%032x" % number)


def _orders(draw: Random, least_bytes: int) -> bytes:
    """Return a page of orders of an API, so long at least."""
    orders: list[dict[str, Any]] = []
    page = {"request": PLACE.decode(), "page": draw.randint(1, 400), "data": orders}
    encoded = b""
    while len(encoded) < least_bytes:
        orders.append(_order(draw))
        encoded = msgspec.json.encode(page)
    return encoded


def _order(draw: Random) -> dict[str, Any]:
    first, last = _word(draw, 0).title(), _word(draw, 0).title()
    return {
        "id": _uuid(draw),
        "number": draw.randrange(10**8),
        "status": draw.choice(_STATES),
        "created_at": _moment(draw),
        "customer": {
            "id": _uuid(draw),
            "name": f"{first} {last}",
            "email": f"{first}.{last}@example.com".lower(),
        },
        "total": round(draw.uniform(1, 5000), 2),
        "note": _sentence(draw, draw.randint(6, 30)),
    }


def _page(draw: Random, least_bytes: int) -> bytes:
    """Return a page of HTML, so long at least."""
    parts = [f"<!doctype html><html><head><title>{PLACE.decode()}</title></head><body>"]
    size = 0
    while size < least_bytes:
        number = draw.randrange(10**6)
        link = f'<a href="/items/{number}">{_word(draw, 0)}</a>'
        part = f'<div class="card" id="c{number}">{link}<p>{_sentence(draw, 25)}</p></div>\n'
        parts.append(part)
        size += len(part.encode())
    return "".join((*parts, "</body></html>")).encode()


def _picture(draw: Random, size: int) -> bytes:
    """Return octets that begin as a picture does."""
    return _PNG + draw.randbytes(size - len(_PNG))


def _uuid(draw: Random) -> str:
    digits = f"{draw.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _moment(draw: Random) -> str:
    day = f"2026-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
    return f"{day}T{draw.randrange(24):02}:{draw.randrange(60):02}:31.{draw.randrange(1000):03}Z"


def _sentence(draw: Random, words: int) -> str:
    language = draw.choices((0, 1, 2), (8, 1, 1))[0]
    text = " ".join(_word(draw, language) for _ in range(words))
    return f"{text[0].upper()}{text[1:]}."


def _word(draw: Random, language: int) -> str:
    return "".join(draw.choices(_SYLLABLES[language].split(), k=draw.randint(2, 4)))
