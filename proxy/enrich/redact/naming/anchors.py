"""Anchors: texts for the scanner, of which each spelling of a secret name contains one.

A name of several words is searched for with each separator, in lower, upper and camel case. A name
that contains another anchor, as `accessKeys` contains `accessKey`, needs none of its own. Each
match is verified by `SecretNames.has` with the complete name around it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_BETWEEN_WORDS: Final = re.compile(r"[\s_.-]+|(?<=[a-z0-9])(?=[A-Z])")
_JOINED: Final = {
    "password": "pass word",
    "passphrase": "pass phrase",
    "passcode": "pass code",
    "onetime": "one time",
    "sessionid": "session id",
    "jsessionid": "j session id",
    "phpsessid": "php sess id",
    "csrfmiddlewaretoken": "csrf middleware token",
}
"""Names that are written as one word or as several."""
_SEPARATORS: Final = ("", "_", "-", ".", " ")
_ESCAPE: Final = "\\"
"""Marks a non-ASCII name in JSON escapes, which already has all its spellings."""
_WORD_BYTES: Final = re.compile(rb"[A-Za-z0-9_]*")
"""Bytes that may surround a part of a name for every reader."""


@lru_cache(32)
def anchors_of(names: frozenset[str]) -> frozenset[bytes]:
    """Return texts of which each spelling of these names contains one."""
    plain = [name for name in names if _ESCAPE not in name]
    phrases = {tuple(_words(name)) for name in plain}
    single = {words[0] for words in phrases if len(words) == 1}
    anchors = {name.strip().encode() for name in names} - {b""}

    for words in phrases:
        if len(words) == 1 or not single.intersection(words):
            anchors.update(text.encode() for text in _spellings(words))
            split = tuple(" ".join(_JOINED.get(word, word) for word in words).split())
            if split != words:
                anchors.update(text.encode() for text in _spellings(split))

    return frozenset(anchor for anchor in anchors if not _has_another(anchor, anchors))


def _has_another(anchor: bytes, anchors: set[bytes]) -> bool:
    """True if another anchor finds all matches of this one: a prefix or suffix of it, in the same
    word.
    """
    return any(
        (anchor[:cut] in anchors and _WORD_BYTES.fullmatch(anchor, cut) is not None)
        or (anchor[cut:] in anchors and _WORD_BYTES.fullmatch(anchor, 0, cut) is not None)
        for cut in range(1, len(anchor))
    )


def _words(name: str) -> list[str]:
    words = [word.lower() for word in _BETWEEN_WORDS.split(name) if word]
    return words or [name.lower()]


def _spellings(words: tuple[str, ...]) -> Iterator[str]:
    """Yield the spellings of words in programs: `api_key`, `apiKey`, `APIKey`, `API-KEY`, `Api
    Key`.
    """
    titles = [word.title() for word in words]
    for separator in _SEPARATORS if len(words) > 1 else ("",):
        for spelled in (
            words,
            titles,
            [word.upper() for word in words],
            [words[0], *titles[1:]],
            [words[0].upper(), *titles[1:]],
        ):
            yield separator.join(spelled)
