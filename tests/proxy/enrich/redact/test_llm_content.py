"""Tokens of text and realtime sessions are content; the same names elsewhere are secrets, and so is
what is inside.
"""

from proxy.enrich.redact.naming.values import content_end
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

REDACTOR = Redactor()


@each_of("cut", range(1, 60))
def test_a_cut_within_a_token_shows_nothing_of_it(cut: int) -> None:
    """What comes behind the cut cannot be known."""
    raw = b'{"a":[{"token":"S3CRET","logprob":-1.5}]}'[:cut]
    shown = REDACTOR.redact_body(raw, b"", b"application/json", True)[0]
    assert b"S3C" not in shown or b'"logprob":-1' in raw


def test_hostile_keys() -> None:
    """Nothing is slow, nothing raises."""
    assert content_end(b'{"token":"' + b"\\" * 100_000, b'"token":', 9) == -1
    assert content_end(b"", b'"session":', 0) == -1
    assert content_end(b"{" * 100_000, b'"session":', 0) == -1
