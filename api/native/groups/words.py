"""The words of the search language, for programs that help to write a search (`storage.search.language.words`)."""

from functools import lru_cache

from aiohttp import web

from api.http.params import refuse_unknown
from api.http.responses import ApiObject, json_response
from api.native.groups.names import GROUPS, OTHER_NAMES
from storage.search.language.words import ALIASES, PREFIXES, WORDS, Word


class WordShown(ApiObject):
    """A name that ends with a dot goes on with that of a header, or with a place in JSON bodies.

    `values` are all there are, or those worth offering. Values seen are those of `facet` at `/api/facets`; where that
    is null and the word is `grouped`, those of the word at `/api/top`.
    """

    name: str
    aliases: list[str]
    help: str
    example: str
    values: tuple[str, ...]
    facet: str | None
    grouped: bool


class WordsShown(ApiObject):
    words: list[WordShown]


async def list_words(request: web.Request) -> web.Response:
    """List the words that may stand before a colon in a search."""
    refuse_unknown(request.query, frozenset())
    return json_response(_words())


@lru_cache(maxsize=1)
def _words() -> WordsShown:
    plain = [_shown(word, word.name, OTHER_NAMES.get(word.name, word.name) in GROUPS) for word in WORDS.values()]
    return WordsShown([*plain, *(_shown(word, f"{word.name}.", True) for word in PREFIXES.values())])


def _shown(word: Word, name: str, grouped: bool) -> WordShown:
    aliases = [alias for alias, other in ALIASES.items() if other == name]
    return WordShown(name, aliases, word.help, word.example, word.values, word.facet, grouped)
