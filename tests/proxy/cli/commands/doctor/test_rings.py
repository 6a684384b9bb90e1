"""The doctor on rings: room for them."""

from pathlib import Path

import msgspec

from proxy.cli.commands.doctor.doctor import check_ring_space
from proxy.settings.model import Settings


def states(findings: object) -> list[str]:
    """Only the verdicts."""
    assert hasattr(findings, "__iter__")
    return [finding.state for finding in findings]


def test_ring_space(settings: Settings, tmp_path: Path) -> None:
    """Too little in the default place is a warning, in a configured one a failure."""
    huge = msgspec.structs.replace(settings.ring, bytes=1 << 60)
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=huge))) == ["warn"]
    configured = msgspec.structs.replace(huge, directory=str(tmp_path))
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=configured))) == ["fail"]
    small = msgspec.structs.replace(configured, bytes=1 << 20)
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=small))) == ["ok"]
    missing = msgspec.structs.replace(small, directory=str(tmp_path / "none"))
    assert states(check_ring_space(msgspec.structs.replace(settings, ring=missing))) == ["fail"]
