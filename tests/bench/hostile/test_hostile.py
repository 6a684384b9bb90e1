"""The benchmark of hostile neighbours runs, and finds nothing lost."""

import json
from pathlib import Path

import pytest

from bench.hostile.__main__ import main
from bench.hostile.kinds import FRAMES, MASKED, kinds
from proxy.http1.websocket_frames import MessageScanner


@pytest.mark.wide
def test_it_measures_a_kind_and_a_crowd(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each, in the table and in the result; the healthy client fails nowhere."""
    out = tmp_path / "hostile.json"
    monkeypatch.setattr(
        "bench.hostile.__main__.kinds", lambda: [kind for kind in kinds() if kind.name == "mixed frames up"]
    )
    result = main(["--seconds", "3", "--crowd", "20", "--out", str(out)])
    assert json.loads(out.read_text()) == result
    felt = result["felt"]
    crowds = ["crowd, silent, 20", "crowd, mixed, 20"]
    assert [each["beside"] for each in felt] == ["nobody", "mixed frames up", *crowds, "nobody again"]
    assert [(each["failed"], each["dropped"]) for each in felt] == [(0, 0)] * 5
    assert felt[2]["open_connections"] >= 20
    assert all(each["requests"] > 0 and each["p50_ms"] <= each["p99_ms"] <= each["latest_ms"] for each in felt)
    assert felt[1]["messages_dropped"] > 0
    assert [each["acts_per_s"] > 0 for each in felt] == [False, False, True, True, False]
    assert "mixed frames up" in capsys.readouterr().out


def test_the_kinds_are_what_they_say() -> None:
    """Names are distinct, and what goes as frames are frames."""
    names = [kind.name for kind in kinds()]
    assert len(names) == len(set(names)) == 22
    for unit in (*FRAMES.values(), *MASKED.values()):
        scanner = MessageScanner(8)
        assert sum(message.times for message in scanner.feed(unit * 3)) in (3, 6)
        assert not scanner.is_lost
