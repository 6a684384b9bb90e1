"""The words of the search language over HTTP."""

from storage.search.language.words import PREFIXES, WORDS
from tests.api.conftest import Client, ask


async def test_every_word_of_the_search_is_listed(client: Client) -> None:
    """With what it means and its values; of headers and bodies the part before the dot."""
    words = {word["name"]: word for word in (await ask(client, "/api/words"))["words"]}
    assert list(words) == [*WORDS, *(f"{name}." for name in PREFIXES)]
    assert words["level"]["values"] == list(WORDS["level"].values)
    assert words["duration"]["aliases"] == ["latency"]
    assert words["error"]["facet"] == "error_type"
    assert words["header."]["grouped"]


async def test_where_values_of_a_word_are_found_they_can_be_read(client: Client) -> None:
    """A facet of `/api/facets`, or a group of `/api/top`, by the word's own name."""
    words = (await ask(client, "/api/words"))["words"]
    for word in words:
        if word["facet"]:
            await ask(client, f"/api/facets?name={word['facet']}")

        if word["grouped"]:
            name = f"{word['name']}a" if word["name"].endswith(".") else word["name"]
            await ask(client, f"/api/top?by={name}")
