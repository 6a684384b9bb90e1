"""Texts that are no JSON: pages, scripts, styles, drawings, source, tables, logs, forms."""

import re
from functools import cache
from random import Random
from typing import Final
from urllib.parse import quote_plus

from bench.contents import files
from bench.contents.documents import moment, uuid
from bench.contents.words import name, prose

_TAG: Final = re.compile(r"{%.*?%}|{#.*?#}", re.DOTALL)
_VARIABLE: Final = re.compile(r"{{.*?}}")
_LEVELS: Final = ("INFO", "INFO", "INFO", "DEBUG", "WARNING", "ERROR")
_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15",
    "curl/8.14.1",
    "python-requests/2.32.5",
)
_COMMENTS: Final = {"page": ("<!--", "-->"), "script": ("/*", "*/")}


def _part(draw: Random, known: str, size: int) -> str:
    """Return a part of a text that begins with a line, of at most so many bytes."""
    begin = known.find("\n", draw.randrange(max(1, len(known) - size))) + 1
    return (known[begin:] + known[:begin])[:size].encode()[:size].decode(errors="ignore")


def _closed(draw: Random, text: str, size: int, comment: str, end: str = "") -> bytes:
    """Fill a text up with a comment and an end, so that it has exactly so many bytes."""
    opening, closing = _COMMENTS[comment]
    missing = size - len((text + opening + closing + end).encode())
    return f"{text}{opening}{prose(draw, missing)}{closing}{end}".encode()


def page(draw: Random, size: int) -> bytes:
    """Return an HTML page: parts of a framework's templates, their variables filled in."""
    end = "</body></html>\n"
    text = (
        f'<!doctype html>\n<html lang="en"><head><title>{name(draw)}</title></head><body '
        f'data-id="{uuid(draw)}">\n'
    )

    lines = _part(draw, _templates(), size).split("\n")
    for line in lines:
        filled = _VARIABLE.sub(lambda _: prose(draw, 12 + draw.randrange(40)), line)
        if len(text) + len(filled) > size - 200:
            break
        text += filled + "\n"

    return _closed(draw, text, size, "page", end)


@cache
def _templates() -> str:
    lines = (line.rstrip() for line in _TAG.sub("", files.text("pages")).split("\n"))
    known = "\n".join(line for line in lines if line and line.isascii())
    if known:
        return known

    draw = Random("templates")
    row = (
        '<tr class="row{}"><td><a href="/{}/{}">{{{{ a }}}}</a></td><td class="{}">{{{{ b '
        "}}}}</td></tr>"
    )
    return "\n".join(
        row.format(draw.randrange(2), name(draw), uuid(draw), name(draw)) for _ in range(1000)
    )


def script(draw: Random, size: int) -> bytes:
    """Return a minified script: a part of real ones, behind a comment of its own."""
    known = _scripts()
    begin = draw.randrange(max(1, len(known) - size))
    head = f"/*! {uuid(draw)} */\n"
    return (head + known[begin : begin + size - len(head)]).ljust(size, ";").encode()


@cache
def _scripts() -> str:
    if known := files.text("minified scripts"):
        return known.encode("ascii", "ignore").decode()
    draw = Random("scripts")
    call = 'function {0}(t,e){{var n=this.{1}||{{}};return n.{0}=e,t.{1}("{2}",{3})}}'
    calls = (
        call.format(name(draw).lower(), name(draw), prose(draw, 20), draw.randrange(10**6))
        for _ in range(4000)
    )
    return "".join(calls)


def style(draw: Random, size: int) -> bytes:
    """Return a style sheet: whole rules from a place on, and a comment that fills it up."""
    rules = _rules()
    at = draw.randrange(len(rules))
    text = f"/* {uuid(draw)} */\n"
    while len(text) + len(rules[at]) < size - 8:
        text += rules[at]
        at = (at + 1) % len(rules)
    return _closed(draw, text, size, "script")


@cache
def _rules() -> list[str]:
    known = files.text("styles").encode("ascii", "ignore").decode()
    if not known:
        draw = Random("styles")
        rule = ".{}-{}:hover {{\n    margin: {}px auto;\n    color: #{:06x};\n}}\n"
        numbers = ((draw.randrange(40), draw.randrange(1 << 24)) for _ in range(1500))
        return [rule.format(name(draw), name(draw), *each) for each in numbers]

    rules = list[str]()
    rule = ""
    for part in known.split("}")[:-1]:
        rule += part + "}"
        if rule.count("{") == rule.count("}"):
            rules.append(rule)
            rule = ""

    return rules


