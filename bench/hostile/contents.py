"""Which content costs the most: `python -m bench.hostile.contents --minutes 10`.

Looks for the dearest heads and bodies of redaction, and the dearest texts of the search index, by
CPU a KiB. Contents begin as real kinds of bodies and as what patterns are made of (beginnings of
secrets, names, quotes, backslashes, percent signs, braces, digits, base64, combining marks); they
are crossed, repeated, spliced, and cut to a size, and the dearest live on. Prints the ten dearest
of each, and how many times the median of the first kinds of their size they cost. On a machine that
is busy with something else single contents come out too dear.

Wanted: at most four times. What is found becomes a case of
`tests/proxy/enrich/test_hostile_texts.py`.
"""

import argparse
import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.contents import KINDS
from proxy.enrich.formats.content import content_of
from proxy.enrich.http.bodies import redacted_body
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.rule import built_in_rules
from storage.record import Body
from storage.search.index.terms import Terms
from storage.search.searched_text import searched_windows
from tests.support.patterns.pieces import literals

SIZES: Final = (8 << 10, 64 << 10)
LIMIT_S: Final = 5.0
"""CPU of one content; what takes longer counts so much."""
RUNS: Final = 3
COARSE_S: Final = 0.1
"""What takes less is measured by the clock: some kernels count CPU in ticks of 10 ms."""
KEPT: Final = 40
SHOWN: Final = 10
FRESH: Final = 0.2
"""The share of contents that descend from none."""
TYPES: Final = (
    b"application/json",
    b"",
    b"text/plain",
    b"text/html",
    b"text/csv",
    b"application/yaml",
    b"application/x-www-form-urlencoded",
    b"application/xml",
    b"text/event-stream",
    b"application/octet-stream",
    b"multipart/form-data; boundary=b",
    b"application/graphql",
)
NAMES: Final = (
    b"password",
    b"token",
    b"pwd",
    b"api_key",
    b"cookie",
    b"session",
    b"secret",
    b"input",
    b"value",
    b"errors",
)
SIGNS: Final = (
    *(bytes([byte]) for byte in b"\"'\\%{}[]<>()&;:=,.@/#?$*+-_| \t\r\n0a"),
    *(
        b'\\"',
        b"\\\\",
        b"\\n",
        b"\\u0070",
        b"%20",
        b"%2520",
        b"&quot;",
        b'":"',
        b'","',
        b'"}',
        b"data: ",
        b"--b\r\n",
    ),
    *(
        "\u0301".encode(),
        "é".encode(),
        "漢".encode(),
        "ﷺ".encode(),
        b"\xff",
        b"\0",
        b"0123456789",
        b"4111111111111111",
    ),
    *(
        b"4111 1111 1111 ",
        b"DE89 3704 ",
        b"ba17-a9e4-",
        b"[REDACTED]",
        b"query{a(password:",
        b"eyJhbGci.",
    ),
)


