"""Hashes of several parts."""

from proxy.enrich.formats.hashes import HASH_BYTES, hash_of


def test_parts_are_told_from_others_that_read_the_same() -> None:
    """Side by side, or with one that is empty; it is stored, so it stays what it is."""
    parts = [(), (b"",), (b"", b""), (b"ab",), (b"a", b"b"), (b"ab", b""), (b"", b"ab")]
    assert len({hash_of(*each) for each in parts}) == len(parts)
    assert {len(hash_of(*each)) for each in parts} == {HASH_BYTES}
    assert hash_of(b"a", b"bc").hex() == "2e59d15427dc6a6a3c4a50be48ecb260"
