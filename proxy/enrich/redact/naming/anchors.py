"""Texts that stand in each name of a secret, however it is spelled: what the scanner looks for.

A name of several words is looked for with what may join them, in small and capital letters and in
humps; one that has a word of which each name is asked about (`token`) needs no text of its own.
What is found is asked of `SecretNames.has`, with all of the name around it: so of names that have
another one in them, as `accessKeys` has `accessKey`, only the shorter is looked for.
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
"""In a name beyond ASCII as JSON writes it, which has all its spellings already."""
_WORD_BYTES: Final = re.compile(rb"[A-Za-z0-9_]*")
"""What may stand beside a part of a name wherever a name is read."""


@lru_cache(32)
def anchors_of(names: frozenset[str]) -> frozenset[bytes]:
    """Return texts of which each spelling of these names has one."""
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
    """Whether another anchor finds all that this one would: it begins with it or ends so, in the
    same word.
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
    """Yield what several programs make of words: `api_key`, `apiKey`, `APIKey`, `API-KEY`, `Api
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
