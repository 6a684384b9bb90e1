"""Contents without a secret: what looks for some says so at a glance, of nearly all of them."""

import base64
import json
import random
import re
import uuid
from collections.abc import Callable
from typing import Final

from proxy.enrich.redact.masked_runs import masked_text
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

WORDS: Final = re.findall(
    r"\w+",
    "order customer shipping address invoice total amount product category review status pending "
    "active running item "
    "list page account name email street city country number time created updated service report "
    "message warning info "
    "Größe Straße schön müssen Lieferung Rechnung 東京 注文 お客様 заказ клиент café naïve",
)
BODY_BYTES = 16_384
redactor = Redactor()


def words(g: random.Random, count: int) -> str:
    return " ".join(g.choices(WORDS, k=count))


def uuid_of(g: random.Random) -> str:
    return str(uuid.UUID(int=g.getrandbits(128)))


def time_of(g: random.Random) -> str:
    return f"2026-{g.randrange(1, 13):02}-{g.randrange(1, 28):02}T{g.randrange(24):02}:10:{g.random() * 60:09.6f}+01:00"


def record_of(g: random.Random) -> dict[str, object]:
    return {
        "id": g.randrange(10**9),
        "uuid": uuid_of(g),
        "object_id": f"{g.getrandbits(96):024x}",
        "sha": f"{g.getrandbits(160):040x}",
        "email": f"{words(g, 1)}@example.com",
        "created_at": time_of(g),
        "at_ms": 1_790_000_000_000 + g.randrange(10**9),
        "score": g.random(),
        "total": round(g.random() * 1000, 2),
        "note": words(g, 8),
    }


def log_line(g: random.Random) -> str:
    return (
        f'10.0.0.{g.randrange(255)} - - [28/Nov/2026:10:11:12] "GET '
        f'/{words(g, 1)}/{g.randrange(10**6)} HTTP/1.1" '
        f"200 {g.randrange(10**5)} rt={g.random()} trace={g.getrandbits(128):032x} "
        f"span={g.getrandbits(80):020x}\n"
    )


def html_line(g: random.Random) -> str:
    link = f"/p/{g.randrange(10**5)}?a={words(g, 1)}&amp;page=2"
    return (
        f'<div id="{uuid_of(g)}" data-n="{g.randrange(10**9)}"><a '
        f'href="{link}">{words(g, 5)}</a></div>\n'
    )


def csv_line(g: random.Random) -> str:
    return f"{g.randrange(10**9)},{words(g, 2)},{g.random() * 1000:.2f},2026-11-03,{g.getrandbits(80):020x}\n"


def script_line(g: random.Random) -> str:
    name, other = g.choices(WORDS[:30], k=2)
    return f"function {name}(e,t){{var n=e.{other},o=t['{name}']||{g.randrange(999)};return n.map(r=>r.{other}+o)}};\n"


Make = Callable[[random.Random], bytes]


def parts(
    line: Callable[[random.Random], str], before: str = "", behind: str = "", between: str = ""
) -> Make:
    """Make bodies of pieces."""

    def body(g: random.Random) -> bytes:
        pieces: list[str] = []
        size = 0
        while size < BODY_BYTES:
            pieces.append(line(g))
            size += len(pieces[-1])
        return (before + between.join(pieces) + behind).encode()

    return body


CONTENTS: dict[str, Make] = {
    "JSON": parts(lambda g: json.dumps(record_of(g), ensure_ascii=False), "[", "]", ","),
    "JSON with escapes": parts(lambda g: json.dumps(record_of(g)), "[", "]", ","),
    "JSON in JSON": lambda g: json.dumps(
        {"arguments": json.dumps([record_of(g) for _ in range(40)])}
    ).encode(),
    "UUIDs": parts(uuid_of, '["', '"]', '", "'),
    "hexadecimal ids": parts(lambda g: f"{g.getrandbits(96):024x}", '["', '"]', '", "'),
    "floats": parts(lambda g: repr(g.random() * 10 ** g.randrange(-3, 6)), "[", "]", ", "),
    "times": parts(lambda g: str(1_790_000_000_000_000 + g.randrange(10**12)), "[", "]", ", "),
    "event stream": parts(lambda g: f"data: {json.dumps(record_of(g))}\n\n"),
    "log": parts(log_line),
    "HTML": parts(html_line, "<!doctype html><body>", "</body>"),
    "CSV": parts(csv_line, "id,name,amount,created,ref\n"),
    "script": parts(script_line),
    "prose": parts(lambda g: words(g, 12) + ". "),
    "picture": lambda g: b"\x89PNG\r\n\x1a\n" + g.randbytes(BODY_BYTES),
    "octets": lambda g: g.randbytes(BODY_BYTES),
    "base64": lambda g: json.dumps(
        {"image": base64.b64encode(g.randbytes(BODY_BYTES)).decode()}
    ).encode(),
    "mail": lambda g: (
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(g.randbytes(BODY_BYTES))
    ),
}


@each_of("kind", [*CONTENTS])
def test_ordinary_contents_are_clean_at_a_glance(kind: str) -> None:
    """All but one of twenty at most, by chance: who looks closer takes ten times as long."""
    make = CONTENTS[kind]
    g = random.Random(12)
    bodies = [make(g) for _ in range(100)]
    unclean = [body for body in bodies if not redactor.are_clean([masked_text(body)])]
    assert len(unclean) <= len(bodies) // 20
