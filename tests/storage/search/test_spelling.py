"""Which values stand in texts as they are written."""

from storage.search.spelling import are_spelled, is_spelled, name_words
from tests.support.cases import each_of


@each_of("value", ["acme", "4x", "true", "42", "-5", "0", ""])
def test_texts_and_whole_numbers_are_spelled_in_one_way(value: str) -> None:
    """Wherever they are; of a number, `0` and `-0` have the same word."""
    for field in ("path", "header.x", "body.a", "response_body.a.b"):
        assert is_spelled(field, value) == (value != "" or field in ("path", "header.x"))
    assert not is_spelled("host", value)


@each_of("value", ["4.2", "1e5", "-5.50", "007", "e", "1E400", "-"])
def test_what_may_be_a_number_may_be_written_otherwise(value: str) -> None:
    """In JSON; a header is as it is."""
    assert not is_spelled("body.a", value)
    assert not are_spelled("body.a", (value, ""))
    assert is_spelled("request_header.x", value)
    assert are_spelled("path", (value, ""))


def test_what_is_not_of_ascii_is_not_said() -> None:
    """It may be written in other letters, which fold to the same."""
    assert not is_spelled("path", "caf\u00e9")
    assert are_spelled("body.a", ("caf\u00e9", ""))
    assert name_words("header.caf\u00e9") == []


def test_words_of_names() -> None:
    """Members on the way, but no places in lists."""
    assert name_words("header.x-tenant") == ["x", "tenant"]
    assert name_words("body.user.0.first name") == ["user", "first", "name"]
    assert name_words("body.0") == []
    assert name_words("status") == []
