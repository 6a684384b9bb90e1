"""The doctor looks at outgoing calls; asking a host is tested with whole processes."""

from pathlib import Path

import pytest

from proxy.cli.commands.doctor import outgoing
from proxy.cli.commands.doctor.outgoing import check_outgoing_calls
from proxy.egress.authority import open_authority
from proxy.settings.model import Settings
from tests.proxy.cli.commands.doctor.conftest import changed


def told(settings: Settings, listen: str = "127.0.0.1:0") -> tuple[str, str, str]:
    """The one finding: state, text and fix."""
    egress = {"listen": listen, "hosts": ("*",)}
    [found] = check_outgoing_calls(changed(settings, egress=egress))
    return found.state, found.text, found.fix


def test_it_says_whether_they_are_on(settings: Settings) -> None:
    assert told(settings, "")[:2] == ("ok", "are not recorded: [egress] listen is empty")
    certificate = Path(settings.data_dir) / "ca" / "ca.pem"
    assert told(settings)[:2] == ("ok", f"{certificate} is made at the first start")
    assert not certificate.parent.exists()


def test_it_says_until_when_the_authority_is_valid(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And warns before; nothing is asked where no sidelog runs."""
    authority = open_authority(Path(settings.data_dir) / "ca")
    text = f"{authority.path} is valid until {authority.expires_at:%Y-%m-%d}"
    assert told(settings)[:2] == ("ok", text)
    monkeypatch.setattr(outgoing, "SOON_DAYS", 4000)
    state, said, fix = told(settings)
    assert (state, said, "sidelog ca rotate" in fix) == ("warn", text, True)


def test_an_authority_that_cannot_be_used_is_a_failure(settings: Settings) -> None:
    """sidelog would not start."""
    authority = open_authority(Path(settings.data_dir) / "ca")
    authority.path.with_name("ca.key").unlink()
    state, text, _ = told(settings)
    assert (state, "ca.key is missing" in text) == ("fail", True)