def drawing(draw: Random, size: int) -> bytes:
    """Return symbols of an SVG sprite: paths of digits."""
    symbols = _symbols()
    end = "</svg>"
    text = f'<svg xmlns="http://www.w3.org/2000/svg" id="{uuid(draw)}">\n'
    while len(text) + len(symbol := draw.choice(symbols)) < size - 64:
        text += symbol
    return _closed(draw, text, size, "page", end)


@cache
def _symbols() -> list[str]:
    if known := re.findall(r"<symbol .*?</symbol>\s*", files.text("drawings"), re.DOTALL):
        return [symbol for symbol in known if len(symbol) < 3000]
    draw = Random("drawings")
    paths = (
        "".join(f"l{draw.uniform(-9, 9):.2f} {draw.uniform(-9, 9):.2f}" for _ in range(60))
        for _ in range(300)
    )
    return [
        f'<symbol id="{name(draw)}" viewBox="0 0 512 512"><path d="M8 8{path}z"/></symbol>\n'
        for path in paths
    ]


def source(draw: Random, size: int) -> bytes:
    """Return a part of Python's standard library, behind a comment of its own."""
    head = f"# {uuid(draw)}\n"
    return (head + _part(draw, files.python_source(), size - len(head))).encode().ljust(size, b"\n")


def table(draw: Random, size: int) -> bytes:
    """Return a CSV file: its header, rows from a place on, and a last row with a text that fills it
    up.
    """
    header, *rows = _rows()
    at = draw.randrange(len(rows))
    lines = [header]

    left = size - len(header.encode()) - 1
    while left > len(rows[at].encode()) + 120:
        lines.append(rows[at])
        left -= len(rows[at].encode()) + 1
        at = (at + 1) % len(rows)

    last = '"ZZ00","","'
    rest = '","","","",0,0.0,0.0,"",""'
    lines.append(last + prose(draw, left - len(last) - len(rest) - 1) + rest)
    return ("\n".join(lines) + "\n").encode()


@cache
def _rows() -> list[str]:
    if known := [line for line in files.text("a table").split("\n") if line]:
        return known
    draw = Random("a table")
    row = '"{:04X}","","{}","{}","{}","US",{},{:.6f},{:.6f},"America/Chicago",""'
    rows = (
        row.format(
            at,
            name(draw),
            name(draw),
            name(draw),
            draw.randrange(9000),
            draw.uniform(-90, 90),
            draw.random(),
        )
        for at in range(5000)
    )
    return [
        '"icao","iata","name","city","subd","country","elevation","lat","lon","tz","lid"',
        *rows,
    ]


def log(draw: Random, size: int) -> bytes:
    """Return lines of a service's log, the last one as long as needed."""
    lines = list[str]()
    left = size
    while left > 400:
        address = f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}"
        line = (
            f"{moment(draw)} {draw.choice(_LEVELS):7} [{draw.randrange(1000, 40000)}] "
            f"{name(draw).lower()}.views: "
            f'{address} "GET /api/{name(draw).lower()}/{draw.randrange(10**7)}?page={draw.randrange(99)} HTTP/1.1" '
            f"{draw.choice((200, 200, 200, 304, 404, 500))} {draw.randrange(10**5)} "
            f"{draw.random():.6f} "
            f'"{draw.choice(_AGENTS)}" id={uuid(draw)}\n'
        )
        lines.append(line)
        left -= len(line)

    return ("".join(lines) + prose(draw, left - 1) + "\n").encode()


def form(draw: Random, size: int) -> bytes:
    """Return a form of a browser, its last field as long as needed (WHATWG URL §5)."""
    fields = {
        "csrf": f"{draw.getrandbits(128):032x}",
        "name": f"{name(draw)} {name(draw)}",
        "mail": f"{name(draw).lower()}@example.com",
        "born": moment(draw)[:10],
        "town": prose(draw, 24, "German"),
        "message": prose(draw, 200, "German"),
    }
    text = "&".join(f"{field}={quote_plus(value)}" for field, value in fields.items()) + "&more="
    rest = quote_plus(prose(draw, size, "English"), safe="()!,:;?")
    return (text + rest).encode()[:size]
