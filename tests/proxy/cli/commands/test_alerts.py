"""What `alerts list` says of each alert."""

import json

import pytest

from proxy.cli.commands.client import Client
from tests.proxy.cli.conftest import Run


class Answering(Client):
    """A client whose sidelog has one alert."""

    def __init__(self) -> None:
        """Need no sidelog."""

    def get_json(self, path: str, parameters: object = None) -> dict[str, object]:
        alert = {
            "name": "errors", "figure": "share", "of": "status:5xx", "above": 0.02, "below": None, "window_s": 300.0,
            "by": "", "query": "", "firing": {}, "problem": "", "silenced_until_us": None,
        }  # fmt: skip
        message = {
            "id": "msg_1", "alert": "errors", "group": "", "status": "firing", "value": 0.0987654,
            "at_us": 1_700_000_000_000_000, "taken_us": 0, "problem": "status 500",
        }  # fmt: skip
        return {
            "alerts": [alert],
            "waiting": [message],
            "history": [message | {"id": "msg_0", "taken_us": 1}],
        }


@pytest.fixture(autouse=True)
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidelog that is asked."""
    monkeypatch.setattr("proxy.cli.commands.client.connect", lambda *_: Answering())


def test_a_share_is_listed_with_what_it_is_of(run: Run) -> None:
    """The share alone says nothing."""
    assert "share of status:5xx above 2 % over 5 min" in run("alerts list").out


def test_what_was_sent_is_listed(run: Run) -> None:
    """With rounded figures, and why a message was not delivered; as JSON with its alert."""
    *_, waiting, delivered = run("alerts list").out.splitlines()
    assert waiting.split() == "2023-11-14T22:13:20.000Z firing errors 9.88 % status 500".split()
    assert delivered.split()[-1] == "delivered"
    [alert] = json.loads(run("alerts list --json").out)
    assert [message["id"] for message in alert["messages"]] == ["msg_1", "msg_0"]
