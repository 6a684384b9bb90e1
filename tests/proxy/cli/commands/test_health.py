"""What `alerts list` says of each alert."""

import pytest

from proxy.cli.commands.client import Client
from proxy.cli.commands.health import list_alerts


class Answering(Client):
    """A client whose sidelog has one alert."""

    def __init__(self) -> None:
        """Need no sidelog."""

    def get_json(self, path: str, parameters: object = None) -> dict[str, object]:
        alert = {
            "name": "errors", "figure": "share", "of": "status:5xx", "above": 0.02, "below": None, "window_s": 300.0,
            "by": "", "query": "", "firing": {}, "problem": "", "silenced_until_us": None,
        }  # fmt: skip
        return {"alerts": [alert]}


def test_a_share_is_listed_with_what_it_is_of(capsys: pytest.CaptureFixture[str]) -> None:
    """The share alone says nothing."""
    assert list_alerts(Answering(), as_json=False) == 0
    assert "share of status:5xx above 0.02 over 300 s" in capsys.readouterr().out
