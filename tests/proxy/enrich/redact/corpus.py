"""The corpus of redaction: texts in which marks say what must go, by syntax.

`tests/fixtures/redaction` has a file for each syntax. In it `## …` is a comment, `== KIND` begins a
section, and each other line is one text, in which

* `«a»` becomes `[REDACTED]`, `‹a›` the same in quotes, and `«a→b»` becomes b, where R is the mark
* `§` is a secret of which no window may show a piece
* `␊`, `␍`, `␉`, `␠` and the other control pictures are the characters that they show, `⟨U+FEFF⟩` is
  a character by number, and `⟨a×9⟩` is nine times the same

A kind is a content type, or one of `READERS`. A section may have several, between ` & `, and options
after ` | `: `except=` with names for the redactor, and words that properties look for.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.redactor import Redactor

FOLDER: Final = Path(__file__).parents[3] / "fixtures/redaction"
SECRET: Final = "hunter2-Zq7Xv9Kw4Jd8"
MARK: Final = "[REDACTED]"
_PATTERNS: Final = SecretPatterns()
READERS: Final[dict[str, Callable[[Redactor, bytes], bytes]]] = {
    "head": Redactor.redact_head,
    "field": Redactor.redact_field,
    "query": Redactor.redact_query,
    "path": Redactor.redact_path,
    "formats": lambda _, text: _PATTERNS.redact(text),
}

_MARKED: Final = re.compile("«([^«»→]*)(?:→([^«»]*))?»|‹([^‹›]*)›")
_NUMBER: Final = re.compile(r"⟨U\+([0-9A-F]{4})⟩")
_REPEATED: Final = re.compile(r"⟨([^⟨⟩]*)×(\d+)⟩")
_PICTURES: Final = {0x2400 + code: chr(code) for code in range(0x21)} | {ord("§"): SECRET}


@dataclass(frozen=True)
class Row:
    """A text of a kind, and what it must become."""

    place: str
    kind: str
    options: frozenset[str]
    text: str
    expected: str
    redactor: Redactor = field(repr=False)

    @property
    def has_secret(self) -> bool:
        return self.text != self.expected

    @property
    def has_exceptions(self) -> bool:
        return any(option.startswith("except=") for option in self.options)

    @property
    def is_json(self) -> bool:
        """Whether it is JSON both before and after."""
        try:
            json.loads(self.text)
            json.loads(self.expected)
        except ValueError:
            return False
        return self.kind == "application/json"

    @property
    def is_of_heads(self) -> bool:
        """Whether fields of heads are redacted, which are counted by those who read them."""
        return self.kind in ("head", "field", "formats") or self.place.startswith("messages")

    @property
    def is_body(self) -> bool:
        return self.kind not in READERS

    def redact(self, text: str) -> str:
        """Redact another text as this one is redacted."""
        if reader := READERS.get(self.kind):
            return reader(self.redactor, text.encode()).decode()
        return self.redact_body(text, self.kind)

    def redact_body(self, text: str, kind: str) -> str:
        redacted, tail = self.redactor.redact_body(text.encode(), b"", kind.encode(), False)
        assert tail == b""
        return redacted.decode()


def rows_of(*names: str) -> list[Row]:
    """Read the rows of some files, or of all."""
    return [
        row
        for path in sorted(FOLDER.glob("*.txt"))
        for row in _rows(path)
        if not names or path.stem in names
    ]


def _rows(path: Path) -> Iterator[Row]:
    kinds: list[str] = []
    options = frozenset[str]()
    redactor = Redactor()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("== "):
            kinds, options, redactor = _section(line.removeprefix("== "))
        elif line and not line.startswith("## "):
            written = _written(line)
            text = _MARKED.sub(lambda found: found[1] or found[3] or "", written)
            expected = _MARKED.sub(_replacement, written)
            for kind in kinds:
                yield Row(f"{path.name}:{number}", kind, options, text, expected, redactor)


def _section(line: str) -> tuple[list[str], frozenset[str], Redactor]:
    kinds, *options = line.split(" | ")
    excepted = [
        name for option in options for name in option.split() if option.startswith("except=")
    ]
    redactor = Redactor(excepted=[name.removeprefix("except=") for name in excepted])
    return kinds.replace("no type", "").split(" & "), frozenset(options), redactor


def _written(line: str) -> str:
    line = _NUMBER.sub(lambda found: chr(int(found[1], 16)), line.translate(_PICTURES))
    return _REPEATED.sub(lambda found: found[1] * int(found[2]), line)


def _replacement(found: re.Match[str]) -> str:
    if found[3] is not None:
        return f'"{MARK}"'
    return MARK if found[2] is None else found[2].replace("R", MARK)
