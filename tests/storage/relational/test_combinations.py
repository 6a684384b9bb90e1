"""Names of a record are one text, which a name is found in only where it is one of them."""

from hypothesis import given
from hypothesis import strategies as st

from storage.relational.combinations import count_each, pack, part_of, parts_of, unpack
from storage.search.patterns import is_like

NAMES = st.text(alphabet=st.sampled_from('ab",\\\n\0ä'), max_size=4)


@given(st.lists(NAMES, max_size=4), NAMES)
def test_a_name_is_found_where_it_is_one(names: list[str], name: str) -> None:
    """Whatever names consist of: no name is found in parts of others."""
    packed = pack(names)
    assert (name in names) == (packed is not None and part_of(name) in packed)
    assert (unpack(packed) if packed else []) == sorted(set(names))


@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=3))
def test_a_pattern_of_a_name_has_one_of_the_text(names: list[str], parts: list[str]) -> None:
    """Whatever its parts end or begin within."""
    packed = pack(names)
    assert packed is not None
    if any(is_like(name, parts) for name in names):
        assert is_like(packed, parts_of(parts))


def test_the_order_of_names_makes_no_other_combination() -> None:
    """So that few of them fill the dictionary; none at all is none."""
    assert pack(["b", "a", "b"]) == pack(["a", "b"])
    assert pack([]) is pack(None) is None


def test_names_are_counted_over_combinations() -> None:
    """A combination counts for each of its names."""
    assert count_each({'\n"a"\n"b"\n': 2, '\n"a"\n': 3}) == {"a": 5, "b": 2}
