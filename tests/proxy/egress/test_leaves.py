"""The contexts of hosts."""

from pathlib import Path

import pytest

from proxy.egress import leaves
from proxy.egress.authority import LEAF_VALID, open_authority
from proxy.egress.leaves import Leaves


def test_a_context_is_kept_for_its_host_and_protocol(tmp_path: Path) -> None:
    """Until half of the time of its certificate has passed."""
    now_s = 0.0
    made = Leaves(open_authority(tmp_path), lambda: now_s)
    first = made.context("a.test", "h2")
    assert made.context("a.test", "h2") is first
    assert made.context("a.test", "http/1.1") is not first
    assert made.context("b.test", "h2") is not first
    now_s = LEAF_VALID.total_seconds() / 2
    assert made.context("a.test", "h2") is not first


def test_those_unused_for_longest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "MAX_CONTEXTS", 2)
    made = Leaves(open_authority(tmp_path))
    a, b = (made.context(host, "h2") for host in ("a.test", "b.test"))
    assert made.context("a.test", "h2") is a
    made.context("c.test", "h2")
    assert made.context("a.test", "h2") is a
    assert made.context("b.test", "h2") is not b
