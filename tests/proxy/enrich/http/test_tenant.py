"""Whose an exchange is."""

from proxy.enrich.formats.hashes import tenant_of
from storage.record import Record


def test_each_part_tells_tenants_apart() -> None:
    """One that is missing from one that is empty, and no two from others that read the same side by
    side.
    """
    parts = [
        {},
        {"project": ""},
        {"project": "a"},
        {"container": "a"},
        {"client": "a"},
        {"key_id": "a"},
    ]
    parts += [
        {"project": "a+", "container": "b"},
        {"project": "a", "container": "+b"},
        {"project": "a\ud800"},
    ]
    tenants = [tenant_of(Record(0, b"", "i", "exchange", 0, 0, **part)) for part in parts]  # type: ignore[arg-type]
    assert len(set(tenants)) == len(parts)
    assert tenant_of(Record(7, b"x", "j", "event", 1, 1, project="a", path="/x")) == tenants[2]
