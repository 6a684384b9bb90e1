"""The doctor on rings: room for them."""

from pathlib import Path

from proxy.cli.commands.doctor.doctor import check_ring_space
from proxy.settings.model import Settings
from tests.proxy.cli.commands.doctor.conftest import changed, states


def test_ring_space(settings: Settings, tmp_path: Path) -> None:
    """Too little in the default place is a warning, in a configured one a failure."""
    here = str(tmp_path)
    for ring, state in (
        ({"bytes": 1 << 60}, "warn"),
        ({"bytes": 1 << 60, "directory": here}, "fail"),
        ({"bytes": 1 << 20, "directory": here}, "ok"),
        ({"bytes": 1 << 20, "directory": f"{here}/none"}, "fail"),
    ):
        assert states(check_ring_space(changed(settings, ring=ring))) == [state]
