"""Prose in four languages: runs of words as people put them, one behind the other.

English is that of Python's own reference, the others of translated messages; without them words are
made of syllables or signs, some often and most seldom, as in any language.
"""

import importlib
import re
from functools import cache
from random import Random
from typing import Final, Literal

from bench.contents import files

Language = Literal["English", "German", "Russian", "Chinese"]

_MESSAGE: Final = re.compile(r'^msgstr (".*"(?:\n".*")*)', re.MULTILINE)
_WORD: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*[.,;:!?()]*")
_SIGN: Final = re.compile(r"[\u4e00-\u9fff，。；：？！（）]|[A-Za-z0-9]+")
_PIECES: Final[dict[Language, str]] = {
    "English": "an be co de er for gra hi in ja ke lo ment nor op pre qui re sta ter un ver wa ex ly",
    "German": "an be ge schl äu ver ung heit keit über grün ß ten zwi sch ein aus ö stra bü cher",
    "Russian": "ан бе во го де жи за ил ко ли мо ни об пре ра ст тор ую хо цен ча ши эк",
    "Chinese": "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会",
}
_MADE: Final = 20_000
"""Words made of a language of which there is no text."""
_NAMES: Final = 5000
_RUN: Final = 5
"""The fewest words of a run, signs in Chinese; the most are twice as many."""


def prose(draw: Random, size: int, language: Language = "English") -> str:
    """Return prose of exactly so many bytes of UTF-8, without a sign that JSON, HTML or nginx would
    have to escape.
    """
    known = words(language)
    space = "" if language == "Chinese" else " "
    runs = list[str]()

    length = 0
    while length < size:
        at = int(draw.random() * len(known))
        run = space.join(known[at : at + _RUN + int(draw.random() * _RUN)])
        runs.append(run)
        length += len(run.encode()) + len(space)

    cut = space.join(runs).encode()[:size].decode(errors="ignore")
    return cut + "." * (size - len(cut.encode()))


def name(draw: Random) -> str:
    """Return a name of two to four syllables, one of some thousand."""
    known = _names()
    return known[int(draw.random() * len(known))]


@cache
def _names() -> tuple[str, ...]:
    draw = Random("names")
    pieces = _PIECES["English"].split()
    return tuple(
        "".join(draw.choices(pieces, k=draw.randint(2, 4))).capitalize() for _ in range(_NAMES)
    )


@cache
def words(language: Language) -> tuple[str, ...]:
    """Return the words of a language in the order of a text."""
    text = (
        _reference() if language == "English" else _messages(files.text(f"messages in {language}"))
    )
    found = (_SIGN if language == "Chinese" else _WORD).findall(text)
    return tuple(found) or _made(language)


def _reference() -> str:
    """Return what Python says of itself; empty where the distribution left it out."""
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        return ""
    text = " ".join(topics[topic] for topic in sorted(topics))
    return text.encode("ascii", "ignore").decode()


def _messages(text: str) -> str:
    """Return the messages of gettext files, without the marks of their lines."""
    joined = (re.sub(r'"\n"', "", match[1])[1:-1] for match in _MESSAGE.finditer(text))
    return " ".join(message.replace("\\n", " ") for message in joined if "charset=" not in message)


def _made(language: Language) -> tuple[str, ...]:
    draw = Random(f"words of {language}")
    if language == "Chinese":
        return tuple(draw.choices(_PIECES[language], k=_MADE))
    pieces = _PIECES[language].split()
    known = ["".join(draw.choices(pieces, k=draw.randint(1, 4))) for _ in range(_MADE // 4)]
    often = [1 / (rank + 1) for rank in range(len(known))]
    return tuple(draw.choices(known, often, k=_MADE))