@dataclass(frozen=True)
class Content:
    """What is sent: its type, and what it is made of."""

    kind: str
    content_type: bytes
    before: bytes
    unit: bytes
    after: bytes

    def written(self, size: int) -> bytes:
        """Write so many bytes, the unit as often as there is room."""
        room = max(0, size - len(self.before) - len(self.after))
        return (self.before + self.unit * (room // max(1, len(self.unit)) + 1))[
            : size - len(self.after)
        ] + self.after


@dataclass(frozen=True)
class Tried:
    """A content and what it cost."""

    cost_us: float
    """Of CPU, a KiB."""
    size: int
    content: Content


def kinds() -> list[Content]:
    """Return a body of each kind that benchmarks send: the median of these is what others are
    compared with.
    """
    return [
        Content(kind.name, kind.content_type.encode(), b"", kind.body(0), b"") for kind in KINDS
    ]


def pieces() -> list[bytes]:
    """Return what is repeated and spliced: signs, names, and what patterns begin with."""
    return [
        *SIGNS,
        *NAMES,
        *(b'"%b":"' % name for name in NAMES),
        *(b"%b=" % name for name in NAMES),
        *literals(rule.regex.encode() for rule in built_in_rules()),
        *(literal.encode() for rule in built_in_rules() for literal in rule.literals),
    ]


def descended(chance: random.Random, parents: list[Content], parts: list[bytes]) -> Content:
    """Make a new content, of others or of pieces."""
    some = b"".join(chance.choices(parts, k=chance.randint(1, 4)))
    if not parents or chance.random() < FRESH:
        ends = b"".join(chance.choices(parts, k=2)), b"".join(chance.choices(parts, k=2))
        return Content("made", chance.choice(TYPES), ends[0], some, ends[1])

    one = chance.choice(parents)
    other = chance.choice(parents)
    cut = chance.randrange(len(one.unit) + 1)
    ways: list[Callable[[], Content]] = [
        lambda: Content(
            one.kind,
            one.content_type,
            one.before,
            one.unit[:cut] + some + one.unit[cut:],
            one.after,
        ),
        lambda: Content(one.kind, one.content_type, one.before + some, one.unit, one.after),
        lambda: Content(one.kind, one.content_type, one.before, one.unit, some + one.after),
        lambda: Content(one.kind, one.content_type, one.before, one.unit, b""),
        lambda: Content(one.kind, one.content_type, b"", one.unit, one.after),
        lambda: Content(one.kind, chance.choice(TYPES), one.before, one.unit, one.after),
        lambda: Content(one.kind, one.content_type, one.before, one.unit[cut:] or some, one.after),
        lambda: Content(
            one.kind, one.content_type, one.before, one.unit[cut:] + other.unit[:64], other.after
        ),
        lambda: Content(one.kind, one.content_type, other.before, one.unit, one.after),
    ]
    return chance.choice(ways)()


class _TooLong(Exception):
    """A content has taken its limit."""


def _stop(*_: object) -> None:
    raise _TooLong


def cost_of(run: Callable[[Content, bytes], object], content: Content, size: int) -> Tried:
    """Measure a content, by the best of some runs: others may make new states of an automaton, or
    be interrupted.
    """
    text = content.written(size)
    best = LIMIT_S
    for _ in range(RUNS):
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        begun = time.perf_counter()
        begun_cpu = time.process_time()

        try:
            run(content, text)
        except _TooLong:
            break
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

        took_s = time.perf_counter() - begun
        if took_s > COARSE_S:
            took_s = time.process_time() - begun_cpu
        best = min(best, took_s)

    return Tried(best * 1e6 / (size / 1024), size, content)


def search(
    run: Callable[[Content, bytes], object], seconds: float, size: int, chance: random.Random
) -> tuple[float, list[Tried], int]:
    """Look for the dearest contents of a size; return the median of the first kinds, the dearest,
    and how many were.
    """
    first = [cost_of(run, content, size) for content in kinds()]
    usual = median(tried.cost_us for tried in first)
    kept = list(first)
    parts = pieces()
    tries = len(first)

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tried = cost_of(run, descended(chance, [each.content for each in kept], parts), size)
        tries += 1
        kept = _dearest([*kept, tried], KEPT)

    return usual, kept[:SHOWN], tries


def _dearest(tried: Iterable[Tried], number: int) -> list[Tried]:
    """Return the dearest, one of each way to begin and to go on, so that not all are one."""
    kept: dict[tuple[bytes, bytes], Tried] = {}
    for each in sorted(tried, key=lambda each: -each.cost_us):
        kept.setdefault((each.content.content_type, each.content.unit[:12]), each)
    return list(kept.values())[:number]


def ways() -> dict[str, Callable[[Content, bytes], object]]:
    """Return what is measured."""
    redactor = Redactor()

    def body(content: Content, text: bytes) -> object:
        decoded = DecodedBody(text, b"", len(text), False, None, len(text), True)
        return redacted_body(decoded, content.content_type, redactor, len(text))

    def head(content: Content, text: bytes) -> object:
        return redactor.redact_head(
            b"GET /%b HTTP/1.1\r\nCookie: a=b\r\nX-A: %b\r\n\r\n" % (text[:4096], text)
        )

    def words(content: Content, text: bytes) -> object:
        terms = Terms()
        kind = content_of(text, content.content_type)
        body = Body(text, b"", len(text), False, None, None, content=kind)
        terms.add(0, searched_windows(body))
        return terms.signature()

    return {"body": body, "head": head, "words": words}


def main() -> None:
    """Search each way and size for its share of the minutes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(ways()))
    options = parser.parse_args()
    signal.signal(signal.SIGPROF, _stop)
    chosen = {name: run for name, run in ways().items() if options.only in (None, name)}
    share_s = options.minutes * 60 / len(chosen) / len(SIZES)

    for name, run in chosen.items():
        for size in SIZES:
            usual, dearest, tries = search(run, share_s, size, random.Random(options.seed))
            worst = dearest[0].cost_us
            print(
                f"\n{name}, {size >> 10} KiB, {tries} tried: median {usual:.1f} us a KiB, worst "
                f"{worst / usual:.1f} x"
            )

            for each in dearest:
                content = each.content
                print(
                    f"{each.cost_us:10.1f} us a KiB {each.cost_us / usual:7.1f}x  "
                    f"{content.content_type.decode():30}"
                    f" {content.before[:60]!r} + n * {content.unit[:80]!r} + "
                    f"{content.after[:40]!r}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
