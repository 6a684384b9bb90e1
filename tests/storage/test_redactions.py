"""What a record says was taken out of it is bounded, whatever clients call their secrets."""

from hypothesis import given
from hypothesis import strategies as st

from storage.redactions import MAX_CHARACTERS, MAX_IDS, OTHER, bounded, described, name_of, united


def test_ids_stay_and_names_are_in_small_letters() -> None:
    """Spellings of one name are one; nothing at all is null."""
    found = {"github-token": 1, "name:Password": 2, "name:PASSWORD": 3}
    assert bounded(found) == {"github-token": 1, "name:password": 5}
    assert bounded({}) is None


def test_a_hostile_id_becomes_a_short_line() -> None:
    """Control characters, line ends, halves of surrogate pairs and what reverses a line are
    replaced; all is cut.
    """
    given_ids = {"name:" + "x" * 10_000: 1, "name:a\x1b[2J\n\0\u202e\udc80": 2, "y" * 10_000: 3}
    assert bounded(given_ids) == {
        "name:" + "x" * MAX_CHARACTERS: 1, "name:a\ufffd[2j" + 4 * "\ufffd": 2, "y" * MAX_CHARACTERS: 3,
    }  # fmt: skip


def test_ids_beyond_some_are_counted_together() -> None:
    """An id that is known goes on counting; the number of places stays what it was."""
    found = bounded({f"name:n{number}": 2 for number in range(MAX_IDS + 10)} | {"name:N1": 5})
    assert found is not None
    assert len(found) == MAX_IDS + 1
    assert (found["name:n1"], found[OTHER]) == (7, 20)


@given(st.dictionaries(st.text(), st.integers(1, 9), max_size=50))
def test_what_is_bounded_stays_so(places: dict[str, int]) -> None:
    """No place is lost, and a second time changes nothing."""
    found = bounded(places)
    assert sum((found or {}).values()) == sum(places.values())
    assert bounded(found or {}) == found
    assert all(id.isprintable() and len(id) <= 5 + MAX_CHARACTERS for id in found or {})


def test_a_person_reads_ids_with_their_numbers() -> None:
    """In one line."""
    assert (
        described({"github-token": 1, "name:password": 2}) == "github-token (1), name:password (2)"
    )
    assert (name_of("name:a:b"), name_of("name:"), name_of("names")) == ("a:b", "", None)


def test_parts_are_added_up() -> None:
    """Of a line, of heads and of bodies."""
    assert united(None, None) is None
    assert united(None, {"jwt": 1}, None) == {"jwt": 1}
    assert united({"jwt": 1}, {"jwt": 2, "iban": 1}) == {"jwt": 3, "iban": 1}
