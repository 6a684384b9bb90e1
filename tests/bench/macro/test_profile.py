"""Samples are added up by the function they were taken in."""

from bench.macro.profile import own_time, table


def test_samples_belong_to_the_innermost_function() -> None:
    """Callers get none of them; damaged lines are passed over."""
    stacks = "main (a.py:1);parse (b.py:2) 30\nmain;send (c.py:3) 10\nmain;parse (b.py:2) 5\nmain 1\n\nx y\n"
    samples = own_time(stacks)
    assert samples == {"parse (b.py:2)": 35, "send (c.py:3)": 10, "main": 1}
    text = table("worker", samples)
    assert text.splitlines()[:2] == ["worker: 46 samples", "  76.1%  parse (b.py:2)"]
