"""The words of the search language, for programs that help to write a search, and what requests can
be grouped by.
"""

from functools import lru_cache
from typing import Final

from aiohttp import web

from api.http.errors import BadParameter
from api.http.params import refuse_unknown
from api.http.responses import ApiObject, json_response
from storage.aggregates import TOP_FIELDS
from storage.search.cell import is_cell_field
from storage.search.language.words import ALIASES, PREFIXES, WORDS, Word

TOOL: Final = "tool"
"""MCP tools: calls of them are counted, not requests."""
GROUPS: Final = (*TOP_FIELDS, TOOL)
_CALLED: Final = tuple(ALIASES.get(name, name) for name in GROUPS)
"""As help calls them."""
OTHER_NAMES: Final = {word: name for name, word in ALIASES.items() if name in TOP_FIELDS} | {
    name: word for name, word in ALIASES.items() if word in TOP_FIELDS
}
"""As the search language calls them, or the API's parameters."""


def read_group(parameter: str, text: str) -> str:
    """Return what to group by, by its own name.

    Raises:
        BadParameter: there is nothing of that name.
    """
    name = OTHER_NAMES.get(text, text)
    if name not in GROUPS and not is_cell_field(name):
        raise BadParameter(
            parameter,
            text,
            f"one of {', '.join(_CALLED)}, or a field such as header.x-tenant, body.user.id",
        )

    return name


class WordShown(ApiObject):
    """A name that ends with a dot goes on with that of a header, or with a place in JSON bodies.

    `values` are all there are, or those worth offering. Values seen are those of `facet` at
    `/api/facets`; where that is null and the word is `grouped`, those of the word at `/api/top`.
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
    plain = [
        _shown(word, word.name, OTHER_NAMES.get(word.name, word.name) in GROUPS)
        for word in WORDS.values()
    ]
    return WordsShown(
        [*plain, *(_shown(word, f"{word.name}.", True) for word in PREFIXES.values())]
    )


def _shown(word: Word, name: str, grouped: bool) -> WordShown:
    aliases = [alias for alias, other in ALIASES.items() if other == name]
    return WordShown(name, aliases, word.help, word.example, word.values, word.facet, grouped)
